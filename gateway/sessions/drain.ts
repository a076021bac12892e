// How the gateway leaves: readiness goes red, listeners stay open for `delay` so that a balancer notices, then nothing
// new is taken, live sessions end by themselves until the deadline, and what is left is closed with its reason.
import type { SessionRegistry } from './registry.ts'

export interface DrainOptions {
  readonly delayMs: number
  /** Counted from the end of the delay. */
  readonly deadlineMs: number
  readonly registry: SessionRegistry
  /** Called first: `/readyz` is 503 from here on. */
  readonly onUnready: () => void
  /** Called after the delay: listeners close, HTTP/2 clients get GOAWAY, new requests get `session-draining`. */
  readonly onRefuse: () => void
  /** Ends the delay early. */
  readonly hurry?: AbortSignal
}

/** Resolves when no session is left. */
export async function drain(options: DrainOptions): Promise<void> {
  const { delayMs, deadlineMs, registry, onUnready, onRefuse, hurry } = options
  onUnready()
  await wait(delayMs, hurry)
  onRefuse()
  const deadline = new AbortController()
  await Promise.race([registry.empty().finally(() => deadline.abort()), wait(deadlineMs, deadline.signal)])
  registry.closeAll('session-drained')
  await registry.empty()
}

async function wait(ms: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted) return
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, ms)
    signal?.addEventListener('abort', () => {
      clearTimeout(timer)
      resolve()
    })
  })
}
