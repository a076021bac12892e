// How the gateway leaves: readiness goes red, listeners stay open for `delay` so that a balancer notices, then nothing new is
// taken and what lives is closed over the deadline, those that have been idle longest first, so that clients come back one
// by one and whoever is in the middle of something has the longest time to end it. What is left at the deadline is reset.
import type { LiveSession } from './live-session.ts'
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
  /** Asked to make haste: each time ends what is under way, the delay or the deadline. */
  readonly hurry?: Hurry
}

/** Between two looks at who is to be closed. */
const TICK_MS = 100

/** Somebody who may lose patience several times. */
export class Hurry {
  #waiting: (() => void) | null = null
  #times = 0

  /** Ends what is waited for now, or what will be waited for next. */
  now(): void {
    this.#times += 1
    this.#waiting?.()
  }

  /** Resolves after `ms`, or sooner; true where it was cut short. */
  async wait(ms: number, signal?: AbortSignal): Promise<boolean> {
    if (this.#take() || signal?.aborted === true) return true
    return new Promise((resolve) => {
      const end = (cut: boolean) => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', onAbort)
        this.#waiting = null
        resolve(cut)
      }
      const onAbort = () => end(true)
      const timer = setTimeout(() => end(false), ms)
      signal?.addEventListener('abort', onAbort)
      this.#waiting = () => end(this.#take())
    })
  }

  #take(): boolean {
    if (this.#times === 0) return false
    this.#times -= 1
    return true
  }
}

/** Resolves when no session is left. */
export async function drain(options: DrainOptions): Promise<void> {
  const { delayMs, deadlineMs, registry, onUnready, onRefuse, hurry = new Hurry() } = options
  onUnready()
  await hurry.wait(delayMs)
  onRefuse()
  await spread(registry, deadlineMs, hurry)
  registry.closeAll('session-drained')
  await registry.empty()
}

/** Until the deadline, or until nothing lives. */
async function spread(registry: SessionRegistry, deadlineMs: number, hurry: Hurry): Promise<void> {
  const empty = new AbortController()
  void registry.empty().then(() => empty.abort())
  const end = performance.now() + deadlineMs
  let owed = 0
  for (let left = deadlineMs; left > 0; left = end - performance.now()) {
    const tick = Math.min(TICK_MS, left)
    if (await hurry.wait(tick, empty.signal)) return
    const living = [...registry.all()].filter(({ over }) => !over)
    // As many that the rest, closed at this pace, is gone at the deadline; the last ones have all of it.
    owed += (living.length * tick) / Math.max(tick, left)
    const due = Math.min(Math.floor(owed), living.length - 1)
    if (due < 1) continue
    owed -= due
    for (const session of idleLongest(living, due)) session.close('session-drained')
  }
}

function idleLongest(sessions: readonly LiveSession[], count: number): readonly LiveSession[] {
  return sessions
    .map((session) => ({ session, at: session.lastActivityAt }))
    .toSorted((a, b) => a.at - b.at)
    .slice(0, count)
    .map(({ session }) => session)
}
