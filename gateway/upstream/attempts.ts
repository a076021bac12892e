// Dials the permitted addresses one after the other until one answers. Nothing was sent yet, so trying again is safe;
// what fails after TCP is up is never tried again, since the server may have judged us by then.
import type { Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { type Budget, interruption, openBudget, within } from './budget.ts'
import type { Progress } from './progress.ts'
import { formatEndpoint, ignoreErrors, resetSocket } from './sockets.ts'
import { type Dial, UpstreamError } from './types.ts'

/** Before an address is tried again: a server that restarts refuses at once, and three tries would be over with it. */
const PAUSE_MS = 50

export interface AttemptsOptions {
  /** Permitted, in the order to try; not empty. */
  readonly addresses: readonly string[]
  readonly port: number
  /** In total, over all addresses; the addresses are gone through again where there are fewer. */
  readonly attempts: number
  readonly dial: Dial
  readonly budget: Budget
  readonly now: () => number
  readonly progress: Progress
}

/**
 * The first connection that comes up. Each attempt has an equal share of the time that is left, so that one silent
 * address does not use up the others' time. Rejects with the last attempt's `connect-…` error.
 */
export async function dialInTurn(options: AttemptsOptions): Promise<Socket> {
  const { addresses, port, attempts, budget, progress } = options
  let last = new UpstreamError('connect-failed', 'no attempt was made')
  for (let attempt = 0; attempt < attempts; attempt += 1) {
    const address = addresses[attempt % addresses.length]
    if (address === undefined) break
    if (attempt >= addresses.length) await pause(budget.signal)
    progress.facts.attempts += 1
    progress.facts.address = formatEndpoint({ address, port })
    try {
      return await dialOnce(options, { address, port }, budget.remainingMs() / (attempts - attempt))
    } catch (error) {
      if (budget.signal.aborted) throw interruption(budget.signal, 'connect-timeout')
      if (!(error instanceof UpstreamError) || !error.code.startsWith('connect-')) throw error
      last = error
    }
  }
  throw last
}

async function dialOnce(
  options: AttemptsOptions,
  endpoint: { readonly address: string; readonly port: number },
  shareMs: number,
): Promise<Socket> {
  using share = openBudget(shareMs, options.budget.signal, options.now)
  const raw = await within(
    share.signal,
    'connect-timeout',
    (signal) => options.dial(endpoint, signal),
    (late) => {
      ignoreErrors(late)
      resetSocket(late)
    },
  )
  ignoreErrors(raw)
  return raw
}

async function pause(signal: AbortSignal): Promise<void> {
  await within(signal, 'connect-timeout', () => delay(PAUSE_MS, undefined, { signal }))
}
