// That a listener closes, for all its connections that have asked for nothing yet. Not an AbortSignal: to leave one costs a
// look at each of those that wait beside it, and both ways many times what a Set takes.

export class Closing {
  readonly #waiting = new Set<() => void>()

  /** Called once, when the listener closes. */
  add(listener: () => void): void {
    this.#waiting.add(listener)
  }

  delete(listener: () => void): void {
    this.#waiting.delete(listener)
  }

  /** Tells all of them. */
  begin(): void {
    for (const listener of this.#waiting) {
      this.#waiting.delete(listener)
      listener()
    }
  }
}
