// HTTP/2 CONNECT (RFC 9113 §8.5): each stream is a tunnel, judged as a connection of its own. END_STREAM is FIN both
// ways and RST_STREAM alone is RST, which takes care on Node: see `H2Side`.
import http2 from 'node:http2'
import { refusalFor } from '../audit/answer.ts'
import { REASONS, type ReasonCode } from '../audit/reasons.ts'
import { parseHostPort } from '../destinations/host.ts'
import { NO_FACTS, type RelaySide, type Tunnel, type TunnelFacts } from '../sessions/tunnel.ts'
import { callerOf, type ClientConnection, type RequestHandler, requestTimeout } from './connection.ts'
import { readMeshHints } from './mesh-hints.ts'

/** ztunnel's 4 MiB a stream would let one client park 400 MiB in our heap: a paused stream holds its full window. */
const STREAM_WINDOW_BYTES = 256 * 1024
const MAX_STREAMS = 100
const MAX_HEADER_LIST_BYTES = 16 * 1024
/** MB; above MAX_STREAMS full windows, else Node refuses tunnels with ENHANCE_YOUR_CALM while others are slow. */
const MAX_SESSION_MEMORY_MB = 64
const PING_INTERVAL_MS = 10_000
const PING_TIMEOUT_MS = 20_000
/** How long a refused stream's content is read and dropped before it is reset. */
const DISCARD_MS = 2_000
/** How long a peer may take to close a connection that we have ended. */
const LINGER_MS = 2_000

const {
  HTTP2_HEADER_METHOD,
  HTTP2_HEADER_AUTHORITY,
  HTTP2_HEADER_STATUS,
  NGHTTP2_CONNECT_ERROR,
  NGHTTP2_NO_ERROR,
} = http2.constants

/** A connection that drain can ask to take no more streams. */
export interface H2Connection {
  /** GOAWAY: open streams go on, new ones are not taken, and the connection ends with its last stream. */
  goAway(): void
}

interface StreamOptions extends H2Options {
  readonly onIdentified: () => void
}

export interface H2Options {
  /** Whether `baggage`, `forwarded` and `traceparent` are read, as a mesh sends them. */
  readonly hints: boolean
}

/** Serves `connection` until it ends. */
export function serveH2(
  connection: ClientConnection,
  handler: RequestHandler,
  options: H2Options = { hints: false },
): H2Connection {
  // With allowHalfOpen, http2 does not notice a client's FIN at all; a half-closed connection is no use to it anyway.
  connection.raw.allowHalfOpen = false
  connection.tls.allowHalfOpen = false
  const session = http2.performServerHandshake(connection.tls, {
    maxSessionMemory: MAX_SESSION_MEMORY_MB,
    settings: {
      enablePush: false,
      enableConnectProtocol: false,
      initialWindowSize: STREAM_WINDOW_BYTES,
      maxConcurrentStreams: MAX_STREAMS,
      maxHeaderListSize: MAX_HEADER_LIST_BYTES,
    },
  })
  let requested = false
  const deadline = setTimeout(
    () => (requested ? session.close() : session.destroy()),
    requestTimeout(connection),
  )
  const onIdentified = () => clearTimeout(deadline)
  session.on('stream', (stream, headers) => {
    requested = true
    // Who may still show a token is nobody yet, and must not hold the connection by requests that are refused.
    if (connection.byToken === null) onIdentified()
    serveStream(connection, handler, stream, headers, { ...options, onIdentified })
    // Told once; nobody whose certificate is refused gets a second stream. Who shows tokens shows one for each.
    const identity = connection.identity()
    if (!identity.ok && identity.code !== 'client-token-missing') session.close()
  })
  session.on('error', () => session.destroy())
  session.on('close', () => {
    clearTimeout(deadline)
    if (!requested) handler.noRequest(connection, 'client-closed', null)
  })
  keepAlive(session)
  cutAfterEnd(connection)
  return { goAway: () => session.close() }
}

/** A session that closes ends its socket and waits for the peer to do so too, which a peer may never do. */
function cutAfterEnd({ tls, raw }: ClientConnection): void {
  tls.once('finish', () => {
    const timer = setTimeout(() => raw.destroy(), LINGER_MS)
    raw.once('close', () => clearTimeout(timer))
  })
}

/** A peer that vanished without a FIN is only found by asking: dead after two missed answers. */
function keepAlive(session: http2.ServerHttp2Session): void {
  let answeredAt = Date.now()
  const timer = setInterval(() => {
    // A destroyed session tells 'close' only when its socket has closed, and throws at a ping until then.
    if (session.destroyed) return clearInterval(timer)
    if (Date.now() - answeredAt > PING_TIMEOUT_MS) return session.destroy()
    session.ping((error) => {
      if (error === null) answeredAt = Date.now()
    })
  }, PING_INTERVAL_MS)
  timer.unref()
  session.once('close', () => clearInterval(timer))
}

function serveStream(
  connection: ClientConnection,
  handler: RequestHandler,
  stream: http2.ServerHttp2Stream,
  headers: http2.IncomingHttpHeaders,
  { hints, onIdentified }: StreamOptions,
): void {
  // Every stream keeps an error listener for life: a reset by the peer must never be an uncaught exception.
  stream.on('error', () => {})
  const target = readTarget(headers)
  if ('code' in target) {
    const { id, code } = handler.refusedRequest(connection, target.code, target.detail)
    return answer(stream, code, id)
  }
  const facts: TunnelFacts = hints ? { ...NO_FACTS, hints: readMeshHints(headers) } : NO_FACTS
  handler.tunnel(
    connection,
    new H2Tunnel(connection, stream, { requested: target, facts, headers, onIdentified }),
  )
}

function readTarget(
  headers: http2.IncomingHttpHeaders,
): { host: string; port: number } | { code: ReasonCode; detail: string } {
  const method = headers[HTTP2_HEADER_METHOD]
  if (method !== 'CONNECT') return { code: 'request-method', detail: `method ${String(method)}` }
  // :scheme and :path make a CONNECT malformed; :protocol makes it extended CONNECT, which is not offered.
  for (const name of [':scheme', ':path', ':protocol']) {
    if (headers[name] !== undefined) return { code: 'request-malformed', detail: `${name} in a CONNECT` }
  }
  const length = headers['content-length']
  if (length !== undefined && length !== '0') return { code: 'request-body', detail: 'content-length' }
  const parsed = parseHostPort(String(headers[HTTP2_HEADER_AUTHORITY] ?? ''))
  if (!parsed.ok) return { code: 'request-target', detail: parsed.message }
  return { host: parsed.host, port: parsed.port }
}

function answer(stream: http2.ServerHttp2Stream, code: ReasonCode, attemptId: string): void {
  if (stream.destroyed || stream.headersSent) return
  const { status, headers, body } = refusalFor(code, attemptId)
  stream.respond({ ...headers, [HTTP2_HEADER_STATUS]: status, 'content-length': Buffer.byteLength(body) })
  stream.end(body)
  stream.resume()
  const timer = setTimeout(() => stream.close(NGHTTP2_NO_ERROR), DISCARD_MS)
  stream.once('close', () => clearTimeout(timer))
}

interface H2Request {
  readonly requested: { readonly host: string; readonly port: number }
  readonly facts: TunnelFacts
  readonly headers: http2.IncomingHttpHeaders
  readonly onIdentified: () => void
}

class H2Tunnel implements Tunnel {
  readonly requested: { readonly host: string; readonly port: number }
  readonly facts: TunnelFacts
  readonly signal: AbortSignal
  readonly #connection: ClientConnection
  readonly #proxyAuthorization: string | null
  readonly #onIdentified: () => void
  readonly #stream: http2.ServerHttp2Stream
  readonly #gone = new AbortController()
  readonly #onGone = () => this.#gone.abort()
  readonly #endOfStream: () => boolean

  constructor(connection: ClientConnection, stream: http2.ServerHttp2Stream, request: H2Request) {
    this.#connection = connection
    this.#stream = stream
    this.#endOfStream = watchEndOfStream(stream)
    this.requested = request.requested
    this.facts = request.facts
    // Node joins what stands twice by a comma, which is no credential.
    this.#onIdentified = request.onIdentified
    this.#proxyAuthorization = request.headers['proxy-authorization'] ?? null
    this.signal = this.#gone.signal
    stream.on('aborted', this.#onGone)
    stream.on('close', this.#onGone)
  }

  identify() {
    return callerOf(this.#connection, this.#proxyAuthorization)
  }

  accept(): RelaySide {
    const stream = this.#stream
    this.#onIdentified()
    stream.off('close', this.#onGone)
    stream.respond({ [HTTP2_HEADER_STATUS]: 200 })
    return {
      stream,
      end: () => stream.end(),
      reset: () => resetStream(stream),
      // After RST_STREAM, or when the connection is lost, Node emits 'aborted' and then an 'end' that is none.
      endIsReal: () => !stream.aborted && this.#endOfStream(),
      closeIsClean: () => !stream.aborted && stream.rstCode === NGHTTP2_NO_ERROR,
    }
  }

  refuse(code: ReasonCode, attemptId: string): void {
    if (REASONS[code].status === null) return resetStream(this.#stream)
    answer(this.#stream, code, attemptId)
  }
}

/**
 * Whether END_STREAM came. After our own END_STREAM, Node makes the same end of RST_STREAM(NO_ERROR), without 'aborted';
 * but it has closed the stream by then, and by an END_STREAM it closes only behind it.
 */
function watchEndOfStream(stream: http2.ServerHttp2Stream): () => boolean {
  let came = stream.endAfterHeaders
  const push = stream.push.bind(stream)
  stream.push = (chunk: unknown, encoding?: BufferEncoding) => {
    if (chunk === null && !stream.closed) came = true
    return push(chunk, encoding)
  }
  return () => came
}

/**
 * RST_STREAM(CONNECT_ERROR) and nothing else. Node's `close(code)` calls `end()` first, which puts
 * DATA(END_STREAM) on the wire, and the peer sees a clean end before the reset.
 */
function resetStream(stream: http2.ServerHttp2Stream): void {
  if (stream.destroyed) return
  stream.end = () => stream
  stream.close(NGHTTP2_CONNECT_ERROR)
}
