// Renewal for as long as the command runs: at about half the life of the SVID, with jitter so that a fleet that started
// together does not come together, and with growing pauses while the authority cannot be reached.
import { setTimeout } from 'node:timers/promises'
import { renewalDelay, retryDelay } from '../../common/authority/timing.ts'

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
