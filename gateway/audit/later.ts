// Work that need not be done at once, a little in each turn of the event loop: when a change ends thousands of sessions,
// those that are still open are to be cut before the records of those that were are written. In order, each once.

/** Of each turn. With nobody there, turns follow each other at once. */
const SLICE_MS = 1
/** A turn in which others took so long has somebody in a hurry. Then one item is done and no more, */
const BUSY_MS = 4
/** unless something has waited for so long: what waits is lost when the process is killed. */
const PATIENCE_MS = 1_000

export class Later<Item> {
  readonly #work: (item: Item) => void
  readonly #monotonic: () => number
  #waiting: Item[] = []
  #next = 0
  #coming = false
  /** When the first of those that wait came, and when this had its turn. */
  #since = 0
  #lastTurn = 0

  constructor(work: (item: Item) => void, monotonic: () => number = () => performance.now()) {
    this.#work = work
    this.#monotonic = monotonic
  }

  get length(): number {
    return this.#waiting.length - this.#next
  }

  add(item: Item): void {
    if (this.length === 0) this.#since = this.#lastTurn = this.#monotonic()
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
      const now = this.#monotonic()
      const hurried = now - this.#lastTurn >= BUSY_MS && now - this.#since < PATIENCE_MS
      this.#until(hurried ? now : now + SLICE_MS)
      this.#lastTurn = this.#monotonic()
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
