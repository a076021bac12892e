// Work that need not be done at once, a little in each turn of the event loop: when a change ends thousands of sessions,
// those that are still open are to be cut before the records of those that were are written. In order, each once.

/** A turn in which others took so long has somebody in a hurry. */
const BUSY_MS = 4
/** The first has waited for so long that this takes as much of each turn as all others do, */
const FAIR_AFTER_MS = 3_000
/** up to that. */
const FAIR_MS = 8

export interface LaterOptions {
  /** Of each turn; default 1. With nobody there, turns follow each other at once. */
  readonly sliceMs?: number
  /** Of a turn in which others are in a hurry; default 0, which is one item. */
  readonly hurriedMs?: number
  /** For how long others may be in a hurry; default 1,000. Then it is done as if nobody was. */
  readonly patienceMs?: number
  /** How many may wait; default: as many as come. With one more the first is done at once. */
  readonly max?: number
  /** Told where one of them throws, which keeps no other from its turn. Default: an uncaught exception. */
  readonly onError?: (error: unknown) => void
  /** Milliseconds that only grow; default that of the process. */
  readonly monotonic?: () => number
}

export class Later<Item> {
  readonly #work: (item: Item) => void
  readonly #sliceMs: number
  readonly #hurriedMs: number
  readonly #patienceMs: number
  readonly #monotonic: () => number
  readonly #max: number
  readonly #onError: (error: unknown) => void
  #waiting: Item[] = []
  /** When each of them came. */
  #since: number[] = []
  #next = 0
  #coming = false
  #lastTurn = 0

  constructor(
    work: (item: Item) => void,
    {
      sliceMs = 1,
      hurriedMs = 0,
      patienceMs = 1_000,
      max = Infinity,
      onError = throwUncaught,
      monotonic = () => performance.now(),
    }: LaterOptions = {},
  ) {
    this.#work = work
    this.#sliceMs = sliceMs
    this.#hurriedMs = hurriedMs
    this.#patienceMs = patienceMs
    this.#monotonic = monotonic
    this.#max = max
    this.#onError = onError
  }

  get length(): number {
    return this.#waiting.length - this.#next
  }

  /** How long the first has waited; 0 where nothing waits. */
  get oldestWaitMs(): number {
    const since = this.#since[this.#next]
    return since === undefined ? 0 : this.#monotonic() - since
  }

  add(item: Item): void {
    const now = this.#monotonic()
    if (this.length === 0) this.#lastTurn = now
    this.#waiting.push(item)
    this.#since.push(now)
    if (this.length > this.#max) this.#until(-Infinity)
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
      this.#until(now + this.#share(now - this.#lastTurn))
      this.#lastTurn = this.#monotonic()
      if (this.length > 0) this.#schedule()
    })
  }

  /** Milliseconds, after others have taken `turnMs`. */
  #share(turnMs: number): number {
    const waitedMs = this.oldestWaitMs
    if (turnMs >= BUSY_MS && waitedMs < this.#patienceMs) return this.#hurriedMs
    return waitedMs < FAIR_AFTER_MS ? this.#sliceMs : Math.max(this.#sliceMs, Math.min(turnMs, FAIR_MS))
  }

  /** One at least. */
  #until(end: number): void {
    for (let item = this.#waiting[this.#next]; item !== undefined; item = this.#waiting[this.#next]) {
      this.#next += 1
      this.#do(item)
      if (this.#monotonic() >= end) break
    }
    // `shift` would copy all of them each time; and what is done is to be forgotten though there may always be more.
    if (this.#next * 2 < this.#waiting.length) return
    this.#waiting.splice(0, this.#next)
    this.#since.splice(0, this.#next)
    this.#next = 0
  }

  #do(item: Item): void {
    try {
      this.#work(item)
    } catch (error) {
      this.#onError(error)
    }
  }
}

function throwUncaught(error: unknown): void {
  setImmediate(() => {
    throw error
  })
}
