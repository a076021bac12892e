// Work that need not be done at once, a little in each turn of the event loop: when a change ends thousands of sessions,
// those that are still open are to be cut before the records of those that were are written. In order, each once.

/** Of each turn. Small, so that it takes little from who is in a hurry; with nobody there, turns follow each other at once. */
const SLICE_MS = 1

export class Later<Item> {
  readonly #work: (item: Item) => void
  readonly #monotonic: () => number
  #waiting: Item[] = []
  #next = 0
  #coming = false

  constructor(work: (item: Item) => void, monotonic: () => number = () => performance.now()) {
    this.#work = work
    this.#monotonic = monotonic
  }

  get length(): number {
    return this.#waiting.length - this.#next
  }

  add(item: Item): void {
    this.#waiting.push(item)
    if (!this.#coming) this.#schedule()
  }

  /** Does all that waits. */
  flush(): void {
    this.#until(Infinity)
  }

  #schedule(): void {
    this.#coming = true
    setImmediate(() => {
      this.#coming = false
      this.#until(this.#monotonic() + SLICE_MS)
      if (this.length > 0) this.#schedule()
    })
  }

  /** One at least. */
  #until(end: number): void {
    for (let item = this.#waiting[this.#next]; item !== undefined; item = this.#waiting[this.#next]) {
      this.#next += 1
      this.#work(item)
      if (this.#monotonic() >= end) break
    }
    if (this.length > 0) return
    this.#waiting = []
    this.#next = 0
  }
}
