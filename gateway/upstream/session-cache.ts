// The TLS sessions that servers gave us for a next time, by a key that says everything which the full handshake verified
// (resumption.ts): on a resumed session Node checks neither chain nor name nor pins, so a session under a wrong key is an
// unverified server. Holds secrets of old sessions, in memory alone, few of them and for an hour at most.
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

/** Servers give two with each full handshake; a few dials at once want one each. */
const MAX_PER_KEY = 4
/** A server chooses how long its tickets are, up to 64 KiB; those of real ones are about one. */
const MAX_SESSION_BYTES = 16 * 1024
const MAX_BYTES = 16 * 1024 * 1024

export interface SessionCacheOptions {
  /** Milliseconds since 1970; default `Date.now`. */
  readonly now?: () => number
  /** Of all sessions together. */
  readonly maxBytes?: number
}

export class SessionCache {
  /** The least recently used key first. */
  readonly #keys = new Map<string, StoredSession[]>()
  readonly #now: () => number
  readonly #maxBytes: number
  #bytes = 0

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
    const kept = this.#remove(key).filter(({ origin }) => origin.endsAt > this.#now())
    const newest = kept.at(-1) ?? null
    this.#add(key, newest?.singleUse === true ? kept.slice(0, -1) : kept)
    return newest
  }

  put(key: string, stored: StoredSession): void {
    if (stored.session.length > MAX_SESSION_BYTES || stored.origin.endsAt <= this.#now()) return
    // A session of TLS 1.2 is good for any number of times, so the newest alone is worth its place.
    const others = this.#remove(key).filter(({ singleUse }) => singleUse && stored.singleUse)
    this.#add(key, [...others, stored].slice(-MAX_PER_KEY))
    for (const oldest of this.#keys.keys()) {
      if (this.#bytes <= this.#maxBytes) break
      this.#remove(oldest)
    }
  }

  /** For sessions that did no good. */
  forget(key: string): void {
    this.#remove(key)
  }

  #add(key: string, sessions: StoredSession[]): void {
    if (sessions.length === 0) return
    this.#keys.set(key, sessions)
    this.#bytes += sizeOf(sessions)
  }

  #remove(key: string): readonly StoredSession[] {
    const sessions = this.#keys.get(key) ?? []
    this.#keys.delete(key)
    this.#bytes -= sizeOf(sessions)
    return sessions
  }
}

function sizeOf(sessions: readonly StoredSession[]): number {
  return sessions.reduce((sum, { session }) => sum + session.length, 0)
}
