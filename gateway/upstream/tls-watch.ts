// Everything that a TLS connection to a server tells about itself, noted from the first moment. Node destroys the
// handle together with its error, and emits tickets and ends while nobody may be listening yet, so what is not noted
// when it happens cannot be asked for later.
import type { TLSSocket } from 'node:tls'
import { type CertificateSeen, readChain } from './certificate-chain.ts'
import { readServerProof, type ServerProof } from './server-proof.ts'
import { ignoreErrors } from './sockets.ts'

export interface ServerSeen {
  /** Lower-case hex over the DER; null where there is none. */
  readonly certificateSha256: string | null
  readonly protocol: string | null
  /** The IANA name. */
  readonly cipher: string | null
  readonly resumed: boolean
  /** Of the key exchange, by OpenSSL's name; null where Node does not tell it, as of post-quantum ones. */
  readonly group: string | null
  /** Leaf first; empty on a resumed session. */
  readonly chain: readonly CertificateSeen[]
  /** Null on a resumed session. */
  readonly proof: ServerProof | null
}

export interface TlsWatch {
  /** The server sent a CertificateRequest. */
  readonly asked: boolean
  /** Set when the handshake's messages are through; what fails after that is our verdict or the server's. */
  readonly seen: ServerSeen | null
  /** The server sent a session ticket. */
  readonly ticket: boolean
  readonly failure: Error | null
  /** The server ended its side, or the socket is closed. */
  readonly ended: boolean
  /** Called at each change; at most one listener. */
  onChange: (() => void) | null
}

type State = { -readonly [Key in keyof TlsWatch]: TlsWatch[Key] }

/**
 * Must be called in the tick in which `tls.connect` returned. The socket has an `error` listener from then on. `early`: what
 * ends below TLS 1.3 is to be told apart too, which costs a call for each secret of the handshake.
 */
export function watchTls(socket: TLSSocket, early = true): TlsWatch {
  const state: State = {
    asked: false,
    seen: null,
    ticket: false,
    failure: null,
    ended: false,
    onChange: null,
  }
  const onEnd = (): void => {
    state.ended = true
    state.onChange?.()
  }
  ignoreErrors(socket)
  // Below TLS 1.3 a refusal ends the handshake, and by then the handle is gone. Keys are derived after the
  // CertificateRequest was read, so this is the place to look; the line itself is a secret and is not touched.
  if (early) {
    socket.on('keylog', () => {
      if (!state.asked && wasAsked(socket)) state.asked = true
    })
  }
  // Before Node's own listener, which judges the certificate and may destroy the socket.
  socket.prependOnceListener('secure', () => {
    const resumed = socket.isSessionReused()
    // Who resumes is asked for nothing (RFC 8446 §4.3.2).
    if (!resumed) state.asked = wasAsked(socket)
    state.seen = resumed ? lookAtResumed(socket) : look(socket)
    state.onChange?.()
  })
  // A listener for tickets must be there before the handshake is over, or Node does not pass them on.
  socket.on('session', () => {
    state.ticket = true
    state.onChange?.()
  })
  socket.once('error', (failure: Error) => {
    state.failure = failure
    state.onChange?.()
  })
  // Each comes once; once() would keep a wrapper and its state for each session.
  socket.on('end', onEnd)
  socket.on('close', onEnd)
  return state
}

/** A client gets the server's signature algorithms in a CertificateRequest alone (RFC 8446 §4.3.2, RFC 5246 §7.4.4). */
function wasAsked(socket: TLSSocket): boolean {
  const algorithms: unknown = socket.getSharedSigalgs()
  return Array.isArray(algorithms) && algorithms.length > 0
}

function look(socket: TLSSocket): ServerSeen {
  // Not getPeerX509Certificate(): called before Node's own check, it leaves that check an empty certificate (24.21.0).
  const peer = socket.getPeerCertificate(true)
  const fingerprint: unknown = peer.fingerprint256
  return {
    chain: readChain(peer),
    proof: readServerProof(peer),
    certificateSha256: typeof fingerprint === 'string' ? fingerprint.replaceAll(':', '').toLowerCase() : null,
    protocol: socket.getProtocol(),
    cipher: socket.getCipher().standardName,
    resumed: socket.isSessionReused(),
    group: groupOf(socket),
  }
}

/** What it proved stands with the session that was resumed. */
function lookAtResumed(socket: TLSSocket): ServerSeen {
  const [protocol, cipher] = [socket.getProtocol(), socket.getCipher().standardName]
  return { chain: [], proof: null, certificateSha256: null, protocol, cipher, resumed: true, group: null }
}

function groupOf(socket: TLSSocket): string | null {
  const info: unknown = socket.getEphemeralKeyInfo()
  return typeof info === 'object' && info !== null && 'name' in info && typeof info.name === 'string'
    ? info.name
    : null
}
