// Work that need not be done at once, a little in each turn of the event loop: when a change ends thousands of sessions,
// those that are still open are to be cut before the records of those that were are written. In order, each once.

/** A turn in which others took so long has somebody in a hurry. */
const BUSY_MS = 4

export interface LaterOptions {
  /** Of each turn; default 1. With nobody there, turns follow each other at once. */
  readonly sliceMs?: number
  /** Of a turn in which others are in a hurry; default 0, which is one item. */
  readonly hurriedMs?: number
  /** For how long others may be in a hurry; default 1,000. Then it is done as if nobody was. */
  readonly patienceMs?: number
  /** Milliseconds that only grow; default that of the process. */
  readonly monotonic?: () => number
}

export class Later<Item> {
  readonly #work: (item: Item) => void
  readonly #sliceMs: number
  readonly #hurriedMs: number
  readonly #patienceMs: number
  readonly #monotonic: () => number
  #waiting: Item[] = []
  #next = 0
  #coming = false
  /** When the first of those that wait came, and when this had its turn. */
  #since = 0
  #lastTurn = 0

  constructor(
    work: (item: Item) => void,
    {
      sliceMs = 1,
      hurriedMs = 0,
      patienceMs = 1_000,
      monotonic = () => performance.now(),
    }: LaterOptions = {},
  ) {
    this.#work = work
    this.#sliceMs = sliceMs
    this.#hurriedMs = hurriedMs
    this.#patienceMs = patienceMs
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
      const hurried = now - this.#lastTurn >= BUSY_MS && now - this.#since < this.#patienceMs
      this.#until(now + (hurried ? this.#hurriedMs : this.#sliceMs))
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
