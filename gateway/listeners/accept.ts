// From an accepted TCP connection to a TLS connection whose peer is known. Owns the raw socket until then: its
// deadline, its errors, and the record of a connection that never got as far as a request. Trusts nothing it reads.
import net from 'node:net'
import tls from 'node:tls'
import type { Bundle } from '../../spiffe/bundle.ts'
import type { KeyPair, ListenerConfig } from '../config/types.ts'
import type { SourceFacts } from '../audit/events.ts'
import { type Identity, identify, type PeerChain, readPeerChain } from './identify.ts'

export interface ClientConnection {
  readonly id: string
  readonly raw: net.Socket
  readonly tls: tls.TLSSocket
  readonly source: SourceFacts
  readonly acceptedAt: Date
  readonly handshakeMs: number
  /** Judged afresh at each call, since a certificate can expire while its connection lives. */
  identity(): Identity
}

export interface AcceptOptions {
  readonly config: ListenerConfig
  readonly identity: KeyPair
  readonly bundle: Bundle
  readonly alpnProtocols: readonly string[]
  readonly newId: () => string
  readonly now: () => Date
  readonly handshakeTimeoutMs: number
  readonly onConnection: (connection: ClientConnection) => void
  /** A handshake was finished, whatever the identity is worth. */
  readonly onSecured: () => void
  /** A connection that sent something and ended before its handshake did. */
  readonly onFailure: (failure: AcceptFailure) => void
  /** A connection that sent nothing: a health check, a port scan. */
  readonly onProbe: () => void
  /** The number of raw connections held, after each change. */
  readonly onCount: (open: number) => void
}

export interface AcceptFailure {
  readonly id: string
  readonly source: SourceFacts
  readonly acceptedAt: Date
  readonly code: 'client-handshake-failed' | 'client-handshake-timeout' | 'client-closed'
  readonly detail: string | null
}

export interface Acceptor {
  readonly server: net.Server
  /** Sockets that are open, in any state. */
  readonly sockets: ReadonlySet<net.Socket>
}

/** A raw connection on its way through the handshake. */
interface Pending {
  readonly id: string
  readonly raw: net.Socket
  readonly source: SourceFacts
  readonly acceptedAt: Date
  readonly startedAt: number
  readonly deadline: NodeJS.Timeout
  chain: PeerChain
  chainAwaited: boolean
  state: 'first-byte' | 'handshake' | 'done'
}

/** AES-128-GCM first: it is the cheapest on the processors this runs on, and TLS 1.3 servers choose by client order else. */
const CIPHERS = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
].join(':')

/** SSL_OP_NO_TICKET: a ticket would resume an expired SVID as `authorized`. */
const SSL_OP_NO_TICKET = 0x4000

/** Makes the server; the caller listens. One options object, so that tests bring their own clock and ids. */
export function createAcceptor(options: AcceptOptions): Acceptor {
  return new TlsAcceptor(options)
}

class TlsAcceptor implements Acceptor {
  readonly server: net.Server
  readonly sockets = new Set<net.Socket>()
  readonly #options: AcceptOptions
  readonly #tls: tls.Server
  /** By the peer's and our own address: tls.Server's events do not say which raw socket they are about. */
  readonly #pending = new Map<string, Pending>()

  constructor(options: AcceptOptions) {
    this.#options = options
    this.#tls = this.#createTls()
    this.server = net.createServer({
      allowHalfOpen: true,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: 60_000,
    })
    this.server.on('connection', (raw) => this.#accept(raw))
  }

  #createTls(): tls.Server {
    const { config, identity, bundle, alpnProtocols } = this.#options
    const server = tls.createServer({
      cert: identity.chainPem,
      key: identity.key.reveal(),
      ca: bundle.x509Authorities.map((authority) => authority.toString()),
      requestCert: true,
      // OpenSSL's refusal would end the handshake without a word; ours can say why (design §4, Identify).
      rejectUnauthorized: false,
      minVersion: config.minVersion,
      ciphers: CIPHERS,
      honorCipherOrder: true,
      secureOptions: SSL_OP_NO_TICKET,
      sessionTimeout: 1,
      ALPNProtocols: [...alpnProtocols],
      allowHalfOpen: true,
      // Ours is the one deadline: Node's would destroy the socket without a record.
      handshakeTimeout: 2 * this.#options.handshakeTimeoutMs,
    })
    server.on('keylog', (_line, socket) => this.#captureChain(socket))
    server.on('secureConnection', (socket) => this.#secured(socket))
    server.on('tlsClientError', (error, socket) => this.#failed(this.#find(socket), error))
    return server
  }

  #accept(raw: net.Socket): void {
    const { remoteAddress, remotePort } = raw
    // The peer was gone before we looked: nothing was sent, so there is nothing to record.
    if (remoteAddress === undefined || remotePort === undefined) {
      raw.destroy()
      return this.#options.onProbe()
    }
    const pending: Pending = {
      id: this.#options.newId(),
      raw,
      source: { ip: canonicalIp(remoteAddress), port: remotePort, vpcEndpoint: null },
      acceptedAt: this.#options.now(),
      startedAt: performance.now(),
      deadline: setTimeout(() => this.#timedOut(pending), this.#options.handshakeTimeoutMs),
      chain: [],
      chainAwaited: false,
      state: 'first-byte',
    }
    this.sockets.add(raw)
    this.#options.onCount(this.sockets.size)
    const key = addressKey(raw)
    this.#pending.set(key, pending)
    raw.on('error', (error) => this.#failed(pending, error))
    raw.on('close', () => {
      this.#failed(pending, null)
      if (this.#pending.get(key) === pending) this.#pending.delete(key)
      this.sockets.delete(raw)
      this.#options.onCount(this.sockets.size)
    })
    this.#awaitFirstByte(pending)
  }

  /** TLS gets the socket only with its first byte: under `allowHalfOpen` it would hold a silent, closed peer for long. */
  #awaitFirstByte(pending: Pending): void {
    const { raw } = pending
    const onReadable = () => {
      const first: Buffer | null = raw.read()
      if (first === null) {
        if (raw.readableEnded || !raw.readable) raw.destroy()
        return
      }
      raw.off('readable', onReadable)
      raw.off('end', onEnd)
      raw.unshift(first)
      pending.state = 'handshake'
      this.#tls.emit('connection', raw)
    }
    const onEnd = () => raw.destroy()
    raw.on('readable', onReadable)
    raw.on('end', onEnd)
  }

  #captureChain(socket: tls.TLSSocket): void {
    const pending = this.#find(socket)
    // TLS 1.3 logs several secrets for one handshake; one look at the chain is enough.
    if (pending === undefined || pending.chainAwaited) return
    pending.chainAwaited = true
    socket.prependOnceListener('secure', () => {
      pending.chain = readPeerChain(socket)
    })
  }

  #secured(socket: tls.TLSSocket): void {
    const pending = this.#find(socket)
    if (pending === undefined) {
      socket.destroy()
      return
    }
    clearTimeout(pending.deadline)
    pending.state = 'done'
    this.#pending.delete(addressKey(pending.raw))
    const openssl = {
      authorized: socket.authorized,
      error: socket.authorizationError === undefined ? null : String(socket.authorizationError),
    }
    const { bundle, now } = this.#options
    const bundles = (trustDomain: string) => (trustDomain === bundle.trustDomain ? bundle : undefined)
    const { chain } = pending
    this.#options.onSecured()
    this.#options.onConnection({
      id: pending.id,
      raw: pending.raw,
      tls: socket,
      source: pending.source,
      acceptedAt: pending.acceptedAt,
      handshakeMs: performance.now() - pending.startedAt,
      identity: () => identify(chain, openssl, bundles, now()),
    })
  }

  #timedOut(pending: Pending): void {
    this.#conclude(pending, 'client-handshake-timeout', null)
    pending.raw.resetAndDestroy()
  }

  #failed(pending: Pending | undefined, error: Error | null): void {
    if (pending === undefined) return
    const gone = error === null || (error as NodeJS.ErrnoException).code === 'ECONNRESET'
    this.#conclude(pending, gone ? 'client-closed' : 'client-handshake-failed', error?.message ?? null)
    pending.raw.destroy()
  }

  #conclude(pending: Pending, code: AcceptFailure['code'], detail: string | null): void {
    if (pending.state === 'done') return
    const sentNothing = pending.raw.bytesRead === 0
    pending.state = 'done'
    clearTimeout(pending.deadline)
    if (sentNothing) return this.#options.onProbe()
    const { id, source, acceptedAt } = pending
    this.#options.onFailure({ id, source, acceptedAt, code, detail })
  }

  #find(socket: tls.TLSSocket | net.Socket): Pending | undefined {
    return this.#pending.get(addressKey(socket))
  }
}

function addressKey(socket: net.Socket): string {
  return `${socket.remoteAddress}|${socket.remotePort}|${socket.localAddress}|${socket.localPort}`
}

/** `::ffff:10.0.0.1`, as a dual-stack socket shows IPv4 peers, becomes `10.0.0.1`; a zone is cut. */
function canonicalIp(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)
  return (mapped?.[1] ?? address).split('%', 1)[0] ?? address
}
