// When to ask the authority again: at about half the life of the SVID, with jitter so that a fleet that started together
// does not come together, and with growing pauses while the authority cannot be reached.

const JITTER = 0.1
const FIRST_RETRY_MS = 5_000
const LAST_RETRY_MS = 60_000
const LEAST_WAIT_MS = 1_000
/** Node's timers hold no more, and fire at once beyond. */
const MAX_WAIT_MS = 2_147_483_647

/** A wait of about `ms`, 10 % more or less. @param random in [0, 1) */
export function jitter(ms: number, random: number): number {
  return Math.round(ms * (1 - JITTER + 2 * JITTER * random))
}

/** Milliseconds until the next renewal. */
export function renewalDelay(renewAfter: Date, now: Date, random: number): number {
  const wait = jitter(renewAfter.getTime() - now.getTime(), random)
  return Math.min(Math.max(wait, LEAST_WAIT_MS), MAX_WAIT_MS)
}

/** Milliseconds until the next try after `failures` failures in a row. */
export function retryDelay(failures: number, random: number): number {
  return jitter(Math.min(FIRST_RETRY_MS * 2 ** Math.min(failures - 1, 10), LAST_RETRY_MS), random)
}

/** The moment that the authority names; half of what is left, where that makes no sense. */
export function chooseRenewal(named: Date, now: Date, end: Date): Date {
  if (named > now && named < end) return named
  return new Date(now.getTime() + (end.getTime() - now.getTime()) / 2)
}
