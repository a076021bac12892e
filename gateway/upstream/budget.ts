// Time: one budget for the whole way out and a share of it for each attempt, as an AbortSignal. AbortSignal.timeout
// and AbortSignal.any would do half of it, but cannot be taken back when the work is done, so that each request would
// leave a timer and a listener on the client's signal behind.
import type { ReasonCode } from '../audit/reasons.ts'
import { REASONS } from '../audit/reasons.ts'
import { SallyportError } from '../../common/errors.ts'
import { UpstreamError } from './types.ts'

/** The reason of a signal that fired because its time was over. */
export class BudgetSpent extends Error {
  constructor(timeoutMs: number) {
    super(`not done within ${Math.round(timeoutMs)} ms`)
    this.name = 'BudgetSpent'
  }
}

export interface Budget extends Disposable {
  /** Fires when the time is over (reason: BudgetSpent) or the parent fires (its reason). */
  readonly signal: AbortSignal
  /** Milliseconds left, never negative. */
  remainingMs(): number
  /** Fires the signal with this reason. */
  cancel(reason: Error): void
}

/**
 * Starts the clock; dispose it when the work is done. `now` is monotonic, in milliseconds. Without a parent, whoever opened
 * it cancels it.
 */
export function openBudget(timeoutMs: number, parent: AbortSignal | null, now: () => number): Budget {
  const controller = new AbortController()
  const end = now() + timeoutMs
  const timer = setTimeout(() => controller.abort(new BudgetSpent(timeoutMs)), timeoutMs)
  const follow = (): void => controller.abort(parent?.reason)
  if (parent?.aborted === true) follow()
  else parent?.addEventListener('abort', follow, { once: true })
  return {
    signal: controller.signal,
    remainingMs: () => Math.max(0, end - now()),
    cancel: (reason) => controller.abort(reason),
    [Symbol.dispose]() {
      clearTimeout(timer)
      parent?.removeEventListener('abort', follow)
    },
  }
}

/**
 * The work's result, or an UpstreamError as soon as the signal fires: with `timeoutCode` where time was over, else as
 * `interruption` says. Work that ignores the signal and yields a value later has it handed to `discard`.
 */
export async function within<T>(
  signal: AbortSignal,
  timeoutCode: ReasonCode,
  work: (signal: AbortSignal) => Promise<T>,
  discard: (late: T) => void = () => {},
): Promise<T> {
  if (signal.aborted) throw interruption(signal, timeoutCode)
  const running = work(signal)
  const { promise, resolve, reject } = Promise.withResolvers<T>()
  let interrupted = false
  const onAbort = (): void => {
    interrupted = true
    reject(interruption(signal, timeoutCode))
  }
  signal.addEventListener('abort', onAbort, { once: true })
  running.then(
    (value) => {
      if (interrupted) return discard(value)
      signal.removeEventListener('abort', onAbort)
      resolve(value)
    },
    (error: unknown) => {
      signal.removeEventListener('abort', onAbort)
      reject(error)
    },
  )
  return promise
}

/**
 * Why a signal ended the work. A signal aborted with a SallyportError of a reason code keeps that code; any other
 * reason is the client that went away.
 */
export function interruption(signal: AbortSignal, timeoutCode: ReasonCode): UpstreamError {
  const reason: unknown = signal.reason
  if (reason instanceof BudgetSpent) return new UpstreamError(timeoutCode, reason.message)
  if (reason instanceof SallyportError && isReasonCode(reason.code)) {
    return new UpstreamError(reason.code, reason.message, { cause: reason })
  }
  return new UpstreamError('relay-client-reset', 'the client went away while the connection was opened', {
    cause: reason,
  })
}

function isReasonCode(code: string): code is ReasonCode {
  return Object.hasOwn(REASONS, code)
}
