// Resuming TLS with a server (design §6): which session is offered, what a resumed connection's record says, and which new
// sessions are kept. Security rests on the key: what it does not tell apart, a resumed handshake does not tell apart
// either, since Node asks a resumed session for no certificate and shows the server the old client certificate.
import { createHash } from 'node:crypto'
import type { TLSSocket } from 'node:tls'
import type { ClientCertificateEntry, Destination } from '../config/types.ts'
import type { KeyShares } from './client-certificates.ts'
import type { SessionCache, SessionOrigin } from './session-cache.ts'
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

const generations = new WeakMap<Destination, number>()
let generation = 0
const digests = new WeakMap<readonly string[], string>()

/** Everything that the full handshake was verified with, as one text. */
export function sessionKey({ destination, entry, host, port, name }: SessionScope): string {
  const { roots, pins, minVersion, alpn } = destination
  const verified = [
    // A destination that was replaced is another one, whatever was changed in it.
    generationOf(destination),
    ...[destination.name, host, port, name],
    entry?.keyPair.leafSha256 ?? null,
    roots === 'system' ? roots : digestOf(roots),
    ...[pins, minVersion, alpn],
  ]
  return createHash('sha256').update(JSON.stringify(verified)).digest('base64')
}

function generationOf(destination: Destination): number {
  const known = generations.get(destination)
  if (known !== undefined) return known
  generation += 1
  generations.set(destination, generation)
  return generation
}

function digestOf(roots: readonly string[]): string {
  const digest = digests.get(roots) ?? createHash('sha256').update(roots.join('\n')).digest('hex')
  digests.set(roots, digest)
  return digest
}

export interface Resumption {
  /** To offer; null = there is none, and the handshake is a full one. */
  readonly session: Buffer | null
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
  const key = sessionKey(scope)
  const offered = sessions.take(key)
  const waiting: Buffer[] = []
  let watch: TlsWatch | null = null
  let verified: SessionOrigin | null = null
  let keep = false
  const resumed = (): boolean => offered !== null && watch?.seen?.resumed === true
  const store = (session: Buffer): void => {
    if (watch === null) return
    // A ticket that comes on a resumed session is worth no more than the verification that it goes back to.
    const origin = resumed() ? (offered?.origin ?? null) : verified
    const singleUse = watch.seen?.protocol !== 'TLSv1.2'
    if (origin === null) return
    // Below TLS 1.3 Node takes a session without a certificate for one of a server that showed none, and refuses it.
    sessions.put(key, { session: singleUse ? withoutPeer(session) : session, origin, singleUse })
  }
  return {
    session: offered?.session ?? null,
    shares: offered?.origin.shares ?? 'all',
    origin: () => (resumed() ? (offered?.origin ?? null) : null),
    follow(socket, watched) {
      watch = watched
      socket.on('session', (session: Buffer) => {
        if (keep) store(session)
        else if (waiting.length < MAX_WAITING) waiting.push(session)
      })
    },
    confirmed() {
      keep = true
      // Now and not when a ticket comes, which may be hours later.
      if (watch !== null) verified = originOf(watch, scope, now())
      for (const session of waiting.splice(0)) store(session)
    },
    failed() {
      keep = false
      waiting.length = 0
      sessions.forget(key)
    },
  }
}

/** Ends an hour after the verification, or with the first certificate that it rests on. */
function originOf(watch: TlsWatch, { entry }: SessionScope, now: number): SessionOrigin {
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
