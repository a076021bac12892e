// Resuming TLS with a server (design §6): which session is offered, what a resumed connection's record says, and which new
// sessions are kept. Security rests on the key: what it does not tell apart, a resumed handshake does not tell apart
// either, since Node asks a resumed session for no certificate and shows the server the old client certificate.
import { createHash } from 'node:crypto'
import type { TLSSocket } from 'node:tls'
import type { ClientCertificateEntry, Destination } from '../config/types.ts'
import type { KeyShares } from './client-certificates.ts'
import type { KeyOwner, SessionCache, SessionOrigin } from './session-cache.ts'
import { withoutPeer } from './session-der.ts'
import type { TlsWatch } from './tls-watch.ts'

export interface SessionScope {
  readonly destination: Destination
  readonly entry: ClientCertificateEntry | null
  /** The host that was asked for: with a pattern and one `serverName`, several hosts answer to one name. */
  readonly host: string
  readonly port: number
  /** What is verified. */
  readonly name: string
}

const HOUR_MS = 3_600_000
/** Until the connection is confirmed. A server may send any number of tickets. */
const MAX_WAITING = 4

/** One for each state of a destination, which all its sessions share; in the order in which they came into force. */
const owners = new WeakMap<Destination, KeyOwner>()
let generation = 0
/** What a destination has in each of its keys, as one short text, and what that was made of. */
interface Digested extends Pick<Destination, (typeof VERIFIED)[number]> {
  readonly digest: string
}

/** What is verified of all that a destination says. */
const VERIFIED = ['name', 'roots', 'pins', 'minVersion', 'alpn'] as const
const digests = new WeakMap<Destination, Digested>()

/** Everything that the full handshake was verified with, as one text. */
export function sessionKey({ destination, entry, host, port, name }: SessionScope): string {
  return JSON.stringify([digestOf(destination), host, port, name, entry?.keyPair.leafSha256 ?? null])
}

/**
 * To be called in the turn in which a request was matched: its way out may take seconds, and by then the destination may
 * have been replaced by one that was spoken to already. The older one would be taken for the newer.
 */
export function matched(destination: Destination): void {
  ownerOf(destination)
}

function ownerOf(destination: Destination): KeyOwner {
  const known = owners.get(destination)
  if (known !== undefined) return known
  generation += 1
  const owner = { destination: destination.name, generation }
  owners.set(destination, owner)
  return owner
}

function digestOf(destination: Destination): string {
  const known = digests.get(destination)
  if (known !== undefined && VERIFIED.every((key) => known[key] === destination[key])) return known.digest
  const { name, roots, pins, minVersion, alpn } = destination
  // A destination that was replaced is another one, whatever was changed in it.
  const verified = [ownerOf(destination).generation, name, roots, pins, minVersion, alpn]
  const digest = createHash('sha256').update(JSON.stringify(verified)).digest('base64')
  digests.set(destination, { name, roots, pins, minVersion, alpn, digest })
  return digest
}

export interface Resumption {
  /** To offer; null = there is none, and the handshake is a full one. */
  readonly session: Buffer | null
  /** It is one of TLS 1.3, which the server is as good as certain to speak again. */
  readonly offersTls13: boolean
  /** What to offer keys for with it: a full handshake asks for the best that the server has. */
  readonly shares: KeyShares
  /** What the full handshake showed, where this one resumed it; else null. Known when the handshake is over. */
  origin(): SessionOrigin | null
  /** Attaches to the socket that offers the session, in the tick in which it was made. */
  follow(socket: TLSSocket, watch: TlsWatch): void
  /** The server has accepted us as far as TLS shows it: its sessions are kept from now on. */
  confirmed(): void
  /** The connection failed in a way that may be the old session's fault: the next handshake is full. */
  failed(): void
}

/** Takes a session out of the cache, to be offered on one connection. */
export function startResumption(
  sessions: SessionCache,
  scope: SessionScope,
  now: () => number = Date.now,
): Resumption {
  return new TicketKeeper(sessions, scope, now)
}

/** Kept with each session for tickets that come late: a class costs it half of what closures would. */
class TicketKeeper implements Resumption {
  readonly session: Buffer | null
  readonly offersTls13: boolean
  readonly shares: KeyShares
  readonly #sessions: SessionCache
  readonly #key: string
  readonly #owner: KeyOwner
  readonly #now: () => number
  readonly #entry: ClientCertificateEntry | null
  readonly #offered: SessionOrigin | null
  #waiting: Buffer[] = []
  #watch: TlsWatch | null = null
  #verified: SessionOrigin | null = null
  #keep = false

  constructor(sessions: SessionCache, scope: SessionScope, now: () => number) {
    this.#key = sessionKey(scope)
    this.#owner = ownerOf(scope.destination)
    const offered = sessions.take(this.#key)
    this.session = offered?.session ?? null
    this.offersTls13 = offered?.singleUse === true
    this.shares = offered?.origin.shares ?? 'all'
    this.#sessions = sessions
    this.#now = now
    this.#entry = scope.entry
    this.#offered = offered?.origin ?? null
  }

  origin(): SessionOrigin | null {
    return this.#watch?.seen?.resumed === true ? this.#offered : null
  }

  follow(socket: TLSSocket, watch: TlsWatch): void {
    this.#watch = watch
    socket.on('session', (session: Buffer) => {
      if (this.#keep) this.#store(session)
      else if (this.#waiting.length < MAX_WAITING) this.#waiting.push(session)
    })
  }

  confirmed(): void {
    this.#keep = true
    // Now and not when a ticket comes, which may be hours later.
    if (this.#watch !== null && this.origin() === null)
      this.#verified = originOf(this.#watch, this.#entry, this.#now())
    for (const session of this.#waiting.splice(0)) this.#store(session)
  }

  failed(): void {
    this.#keep = false
    this.#waiting = []
    this.#sessions.forget(this.#key)
  }

  #store(session: Buffer): void {
    if (this.#watch === null) return
    // A ticket that comes on a resumed session is worth no more than the verification that it goes back to.
    const origin = this.origin() ?? this.#verified
    const singleUse = this.#watch.seen?.protocol !== 'TLSv1.2'
    if (origin === null) return
    // Below TLS 1.3 Node takes a session without a certificate for one of a server that showed none, and refuses it.
    const kept = singleUse ? withoutPeer(session) : session
    this.#sessions.put(this.#key, { session: kept, origin, singleUse }, this.#owner)
  }
}

/** Ends an hour after the verification, or with the first certificate that it rests on. */
function originOf(watch: TlsWatch, entry: ClientCertificateEntry | null, now: number): SessionOrigin {
  const chain = watch.seen?.chain ?? []
  const presented = watch.asked ? entry : null
  const ends = [
    now + HOUR_MS,
    ...chain.map(({ validTo }) => validTo.getTime()),
    ...(entry === null ? [] : [entry.keyPair.leaf.validToDate.getTime()]),
  ]
  return {
    certificateSha256: watch.seen?.certificateSha256 ?? null,
    proof: watch.seen?.proof ?? null,
    shares: watch.seen?.group === 'X25519' ? 'x25519' : 'all',
    asked: watch.asked,
    clientCertificateSha256: presented?.keyPair.leafSha256 ?? null,
    endsAt: Math.min(...ends),
  }
}
