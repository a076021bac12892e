// Speaks TLS to the server over a connected socket: sends the name, presents the workload's client certificate,
// verifies chain, name and pins. Node sends our certificate before it judges the server's, so an impostor learns the
// certificate (which is public) and never gets a byte of the session.
import { isIP, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { connect, type PeerCertificate, type TLSSocket } from 'node:tls'
import type { ClientCertificateEntry } from '../config/types.ts'
import { letGoWhenClosed } from '../let-go.ts'
import { laidOver } from '../reset.ts'
import { within } from './budget.ts'
import { secureContextFor, selectClientCertificate } from './client-certificates.ts'
import { describePlaintext } from './plaintext.ts'
import { PlaintextSuspects, tap } from './plaintext-tap.ts'
import { type Resumption, startResumption } from './resumption.ts'
import { judgeServerCertificate } from './server-identity.ts'
import { SessionCache } from './session-cache.ts'
import { tlsFailure } from './tls-failures.ts'
import { type TlsWatch, watchTls } from './tls-watch.ts'
import { type ProvenUpstream, UpstreamError, type UpstreamFacts, type UpstreamRequest } from './types.ts'

/** What one connection leaves behind for the next. */
export interface TlsMemory {
  readonly sessions: SessionCache
  readonly suspects: PlaintextSuspects
}

export function createTlsMemory(): TlsMemory {
  return { sessions: new SessionCache(), suspects: new PlaintextSuspects() }
}

export interface TlsConnection {
  readonly socket: TLSSocket
  readonly watch: TlsWatch
  /** The server asks for client certificates: it did so now, or when the session that was resumed began. */
  readonly asked: boolean
  /** A client certificate was configured for this workload; whether the server wanted it is `asked`. */
  readonly presented: boolean
  readonly proven: ProvenUpstream
  /** To be told when the server has accepted us, and when it takes that back. */
  readonly resumption: Pick<Resumption, 'confirmed' | 'failed'>
}

type Request = Pick<UpstreamRequest, 'destination' | 'host' | 'port' | 'workload' | 'onTls'>

/**
 * Rejects with an UpstreamError of an `upstream-tls-…` code. `facts` is filled as far as the handshake came, so that
 * the record of a refused certificate holds its digest. `raw` is left to the caller to reset.
 */
export async function originate(
  raw: Socket,
  request: Request,
  facts: UpstreamFacts,
  signal: AbortSignal,
  memory: TlsMemory,
): Promise<TlsConnection> {
  const { destination, host, port, workload } = request
  const name = destination.serverName ?? host
  const entry = workload === null ? null : selectClientCertificate(destination.clientCertificates, workload)
  const resumption = startResumption(memory.sessions, { destination, entry, host, port, name })
  // A TLS socket takes this from the socket below it, whatever its own options say.
  raw.allowHalfOpen = true
  const endpoint = `${destination.name} ${host}:${port}`
  const tapped = memory.suspects.has(endpoint) ? tap(raw) : null
  const socket = startTls(tapped?.stream ?? raw, request, entry, name, resumption)
  laidOver(raw, socket)
  letGoWhenClosed(socket)
  const watch = watchTls(socket, !resumption.offersTls13)
  resumption.follow(socket, watch)
  request.onTls?.(socket)
  if (isIP(name) === 0) facts.serverName = name
  try {
    await within(signal, 'upstream-tls-timeout', () => handshake(socket, watch, entry !== null))
    checkAlpn(socket, destination.alpn)
    facts.nameProof = 'certificate'
    memory.suspects.delete(endpoint)
  } catch (error) {
    resumption.failed()
    if (!(error instanceof UpstreamError) || error.code !== 'upstream-tls-plaintext') throw error
    memory.suspects.add(endpoint)
    throw withFirstBytes(error, tapped?.first())
  } finally {
    fillFacts(facts, watch, entry, resumption)
  }
  const origin = resumption.origin()
  const asked = origin?.asked ?? watch.asked
  const proven = { entry, server: origin?.proof ?? watch.seen?.proof ?? null }
  return { socket, watch, asked, presented: entry !== null, proven, resumption }
}

function startTls(
  below: Duplex,
  { destination }: Request,
  entry: ClientCertificateEntry | null,
  name: string,
  { session, shares }: Resumption,
): TLSSocket {
  return connect({
    socket: below,
    secureContext: secureContextFor(destination, entry, shares),
    // RFC 6066 §3: an IP address is never sent as server name; the certificate must have it as IP SAN.
    ...(isIP(name) === 0 ? { servername: name } : {}),
    ...(destination.alpn.length === 0 ? {} : { ALPNProtocols: [...destination.alpn] }),
    ...(session === null ? {} : { session }),
    // Said out loud because NODE_TLS_REJECT_UNAUTHORIZED=0 in the environment changes the default.
    rejectUnauthorized: true,
    // Not called where the session is resumed: what it verified then is in the session's key.
    checkServerIdentity: (_name: string, peer: PeerCertificate) =>
      judgeServerCertificate({ name, pins: destination.pins }, peer),
  })
}

async function handshake(socket: TLSSocket, watch: TlsWatch, presented: boolean): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const onError = (error: Error): void => {
    const { asked, seen } = watch
    reject(tlsFailure(error, { asked, presented, finished: seen !== null, chain: seen?.chain ?? [] }))
  }
  const onClose = (): void => {
    onError(Object.assign(new Error('closed during the handshake'), { code: 'ECONNRESET' }))
  }
  socket.on('secureConnect', resolve).on('error', onError).on('close', onClose)
  try {
    await promise
  } finally {
    socket.off('secureConnect', resolve).off('error', onError).off('close', onClose)
  }
}

/**
 * A server that does not know ALPN leaves it out (RFC 7301 §3.1), and would then be spoken to in a protocol that it never
 * agreed to: an HTTP/2 client behind us cannot see that nothing was agreed. So a list means one of its protocols.
 */
function checkAlpn({ alpnProtocol }: TLSSocket, wanted: readonly string[]): void {
  if (wanted.length === 0 || (typeof alpnProtocol === 'string' && wanted.includes(alpnProtocol))) return
  throw new UpstreamError('upstream-tls-alpn', `the server selected none of ${wanted.join(', ')}`)
}

function withFirstBytes(error: UpstreamError, first: Uint8Array | undefined): UpstreamError {
  const said = first === undefined ? null : describePlaintext(first)
  if (said === null) return error
  return new UpstreamError(error.code, `${error.message}; ${said}`, { cause: error.cause })
}

function fillFacts(
  facts: UpstreamFacts,
  { asked, seen }: TlsWatch,
  entry: ClientCertificateEntry | null,
  resumption: Resumption,
): void {
  if (asked && entry !== null) facts.clientCertificateSha256 = entry.keyPair.leafSha256
  if (seen === null) return
  facts.tlsVersion = seen.protocol
  facts.cipher = seen.cipher
  facts.resumed = seen.resumed
  facts.certificateSha256 = seen.certificateSha256
  const origin = resumption.origin()
  if (origin === null) return
  facts.certificateSha256 = origin.certificateSha256
  facts.clientCertificateSha256 = origin.clientCertificateSha256
}
