// Which SVIDs a workload has shown lately: an SVID that has expired is as good as renewed while a newer one of the same
// SPIFFE ID is accepted on any connection (design §5.1, atExpiry). Knows only workloads that have live sessions.

/** How long an accepted SVID speaks for sessions of older ones. */
export const RENEWAL_WINDOW_MS = 600_000
/** Different SVIDs of one workload within the window, each newer or shown later than the others. */
const MAX_SHOWN = 64

interface Shown {
  readonly expiresAt: number
  readonly at: number
}

export class Renewals {
  readonly #shown = new Map<string, readonly Shown[]>()

  get size(): number {
    return this.#shown.size
  }

  /** An SVID of `workload` that expires at `expiresAt` was accepted at `now`; both in milliseconds since 1970. */
  accepted(workload: string, expiresAt: number, now: number): void {
    const others = (this.#shown.get(workload) ?? []).filter(
      // What expires no later and was shown earlier speaks for nobody that this one does not speak for.
      (one) => one.expiresAt > expiresAt && now - one.at <= RENEWAL_WINDOW_MS,
    )
    this.#shown.set(workload, [...others, { expiresAt, at: now }].slice(-MAX_SHOWN))
  }

  /** Until when sessions whose SVID expired at `expiresAt` live on; null = they do not. */
  livesUntil(workload: string, expiresAt: number, now: number): number | null {
    let newest: number | null = null
    for (const { expiresAt: other, at } of this.#shown.get(workload) ?? []) {
      if (other <= expiresAt || now - at > RENEWAL_WINDOW_MS) continue
      if (newest === null || at > newest) newest = at
    }
    return newest === null ? null : newest + RENEWAL_WINDOW_MS
  }

  forget(workload: string): void {
    this.#shown.delete(workload)
  }
}
