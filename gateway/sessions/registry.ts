// The live sessions of this process. Drain, and whatever else must reach open sessions, goes through here.
import type { ReasonCode } from '../audit/reasons.ts'

export interface LiveSession {
  readonly id: string
  close(code: ReasonCode): void
}

export class SessionRegistry {
  readonly #live = new Map<string, LiveSession>()
  #onEmpty: (() => void)[] = []

  get size(): number {
    return this.#live.size
  }

  add(session: LiveSession): void {
    this.#live.set(session.id, session)
  }

  delete(id: string): void {
    this.#live.delete(id)
    if (this.#live.size > 0) return
    for (const resolve of this.#onEmpty.splice(0)) resolve()
  }

  closeAll(code: ReasonCode): void {
    for (const session of [...this.#live.values()]) session.close(code)
  }

  /** Resolves at once where nothing is live, else when the last session has ended. */
  async empty(): Promise<void> {
    if (this.#live.size === 0) return
    await new Promise<void>((resolve) => this.#onEmpty.push(resolve))
  }
}
