// The server's side of TLS over a connection that was accepted before, with its socket in our hands from the first moment.
// Node's tls.Server keeps that socket to itself until the handshake is over, but from whoever has each of its secrets told,
// which takes a fiftieth of a session; and by then the peer's chain is gone (nodejs/node#65579). So what tls.Server does around
// a tls.TLSSocket is done here. For that, four things of Node (24.21.0) are used that it does not document: the events
// `secure` and `_tlsError`, how OpenSSL's verdict is asked for, and that a socket keeps its errors to itself until it is let go.
import type { Socket } from 'node:net'
import { PassThrough } from 'node:stream'
import tls from 'node:tls'
import { ignoreErrors } from '../../upstream/sockets.ts'
import { type PeerChain, readPeerChain } from '../identify.ts'

export interface Secured {
  /** As the peer sent it, leaf first; empty where it sent none. */
  readonly chain: PeerChain
  /** Of the chain; `error` is OpenSSL's name, as `CERT_HAS_EXPIRED`. */
  readonly openssl: { readonly authorized: boolean; readonly error: string | null }
}

export interface ServerSideOptions {
  readonly secureContext: tls.SecureContext
  readonly alpnProtocols: readonly string[]
  /** Once, unless the socket was destroyed meanwhile, which is a failure. Its errors are for whoever listens from then on. */
  readonly onSecured: (socket: tls.TLSSocket, secured: Secured) => void
  /** The handshake failed, or the socket closed in the middle of it; `ECONNRESET` is a peer that went away. Maybe twice. */
  readonly onFailed: (error: Error) => void
  /** The peer ended its side in the middle of the handshake: half-open as the socket is, nobody else would notice. */
  readonly onEnd: () => void
}

const UNKNOWN = 'its TLS sockets do not tell whether OpenSSL believes the peer'

/** What Node does not document, as it has it. */
interface Internals {
  readonly verdict: () => unknown
  readonly letGo: () => void
}

/**
 * Begins the handshake over `raw`, whose bytes wait in it. Asks for a client certificate and refuses nobody: that is left to
 * `onSecured`. The socket is half-open if `raw` is.
 */
export function openServerSide(raw: Socket, options: ServerSideOptions): tls.TLSSocket {
  const { secureContext, alpnProtocols, onSecured, onFailed, onEnd } = options
  const socket = new tls.TLSSocket(raw, {
    isServer: true,
    secureContext,
    requestCert: true,
    rejectUnauthorized: false,
    ALPNProtocols: [...alpnProtocols],
  })
  const onClose = (): void => onFailed(hungUp())
  // There must never be none that listens, nor is there in tls.Server.
  ignoreErrors(socket)
  socket.on('_tlsError', onFailed).on('error', onFailed).on('close', onClose).on('end', onEnd)
  socket.once('secure', () => {
    // Its `close` is still to come, and is what tells of it.
    if (socket.destroyed) return
    socket.off('_tlsError', onFailed).off('error', onFailed).off('close', onClose).off('end', onEnd)
    const chain = readPeerChain(socket)
    const internals = internalsOf(socket)
    internals?.letGo()
    onSecured(socket, { chain, openssl: judge(internals, chain) })
  })
  return socket
}

/** @throws where this Node has otherwise what it does not document: each client would be refused, and nobody would know why. */
export function assertServerSide(secureContext: tls.SecureContext): void {
  const socket = new tls.TLSSocket(new PassThrough(), { isServer: true, secureContext })
  try {
    if (internalsOf(socket) === null) throw new Error(`Node ${process.versions.node}: ${UNKNOWN}`)
  } finally {
    socket.destroy()
  }
}

function hungUp(): Error {
  return Object.assign(new Error('closed during the handshake'), { code: 'ECONNRESET' })
}

/** Null where this Node has them otherwise. */
function internalsOf(socket: tls.TLSSocket): Internals | null {
  const handle: unknown = Reflect.get(socket, '_handle')
  const verifyError: unknown = isObject(handle) ? Reflect.get(handle, 'verifyError') : null
  const releaseControl: unknown = Reflect.get(socket, '_releaseControl')
  if (typeof verifyError !== 'function' || typeof releaseControl !== 'function') return null
  return {
    verdict: () => Reflect.apply(verifyError, handle, []) as unknown,
    letGo() {
      Reflect.apply(releaseControl, socket, [])
      // HTTP/2 would wait for `secureConnect`, which is a client's.
      Reflect.set(socket, 'secureConnecting', false)
    },
  }
}

/** Only what is known to be OpenSSL's yes is one. */
function judge(internals: Internals | null, chain: PeerChain): Secured['openssl'] {
  if (internals === null) return { authorized: false, error: UNKNOWN }
  const verdict = internals.verdict()
  if (verdict !== null) return { authorized: false, error: nameOf(verdict) }
  // OpenSSL finds no fault in a resumed session either, which shows no certificate.
  if (chain.length === 0) return { authorized: false, error: 'UNABLE_TO_GET_ISSUER_CERT' }
  return { authorized: true, error: null }
}

function nameOf(verdict: unknown): string {
  return isObject(verdict) && 'code' in verdict ? String(verdict.code) : 'unknown'
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}
