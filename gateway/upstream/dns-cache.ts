// What DNS said before and for how long it counts. It keeps answers and failures and says what each is worth now; it
// asks nobody. Whether an address may be dialled is judged anew at each use (permit.ts), so nothing here is trusted.
import { LRUCache } from 'lru-cache'
import type { DnsLimits } from '../config/types.ts'
import type { DnsAnswer } from './dns-query.ts'
import type { UpstreamError } from './types.ts'

/** Hosts, of some hundred bytes each. */
const MAX_HOSTS = 10_000
/** A failure of the resolvers is remembered this long (RFC 9520 §3.2: at least a second, so that retries make no storm). */
export const FAILURE_MS = 1_000
/** With a stale answer at hand the resolvers are asked again after this; RFC 8767 §5 has up to 30 s. */
export const RECHECK_MS = 5_000

export type Known =
  /** `ttlMs` is what is left of it. */
  | { readonly kind: 'fresh'; readonly addresses: readonly string[]; readonly ttlMs: number }
  /** Its time is over. `ask`: the resolvers are to be asked first; else they have failed just now. */
  | { readonly kind: 'stale'; readonly addresses: readonly string[]; readonly ask: boolean }
  | { readonly kind: 'failed'; readonly error: UpstreamError }

interface Entry {
  readonly addresses: readonly string[] | null
  readonly freshUntil: number
  readonly staleUntil: number
  readonly error: UpstreamError | null
  readonly errorUntil: number
}

const NOTHING: Entry = { addresses: null, freshUntil: 0, staleUntil: 0, error: null, errorUntil: 0 }

export interface DnsCacheOptions {
  readonly limits: DnsLimits
  /** Monotonic, in milliseconds. */
  readonly now: () => number
  readonly maxHosts?: number
}

export class DnsCache {
  readonly #limits: DnsLimits
  readonly #now: () => number
  readonly #entries: LRUCache<string, Entry>

  constructor({ limits, now, maxHosts = MAX_HOSTS }: DnsCacheOptions) {
    this.#limits = limits
    this.#now = now
    this.#entries = new LRUCache({ max: maxHosts })
  }

  /** Hosts that are held, those whose time is over among them. */
  get size(): number {
    return this.#entries.size
  }

  get(host: string): Known | null {
    const entry = this.#entries.get(host)
    if (entry === undefined) return null
    const now = this.#now()
    const { addresses, freshUntil, staleUntil, error, errorUntil } = entry
    if (addresses !== null && now < freshUntil) return { kind: 'fresh', addresses, ttlMs: freshUntil - now }
    if (addresses !== null && now < staleUntil) return { kind: 'stale', addresses, ask: now >= errorUntil }
    if (error !== null && now < errorUntil) return { kind: 'failed', error }
    this.#entries.delete(host)
    return null
  }

  answered(host: string, { addresses, ttlMs }: DnsAnswer): void {
    const { minTtlMs, maxTtlMs, staleTtlMs } = this.#limits
    const freshUntil = this.#now() + Math.min(Math.max(ttlMs, minTtlMs), maxTtlMs)
    this.#entries.set(host, { ...NOTHING, addresses, freshUntil, staleUntil: freshUntil + staleTtlMs })
  }

  /** A name that does not exist any more loses its old addresses; a resolver that fails does not cost them. */
  failed(host: string, error: UpstreamError): void {
    const now = this.#now()
    if (error.code === 'dns-not-found') {
      const errorUntil = now + this.#limits.negativeTtlMs
      this.#entries.set(host, { ...NOTHING, error, errorUntil })
      return
    }
    const before = this.#entries.get(host) ?? NOTHING
    const stale = before.addresses !== null && now < before.staleUntil
    const errorUntil = now + (stale ? RECHECK_MS : FAILURE_MS)
    this.#entries.set(host, { ...(stale ? before : NOTHING), error, errorUntil })
  }
}
