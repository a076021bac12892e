// TLS on connections whose ClientHello is there, after the queue: shows the listener's certificate, asks for the peer's,
// and keeps the chain it showed. OpenSSL's refusal would end the handshake without a word, so it refuses nobody here; who
// the peer is, is judged at each request. Never resumed: a ticket would let an expired SVID in as `authorized`.
import tls from 'node:tls'
import type { ListenerConfig } from '../../config/types.ts'
import { pooled } from '../certificate-pool.ts'
import { type PeerChain, readPeerChain } from '../identify.ts'
import { type Admission, type HandshakeWaiter, sourceKey } from './admission.ts'
import type { Arrival } from './arrival.ts'
import { ByAddress, peerOf } from './by-address.ts'
import { letGoWhenClosed } from '../../let-go.ts'
import { laidOver } from '../../reset.ts'

/** What a listener shows and what OpenSSL builds chains with; replaced as a whole when files change. */
export interface TlsMaterial {
  /** PEM, leaf first. */
  readonly certificate: string
  readonly key: string
  /** PEM roots of every trust domain of the listener; which verifies which is decided behind (design §5.1, trust). */
  readonly roots: readonly string[]
}

export interface Terminated {
  readonly tls: tls.TLSSocket
  readonly chain: PeerChain
  readonly openssl: { readonly authorized: boolean; readonly error: string | null }
  readonly handshakeMs: number
}

export interface TerminatorOptions {
  readonly config: Pick<ListenerConfig, 'minVersion'>
  readonly alpnProtocols: readonly string[]
  readonly material: TlsMaterial
  readonly admission: Admission
  readonly handshakeTimeoutMs: number
  readonly onSecured: (arrival: Arrival, terminated: Terminated) => void
}

export interface Terminator {
  /** Queues the handshake of a connection whose first bytes wait in its socket. */
  take(arrival: Arrival): void
  /** For the handshakes that begin from now on. */
  replace(material: TlsMaterial): void
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

const SSL_OP_NO_TICKET = 0x4000

interface Pending {
  readonly raw: Arrival['raw']
  readonly peer: string
  readonly arrival: Arrival
  readonly waiter: HandshakeWaiter
  beganAt: number
  chain: PeerChain
  readonly onEnd: () => void
  readonly onClose: () => void
}

export function createTerminator(options: TerminatorOptions): Terminator {
  return new TlsTerminator(options)
}

class TlsTerminator implements Terminator {
  readonly #options: TerminatorOptions
  readonly #tls: tls.Server
  /** tls.Server's events do not say which raw socket they are about. */
  readonly #pending = new ByAddress<Pending>()
  /**
   * From the first secret that is logged on: TLS 1.3 logs several for one handshake, and addresses are asked of the kernel.
   * Null once it is secured: a peer that updates its keys has more of them logged, and is none of those that are pending.
   */
  readonly #known = new WeakMap<tls.TLSSocket, Pending | null>()

  constructor(options: TerminatorOptions) {
    this.#options = options
    const { config, alpnProtocols, material } = options
    this.#tls = tls.createServer({
      ...contextOf(material, config),
      requestCert: true,
      rejectUnauthorized: false,
      ALPNProtocols: [...alpnProtocols],
      allowHalfOpen: true,
      // Ours is the one deadline: Node's would destroy the socket without a record.
      handshakeTimeout: 2 * options.handshakeTimeoutMs,
    })
    this.#tls.on('keylog', (_line, socket) => this.#captureChain(socket))
    this.#tls.on('secureConnection', (socket) => this.#secured(socket))
    this.#tls.on('tlsClientError', (error, socket) => this.#failed(socket, error))
  }

  replace(material: TlsMaterial): void {
    this.#tls.setSecureContext(contextOf(material, this.#options.config))
  }

  take(arrival: Arrival): void {
    const { admission } = this.#options
    const { raw } = arrival
    const waiter: HandshakeWaiter = {
      source: sourceKey(arrival.source.ip),
      begin: () => this.#begin(pending),
    }
    const onEnd = () => arrival.fail('client-closed', null)
    const onClose = () => {
      admission.done(waiter)
      this.#pending.delete(pending)
    }
    const peer = peerOf(raw)
    const pending: Pending = { raw, peer, arrival, waiter, beganAt: 0, chain: [], onEnd, onClose }
    arrival.stage = 'queue'
    // Its end, in whatever way, is the end of its place in the line.
    raw.on('close', onClose)
    // An end that comes while it waits is behind the hello in the socket, and TLS is not told of it.
    raw.once('end', onEnd)
    this.#pending.add(pending)
    if (!admission.queue(waiter)) arrival.fail('limit-handshakes', 'too many handshakes wait')
  }

  #begin(pending: Pending): void {
    const { arrival } = pending
    if (arrival.settled || arrival.raw.destroyed) return this.#options.admission.done(pending.waiter)
    arrival.stage = 'handshake'
    pending.beganAt = performance.now()
    this.#tls.emit('connection', arrival.raw)
  }

  /** The peer's chain is to be had while 'secure' is emitted and no later (nodejs/node#65579). */
  #captureChain(socket: tls.TLSSocket): void {
    if (this.#known.has(socket)) return
    const pending = this.#pending.find(socket)
    if (pending === null) return
    this.#known.set(socket, pending)
    // Half-open as it is, nobody else would notice a client that ends in the middle of its handshake.
    socket.once('end', pending.onEnd)
    socket.prependOnceListener('secure', () => {
      pending.chain = readPeerChain(socket)
    })
  }

  #secured(socket: tls.TLSSocket): void {
    const pending = this.#known.get(socket) ?? null
    if (pending === null || pending.arrival.settled) {
      socket.destroy()
      return
    }
    const { arrival, chain, waiter, beganAt } = pending
    socket.off('end', pending.onEnd)
    // With it goes the chain as Node made it of this connection, of which the pooled one is a copy.
    arrival.raw.off('end', pending.onEnd).off('close', pending.onClose)
    this.#known.set(socket, null)
    this.#pending.delete(pending)
    this.#options.admission.done(waiter)
    laidOver(arrival.raw, socket)
    letGoWhenClosed(socket)
    arrival.arrive()
    this.#options.onSecured(arrival, {
      tls: socket,
      chain: socket.authorized ? pooled(chain) : chain,
      openssl: {
        authorized: socket.authorized,
        error: socket.authorizationError === undefined ? null : String(socket.authorizationError),
      },
      handshakeMs: performance.now() - beganAt,
    })
  }

  #failed(socket: tls.TLSSocket, error: Error): void {
    const pending = this.#known.has(socket) ? this.#known.get(socket) : this.#pending.find(socket)
    if (pending === null || pending === undefined) return
    const gone = (error as NodeJS.ErrnoException).code === 'ECONNRESET'
    pending.arrival.fail(gone ? 'client-closed' : 'client-handshake-failed', error.message)
  }
}

function contextOf(material: TlsMaterial, { minVersion }: Pick<ListenerConfig, 'minVersion'>) {
  return {
    cert: material.certificate,
    key: material.key,
    ca: [...material.roots],
    minVersion,
    ciphers: CIPHERS,
    honorCipherOrder: true,
    secureOptions: SSL_OP_NO_TICKET,
    sessionTimeout: 1,
  } satisfies tls.SecureContextOptions & Record<string, unknown>
}
