// Speaks TLS to the server over a connected socket: sends the name, presents the workload's client certificate,
// verifies chain, name and pins. Node sends our certificate before it judges the server's, so an impostor learns the
// certificate (which is public) and never gets a byte of the session.
import { isIP, type Socket } from 'node:net'
import { connect, type PeerCertificate, type TLSSocket } from 'node:tls'
import type { ClientCertificateEntry } from '../config/types.ts'
import { within } from './budget.ts'
import { secureContextFor, selectClientCertificate } from './client-certificates.ts'
import { judgeServerCertificate } from './server-identity.ts'
import { tlsFailure } from './tls-failures.ts'
import { type TlsWatch, watchTls } from './tls-watch.ts'
import type { UpstreamFacts, UpstreamRequest } from './types.ts'

export interface TlsConnection {
  readonly socket: TLSSocket
  readonly watch: TlsWatch
  /** A client certificate was configured for this workload; whether the server wanted it is `watch.asked`. */
  readonly presented: boolean
}

/**
 * Rejects with an UpstreamError of an `upstream-tls-…` code. `facts` is filled as far as the handshake came, so that
 * the record of a refused certificate holds its digest. `raw` is left to the caller to reset.
 */
export async function originate(
  raw: Socket,
  request: Pick<UpstreamRequest, 'destination' | 'host' | 'workload' | 'onTls'>,
  facts: UpstreamFacts,
  signal: AbortSignal,
): Promise<TlsConnection> {
  const { destination, host, workload } = request
  const name = destination.serverName ?? host
  const entry = workload === null ? null : selectClientCertificate(destination.clientCertificates, workload)
  // A TLS socket takes this from the socket below it, whatever its own options say.
  raw.allowHalfOpen = true
  const socket = connect({
    socket: raw,
    secureContext: secureContextFor(destination, entry),
    // RFC 6066 §3: an IP address is never sent as server name; the certificate must have it as IP SAN.
    ...(isIP(name) === 0 ? { servername: name } : {}),
    ...(destination.alpn.length === 0 ? {} : { ALPNProtocols: [...destination.alpn] }),
    // Said out loud because NODE_TLS_REJECT_UNAUTHORIZED=0 in the environment changes the default.
    rejectUnauthorized: true,
    checkServerIdentity: (_name: string, peer: PeerCertificate) =>
      judgeServerCertificate({ name, pins: destination.pins }, peer),
  })
  const watch = watchTls(socket)
  request.onTls?.(socket)
  if (isIP(name) === 0) facts.serverName = name
  try {
    await within(signal, 'upstream-tls-timeout', () => handshake(socket, watch, entry !== null))
    facts.nameProof = 'certificate'
  } finally {
    fillFacts(facts, watch, entry)
  }
  return { socket, watch, presented: entry !== null }
}

async function handshake(socket: TLSSocket, watch: TlsWatch, presented: boolean): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const onError = (error: Error): void => {
    reject(tlsFailure(error, { asked: watch.asked, presented, finished: watch.seen !== null }))
  }
  const onClose = (): void => {
    onError(Object.assign(new Error('closed during the handshake'), { code: 'ECONNRESET' }))
  }
  socket.once('secureConnect', resolve).once('error', onError).once('close', onClose)
  try {
    await promise
  } finally {
    socket.off('secureConnect', resolve).off('error', onError).off('close', onClose)
  }
}

function fillFacts(facts: UpstreamFacts, watch: TlsWatch, entry: ClientCertificateEntry | null): void {
  if (watch.asked && entry !== null) facts.clientCertificateSha256 = entry.keyPair.leafSha256
  if (watch.seen === null) return
  facts.tlsVersion = watch.seen.protocol
  facts.cipher = watch.seen.cipher
  facts.resumed = watch.seen.resumed
  facts.certificateSha256 = watch.seen.certificateSha256
}
