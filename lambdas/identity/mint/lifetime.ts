// From when until when a certificate is valid. The caller may only shorten; every other bound is ours.
import { SallyportError } from '../../../common/errors.ts'

/** Shorter ones would end while the clocks of the two sides still disagree. */
export const MIN_TTL_SECONDS = 60
/** A verifier whose clock is a little behind accepts a fresh certificate all the same. */
export const BACKDATE_SECONDS = 10

export class LifetimeError extends SallyportError<'lifetime-authority-ends' | 'lifetime-proof-ends'> {}

export interface LifetimeOptions {
  readonly now: Date
  /** Default and maximum of the registration, in seconds. */
  readonly ttlSeconds: number
  /** What the caller asked for, in seconds; null = the registration's. */
  readonly requestedSeconds: number | null
  /** The CA's own bounds: the end is the earliest of its chain. */
  readonly authority: { readonly notBefore: Date; readonly notAfter: Date }
  /** The end of the proof where the certificate must not outlive it. */
  readonly proofEnds: Date | null
}

/** X.509 holds whole seconds: rounded down at the end, so that no bound is passed by a fraction. */
function wholeSeconds(time: number): number {
  return Math.floor(time / 1000) * 1000
}

/**
 * The validity of a certificate issued now.
 * @throws LifetimeError where less than the least lifetime would be left
 */
export function chooseLifetime(options: LifetimeOptions): { notBefore: Date; notAfter: Date } {
  const now = options.now.getTime()
  const ttl = Math.min(options.requestedSeconds ?? options.ttlSeconds, options.ttlSeconds)
  const proofEnds = options.proofEnds?.getTime() ?? Number.POSITIVE_INFINITY
  const authorityEnds = options.authority.notAfter.getTime()
  const notAfter = wholeSeconds(Math.min(now + ttl * 1000, authorityEnds, proofEnds))
  if (notAfter - wholeSeconds(now) < MIN_TTL_SECONDS * 1000) {
    const code = proofEnds < authorityEnds ? 'lifetime-proof-ends' : 'lifetime-authority-ends'
    throw new LifetimeError(code, 'less than a minute would be left')
  }
  const notBefore = Math.max(
    wholeSeconds(now) - BACKDATE_SECONDS * 1000,
    options.authority.notBefore.getTime(),
  )
  return { notBefore: new Date(notBefore), notAfter: new Date(notAfter) }
}
