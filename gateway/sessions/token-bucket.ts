// Two token buckets: one that is asked whether something may begin, and one in bytes that lets those wait in line who have
// moved more than their share. What waits is a sender that is not read, so nothing is held here but the line.

/** Of beginnings: as many at once as in a second. */
export class StartBucket {
  #perSecond: number
  #left: number
  #at: number

  /** `now` in milliseconds, on a clock that never goes back. */
  constructor(perSecond: number, now: number) {
    this.#perSecond = perSecond
    this.#left = perSecond
    this.#at = now
  }

  /** What is left counts on. */
  configure(perSecond: number, now: number): void {
    this.#refill(now)
    this.#perSecond = perSecond
    this.#left = Math.min(this.#left, perSecond)
  }

  has(now: number): boolean {
    this.#refill(now)
    return this.#left >= 1
  }

  take(): void {
    this.#left -= 1
  }

  #refill(now: number): void {
    this.#left = Math.min(this.#perSecond, this.#left + ((now - this.#at) / 1000) * this.#perSecond)
    this.#at = now
  }
}

/** Who waits in the line of a bucket. */
export interface Waiter {
  /** May go on; `bytes` are paid for already. */
  granted(bucket: ByteBucket, bytes: number): void
}

/** What one turn is worth: a TLS record. More would let many that wait go on at once, and less would cost a timer each. */
const TURN_BYTES = 16 * 1024
const MIN_WAIT_MS = 1
/** A bucket holds this much of time, so that a pause is made up for and an hour of silence is not. */
const BURST_SECONDS = 0.25

export interface ByteBucketOptions {
  readonly perSecond: number
  /** Milliseconds that only grow. */
  readonly now: () => number
}

export class ByteBucket {
  readonly #now: () => number
  /** In the order of their coming. */
  readonly #line = new Set<Waiter>()
  #perSecond: number
  /** Negative: what was moved beyond the share, which those that come are to wait for. */
  #balance: number
  #at: number
  #timer: NodeJS.Timeout | null = null

  constructor({ perSecond, now }: ByteBucketOptions) {
    this.#perSecond = perSecond
    this.#now = now
    this.#balance = perSecond * BURST_SECONDS
    this.#at = now()
  }

  get waiting(): number {
    return this.#line.size
  }

  /** Nobody may go on but by waiting. */
  get blocked(): boolean {
    return this.#balance < 0 || this.#line.size > 0
  }

  /** More was moved than there was, and the time for it is not over. */
  get inDebt(): boolean {
    this.#refill()
    return this.#balance < 0
  }

  configure(perSecond: number): void {
    this.#refill()
    this.#perSecond = perSecond
    this.#balance = Math.min(this.#balance, perSecond * BURST_SECONDS)
    // By the old pace the next turn may be hours away.
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    this.#arm()
  }

  /** Those bytes were moved. */
  take(bytes: number): void {
    this.#refill()
    this.#balance -= bytes
  }

  enter(waiter: Waiter): void {
    this.#line.add(waiter)
    this.#arm()
  }

  leave(waiter: Waiter): void {
    this.#line.delete(waiter)
    if (this.#line.size === 0 && this.#timer !== null) {
      clearTimeout(this.#timer)
      this.#timer = null
    }
  }

  #refill(): void {
    const now = this.#now()
    const filled = this.#balance + ((now - this.#at) / 1000) * this.#perSecond
    this.#balance = Math.min(this.#perSecond * BURST_SECONDS, filled)
    this.#at = now
  }

  #arm(): void {
    if (this.#timer !== null || this.#line.size === 0) return
    const wait = Math.max(MIN_WAIT_MS, (-this.#balance / this.#perSecond) * 1000)
    this.#timer = setTimeout(() => this.#turns(), Math.min(wait, 0x7fff_ffff))
    this.#timer.unref()
  }

  /** One turn each while there is something to give; who wants more comes to the end of the line. */
  #turns(): void {
    this.#timer = null
    this.#refill()
    for (const waiter of this.#line) {
      if (this.#balance < 0) break
      this.#line.delete(waiter)
      this.#balance -= TURN_BYTES
      waiter.granted(this, TURN_BYTES)
    }
    this.#arm()
  }
}
