// Requests are judged in turns of the event loop. A hundred CONNECTs may come with one read of an HTTP/2 connection, each a
// new question to a thousand policies: one after the other they would hold all relays for as long as the last takes.

/** Of one turn, from its first request on. */
const SLICE_MS = 8

export class Turns {
  readonly #monotonic: () => number
  #waiting: (() => void)[] = []
  #next = 0
  /** When the first of this turn came; null = none has come yet. */
  #began: number | null = null

  /** `monotonic`: milliseconds that only grow; default those of the process. */
  constructor(monotonic: () => number = () => performance.now()) {
    this.#monotonic = monotonic
  }

  /**
   * To be asked just before a request is judged, in the same run of microtasks. Null = at once; else it is resolved when
   * its turn has come, in the order of asking.
   */
  enter(): Promise<void> | null {
    const began = this.#began ?? this.#begin()
    const free = this.#next === this.#waiting.length
    if (free && this.#monotonic() - began < SLICE_MS) return null
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  #begin(): number {
    const began = this.#monotonic()
    this.#began = began
    setImmediate(() => void this.#turn())
    return began
  }

  /** One at least. */
  async #turn(): Promise<void> {
    this.#began = null
    if (this.#next === this.#waiting.length) return
    const began = this.#begin()
    do {
      this.#waiting[this.#next]?.()
      this.#next += 1
      // Judged by then: its microtask was queued before this one.
      await Promise.resolve()
    } while (this.#next < this.#waiting.length && this.#monotonic() - began < SLICE_MS)
    if (this.#next < this.#waiting.length) return
    this.#waiting = []
    this.#next = 0
  }
}
