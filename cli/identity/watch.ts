// Renewal for as long as the command runs: at about half the life of the SVID, with jitter so that a fleet that started
// together does not come together, and with growing pauses while the authority cannot be reached.
import { setTimeout } from 'node:timers/promises'

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

export interface WatchOptions {
  /** Fetches and stores once; returns when the next renewal is due. */
  readonly renew: () => Promise<Date>
  readonly onFailure: (error: unknown) => void
  readonly clock?: () => Date
  readonly random?: () => number
  readonly sleep?: (ms: number) => Promise<unknown>
}

/**
 * Renews for as long as the process lives. @param renewAfter when the identity at hand is due
 * @throws what `sleep` or `onFailure` throw
 */
export async function watchIdentity(renewAfter: Date, options: WatchOptions): Promise<never> {
  const { clock = () => new Date(), random = Math.random, sleep = setTimeout } = options
  let due = renewAfter
  let failures = 0
  for (;;) {
    await sleep(failures === 0 ? renewalDelay(due, clock(), random()) : retryDelay(failures, random()))
    try {
      due = await options.renew()
      failures = 0
    } catch (error) {
      failures += 1
      options.onFailure(error)
    }
  }
}
