// A token bucket: so many at once, and so many a second after that. For what a peer may do often, and not without end.

export interface AllowanceLimits {
  readonly burst: number
  readonly perSecond: number
}

export class Allowance {
  readonly #limits: AllowanceLimits
  readonly #now: () => number
  #left: number
  #at: number

  /** `now` in milliseconds, on a clock that never goes back. */
  constructor(limits: AllowanceLimits, now: () => number) {
    this.#limits = limits
    this.#now = now
    this.#left = limits.burst
    this.#at = now()
  }

  /** False where it is used up. */
  take(): boolean {
    if (this.used()) return false
    this.#left -= 1
    return true
  }

  /** Whether the next `take` would be refused. */
  used(): boolean {
    const { burst, perSecond } = this.#limits
    const now = this.#now()
    this.#left = Math.min(burst, this.#left + ((now - this.#at) / 1000) * perSecond)
    this.#at = now
    return this.#left < 1
  }
}
