// The TLS sessions that servers gave us for a next time, by a key that says everything which the full handshake verified
// (resumption.ts): on a resumed session Node checks neither chain nor name nor pins, so a session under a wrong key is an
// unverified server. Holds secrets of old sessions, in memory alone, few of them, for an hour at most and no longer than their
// destination stays what it is.
import type { ServerProof } from './server-proof.ts'
import type { KeyShares } from './client-certificates.ts'

/** What the full handshake showed, which a resumed one cannot show again. */
export interface SessionOrigin {
  /** Lower-case hex over the server's leaf. */
  readonly certificateSha256: string | null
  readonly proof: ServerProof | null
  /** What the server, as it chose then, needs keys for. */
  readonly shares: KeyShares
  /** The server asked for a client certificate. */
  readonly asked: boolean
  /** Null where the server did not ask or we had none. */
  readonly clientCertificateSha256: string | null
  /** Milliseconds since 1970. */
  readonly endsAt: number
}

export interface StoredSession {
  /** As Node's `session` event gives it and `tls.connect` takes it. */
  readonly session: Buffer
  readonly origin: SessionOrigin
  /** A ticket of TLS 1.3, which is used once (RFC 8446 appendix C.4): two uses tell an onlooker that they are one client. */
  readonly singleUse: boolean
}

/**
 * Servers give one or two with each handshake, and dials at once want one each: with four, one of twenty dials found none
 * while sixteen were under way.
 */
const MAX_PER_KEY = 16
/** A server chooses how long its tickets are, up to 64 KiB; those of real ones are about one. */
const MAX_SESSION_BYTES = 16 * 1024
const MAX_BYTES = 16 * 1024 * 1024

/**
 * How often sessions that have ended are looked for: a key that nobody asks for any more would keep its secrets. By a timer,
 * since a gateway that dials no more, or no more by TLS, neither takes nor puts.
 */
const SWEEP_MS = 60_000

/** What a key speaks of. Nobody asks for keys of an earlier state of a destination any more. */
export interface KeyOwner {
  readonly destination: string
  /** Grows with each change of the destination. */
  readonly generation: number
}

/** The sessions of one key, the newest last. */
class Entry {
  destination: string | null = null
  readonly #sessions: StoredSession[] = []
  #bytes = 0

  get bytes(): number {
    return this.#bytes
  }

  get length(): number {
    return this.#sessions.length
  }

  get newest(): StoredSession | null {
    return this.#sessions.at(-1) ?? null
  }

  add(stored: StoredSession): void {
    this.#sessions.push(stored)
    this.#bytes += stored.session.length
    if (this.#sessions.length > MAX_PER_KEY) this.#drop(0)
  }

  dropNewest(): void {
    this.#drop(this.#sessions.length - 1)
  }

  keep(wanted: (stored: StoredSession) => boolean): void {
    for (let at = this.#sessions.length - 1; at >= 0; at--) {
      const stored = this.#sessions[at]
      if (stored !== undefined && !wanted(stored)) this.#drop(at)
    }
  }

  #drop(at: number): void {
    for (const { session } of this.#sessions.splice(at, 1)) this.#bytes -= session.length
  }
}

export interface SessionCacheOptions {
  /** Milliseconds since 1970; default `Date.now`. */
  readonly now?: () => number
  /** Of all sessions together. */
  readonly maxBytes?: number
}

export class SessionCache {
  /** The least recently used key first. */
  readonly #keys = new Map<string, Entry>()
  /** The keys of each destination as it is now. */
  readonly #owned = new Map<string, { readonly generation: number; readonly keys: Set<string> }>()
  readonly #now: () => number
  readonly #maxBytes: number
  #bytes = 0
  #sweepComes = false

  constructor({ now = Date.now, maxBytes = MAX_BYTES }: SessionCacheOptions = {}) {
    this.#now = now
    this.#maxBytes = maxBytes
  }

  /** Of all sessions together. */
  get bytes(): number {
    return this.#bytes
  }

  /** The newest session of the key that has not ended; a single-use one is gone with it. */
  take(key: string): StoredSession | null {
    const entry = this.#remove(key)
    if (entry === null) return null
    this.#dropEnded(entry)
    const { newest } = entry
    if (newest?.singleUse === true) entry.dropNewest()
    this.#add(key, entry)
    return newest
  }

  /** Without an owner, the key is nobody's and ends with its sessions. */
  put(key: string, stored: StoredSession, owner?: KeyOwner): void {
    if (stored.session.length > MAX_SESSION_BYTES || stored.origin.endsAt <= this.#now()) return
    if (owner !== undefined && !this.#isCurrent(owner)) return
    const entry = this.#remove(key) ?? new Entry()
    // A session of TLS 1.2 is good for any number of times, so the newest alone is worth its place.
    entry.keep(({ singleUse }) => singleUse && stored.singleUse)
    entry.add(stored)
    if (owner !== undefined) this.#supersede(owner)
    entry.destination = owner?.destination ?? null
    this.#add(key, entry)
    for (const oldest of this.#keys.keys()) {
      if (this.#bytes <= this.#maxBytes) break
      this.#remove(oldest)
    }
  }

  /** For sessions that did no good. */
  forget(key: string): void {
    this.#remove(key)
  }

  #dropEnded(entry: Entry): void {
    const now = this.#now()
    entry.keep(({ origin }) => origin.endsAt > now)
  }

  #isCurrent({ destination, generation }: KeyOwner): boolean {
    return generation >= (this.#owned.get(destination)?.generation ?? generation)
  }

  /** Forgets all keys of the destination as it was before. */
  #supersede({ destination, generation }: KeyOwner): void {
    const before = this.#owned.get(destination)
    if (before?.generation === generation) return
    for (const key of before?.keys ?? []) this.#remove(key)
    this.#owned.set(destination, { generation, keys: new Set() })
  }

  #forgetEnded(): void {
    this.#sweepComes = false
    for (const [key, entry] of this.#keys) {
      const before = entry.bytes
      this.#dropEnded(entry)
      this.#bytes += entry.bytes - before
      if (entry.length === 0) this.#remove(key)
    }
    for (const [destination, { keys }] of this.#owned) if (keys.size === 0) this.#owned.delete(destination)
    if (this.#keys.size > 0) this.#sweepLater()
  }

  #sweepLater(): void {
    if (this.#sweepComes) return
    this.#sweepComes = true
    setTimeout(() => this.#forgetEnded(), SWEEP_MS).unref()
  }

  #add(key: string, entry: Entry): void {
    if (entry.length === 0) return
    this.#keys.set(key, entry)
    this.#bytes += entry.bytes
    if (entry.destination !== null) this.#owned.get(entry.destination)?.keys.add(key)
    this.#sweepLater()
  }

  #remove(key: string): Entry | null {
    const entry = this.#keys.get(key)
    if (entry === undefined) return null
    this.#keys.delete(key)
    this.#bytes -= entry.bytes
    if (entry.destination !== null) this.#owned.get(entry.destination)?.keys.delete(key)
    return entry
  }
}
