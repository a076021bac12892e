// TLS on connections whose ClientHello is there, after the queue: shows the listener's certificate, asks for the peer's,
// and hands on the chain it showed. OpenSSL's refusal would end the handshake without a word, so it refuses nobody here; who
// the peer is, is judged at each request. Never resumed: a ticket would let an expired SVID in as `authorized`.
import tls from 'node:tls'
import type { ReasonCode } from '../../audit/reasons.ts'
import type { ListenerConfig } from '../../config/types.ts'
import { pooled } from '../certificate-pool.ts'
import type { PeerChain } from '../identify.ts'
import { type Admission, type HandshakeWaiter, sourceKey } from './admission.ts'
import type { Arrival } from './arrival.ts'
import { assertServerSide, openServerSide, type Secured } from './server-side.ts'
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
  readonly openssl: Secured['openssl']
  readonly handshakeMs: number
}

export interface TerminatorOptions {
  readonly config: Pick<ListenerConfig, 'minVersion'>
  readonly alpnProtocols: readonly string[]
  readonly material: TlsMaterial
  readonly admission: Admission
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
  readonly arrival: Arrival
  readonly waiter: HandshakeWaiter
  readonly onEnd: () => void
  readonly onClose: () => void
}

export function createTerminator(options: TerminatorOptions): Terminator {
  return new TlsTerminator(options)
}

class TlsTerminator implements Terminator {
  readonly #options: TerminatorOptions
  #context: tls.SecureContext

  constructor(options: TerminatorOptions) {
    this.#options = options
    this.#context = contextOf(options.material, options.config)
    assertServerSide(this.#context)
  }

  replace(material: TlsMaterial): void {
    this.#context = contextOf(material, this.#options.config)
  }

  take(arrival: Arrival): void {
    const { admission } = this.#options
    const { raw } = arrival
    const waiter: HandshakeWaiter = {
      source: sourceKey(arrival.source.ip),
      begin: () => this.#begin(pending),
    }
    const onEnd = () => arrival.fail('client-closed', null)
    const onClose = () => admission.done(waiter)
    const pending: Pending = { arrival, waiter, onEnd, onClose }
    arrival.stage = 'queue'
    // Its end, in whatever way, is the end of its place in the line.
    raw.on('close', onClose)
    // An end that comes while it waits is behind the hello in the socket, and TLS is not told of it.
    raw.once('end', onEnd)
    if (!admission.queue(waiter)) arrival.fail('limit-handshakes', 'too many handshakes wait')
  }

  #begin(pending: Pending): void {
    const { arrival, waiter, onEnd } = pending
    const { admission, alpnProtocols } = this.#options
    if (arrival.settled || arrival.raw.destroyed) return admission.done(waiter)
    arrival.stage = 'handshake'
    const beganAt = performance.now()
    openServerSide(arrival.raw, {
      secureContext: this.#context,
      alpnProtocols,
      onSecured: (socket, secured) => this.#secured(pending, socket, secured, beganAt),
      onFailed: (error) => arrival.fail(codeOf(error), error.message),
      onEnd,
    })
  }

  #secured(pending: Pending, socket: tls.TLSSocket, { chain, openssl }: Secured, beganAt: number): void {
    const { arrival, waiter, onEnd, onClose } = pending
    if (arrival.settled) {
      socket.destroy()
      return
    }
    // With them goes the chain as Node made it of this connection, of which the pooled one is a copy.
    arrival.raw.off('end', onEnd).off('close', onClose)
    this.#options.admission.done(waiter)
    laidOver(arrival.raw, socket)
    letGoWhenClosed(socket)
    arrival.arrive()
    const handshakeMs = performance.now() - beganAt
    const shown = openssl.authorized ? pooled(chain) : chain
    this.#options.onSecured(arrival, { tls: socket, chain: shown, openssl, handshakeMs })
  }
}

function codeOf(error: NodeJS.ErrnoException): ReasonCode {
  return error.code === 'ECONNRESET' ? 'client-closed' : 'client-handshake-failed'
}

function contextOf(
  { certificate, key, roots }: TlsMaterial,
  { minVersion }: Pick<ListenerConfig, 'minVersion'>,
): tls.SecureContext {
  return tls.createSecureContext({
    cert: certificate,
    key,
    ca: [...roots],
    minVersion,
    ciphers: CIPHERS,
    honorCipherOrder: true,
    secureOptions: SSL_OP_NO_TICKET,
    sessionTimeout: 1,
  })
}
