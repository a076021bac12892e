// The outbound side of ztunnel, as far as its peer sees it (istio/ztunnel, src/proxy/{outbound,h2/client}.rs and
// src/tls): mTLS 1.3 without SNI and with ALPN h2, the server known by its SPIFFE ID alone, and one CONNECT per
// application connection, many of them on one connection.
import http2 from 'node:http2'
import net from 'node:net'
import tls from 'node:tls'
import { randomBytes, X509Certificate } from 'node:crypto'

/** src/config.rs: window_size, connection_window_size, frame_size; src/proxy/h2/client.rs: max_header_list_size. */
const STREAM_WINDOW = 4 * 1024 * 1024
const CONNECTION_WINDOW = 16 * 1024 * 1024
const FRAME = 1024 * 1024
const HEADER_LIST = 16 * 1024

export interface HboneClientOptions {
  readonly port: number
  readonly cert: string
  readonly key: string
  /** Roots, as PEM. */
  readonly ca: string
  /** SPIFFE IDs, one of which must be a URI SAN of the server. */
  readonly serverIds: readonly string[]
}

export interface HboneRequest {
  /** `:authority`: `ip:port`, `[v6]:port` or `name:port`. */
  readonly authority: string
  readonly baggage?: string
  readonly forwarded?: string
  /** Default: one that nobody sampled, as ztunnel makes it. */
  readonly traceparent?: string
}

export interface HboneTunnel {
  readonly status: number
  readonly headers: http2.IncomingHttpHeaders
  /** `end()` is a half-close; paused. */
  readonly stream: http2.ClientHttp2Stream
}

export interface HboneClient extends AsyncDisposable {
  readonly session: http2.ClientHttp2Session
  readonly tls: tls.TLSSocket
  readonly raw: net.Socket
  /** Resolves with the answer, whatever its status; rejects where the stream is reset without one. */
  connect(request: HboneRequest): Promise<HboneTunnel>
}

/** Rejects where the handshake fails, the server is another one, or it has not chosen h2. */
export async function connectHbone(options: HboneClientOptions): Promise<HboneClient> {
  const raw = net.connect({ host: '127.0.0.1', port: options.port })
  const socket = tls.connect({
    // With a socket and neither host nor servername, Node sends no SNI.
    socket: raw,
    cert: options.cert,
    key: options.key,
    ca: options.ca,
    minVersion: 'TLSv1.3',
    ALPNProtocols: ['h2'],
    checkServerIdentity: (_host, { raw: der }) => checkServerId(der, options.serverIds),
  })
  // A reset that a test does not wait for must not end the process.
  socket.on('error', () => {})
  raw.on('error', () => {})
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('secureConnect', resolve)
      socket.once('error', reject)
      raw.once('error', reject)
    })
    if (socket.alpnProtocol !== 'h2')
      throw new Error(`the server chose the protocol ${String(socket.alpnProtocol)}`)
  } catch (error) {
    await closed(socket, raw)
    throw error
  }
  const session = await openSession(socket)
  return {
    session,
    tls: socket,
    raw,
    connect: async (request) => open(session, request),
    async [Symbol.asyncDispose]() {
      session.destroy()
      await closed(socket, raw)
    },
  }
}

async function closed(socket: tls.TLSSocket, raw: net.Socket): Promise<void> {
  socket.destroy()
  if (raw.closed) return
  await new Promise((resolve) => raw.once('close', resolve).destroy())
}

/** A certificate has one URI SAN where it is an SVID, so that its print is not ambiguous. */
function checkServerId(der: Buffer, ids: readonly string[]): Error | undefined {
  const names = new X509Certificate(der).subjectAltName?.split(', ') ?? []
  if (ids.some((id) => names.includes(`URI:${id}`))) return undefined
  return new Error(`the server is none of ${ids.join(', ')}`)
}

async function openSession(socket: tls.TLSSocket): Promise<http2.ClientHttp2Session> {
  const session = http2.connect('https://hbone.invalid', {
    createConnection: () => socket,
    settings: {
      enablePush: false,
      initialWindowSize: STREAM_WINDOW,
      maxFrameSize: FRAME,
      maxHeaderListSize: HEADER_LIST,
    },
  })
  session.on('error', () => {})
  if (session.connecting) await new Promise((resolve) => session.once('connect', resolve))
  session.setLocalWindowSize(CONNECTION_WINDOW)
  return session
}

function traceparent(): string {
  return `00-${randomBytes(16).toString('hex')}-${randomBytes(8).toString('hex')}-00`
}

async function open(session: http2.ClientHttp2Session, request: HboneRequest): Promise<HboneTunnel> {
  const stream = session.request({
    ':method': 'CONNECT',
    ':authority': request.authority,
    baggage: request.baggage ?? '',
    forwarded: request.forwarded ?? 'for="127.0.0.1:1"',
    traceparent: request.traceparent ?? traceparent(),
  })
  const headers = await new Promise<http2.IncomingHttpHeaders>((resolve, reject) => {
    stream.once('response', resolve)
    stream.once('error', reject)
    stream.once('close', () =>
      reject(new Error(`the stream ended with code ${stream.rstCode} and no answer`)),
    )
  })
  stream.on('error', () => {})
  return { status: Number(headers[':status']), headers, stream }
}
