// The outbound side of a Linkerd proxy, as far as its peer sees it (linkerd2-proxy, outbound/src/tcp/tagged_transport.rs):
// mTLS 1.3 with ALPN `transport.l5d.io/v1`, the transport header, then the application's bytes. There is no answer to a
// header: a refusal is a connection that ends.
import net from 'node:net'
import tls from 'node:tls'
import { encodeTransportHeader, type TransportHeader } from './transport-header.ts'

const ALPN = 'transport.l5d.io/v1'

export interface LinkerdClientOptions {
  readonly port: number
  readonly cert: string
  readonly key: string
  /** Trust anchors, as PEM. */
  readonly ca: string
  /** The identity of the proxy at the other end: it is the SNI, and must be in its certificate. */
  readonly serverName: string
  /** Written at once; null leaves it to the test, which may write it in pieces or wrongly. */
  readonly header: TransportHeader | null
}

export interface LinkerdClient extends AsyncDisposable {
  /** Half-open: `end()` sends close_notify and goes on reading. */
  readonly socket: tls.TLSSocket
  /** For a reset: what `destroy()` of a TLS socket sends looks like a clean end. */
  readonly raw: net.Socket
}

/** Rejects where the handshake fails, or the server has chosen no ALPN protocol. */
export async function connectLinkerd(options: LinkerdClientOptions): Promise<LinkerdClient> {
  const raw = net.connect({ host: '127.0.0.1', port: options.port, allowHalfOpen: true })
  const socket = tls.connect({
    socket: raw,
    servername: options.serverName,
    cert: options.cert,
    key: options.key,
    ca: options.ca,
    minVersion: 'TLSv1.3',
    ALPNProtocols: [ALPN],
    allowHalfOpen: true,
  } as tls.ConnectionOptions)
  // A reset that a test does not wait for must not end the process.
  socket.on('error', () => {})
  raw.on('error', () => {})
  const close = async () => {
    // Never the raw socket first: Node 24.21.0 dies of SIGSEGV where a TLS socket whose raw socket is destroyed is
    // destroyed or written to in the turn of 'secureConnect' (TLSWrap::ClearOut goes on with a freed SSL).
    socket.destroy()
    raw.destroy()
    if (!socket.closed) await new Promise((resolve) => socket.once('close', resolve))
  }
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('secureConnect', resolve)
      socket.once('error', reject)
      raw.once('error', reject)
    })
    // OpenSSL goes on without a protocol where the server knows none; the proxy does not write its header then.
    if (socket.alpnProtocol !== ALPN)
      throw new Error(`the server chose the protocol ${String(socket.alpnProtocol)}`)
  } catch (error) {
    await close()
    throw error
  }
  socket.pause()
  if (options.header !== null) socket.write(encodeTransportHeader(options.header))
  return { socket, raw, [Symbol.asyncDispose]: close }
}
