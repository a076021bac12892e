// One stream of HTTP/2 CONNECT as a tunnel: END_STREAM is FIN both ways and RST_STREAM alone is RST, which takes care on
// Node in both directions.
import http2 from 'node:http2'
import { refusalFor } from '../audit/answer.ts'
import { REASONS, type ReasonCode } from '../audit/reasons.ts'
import type { RelaySide, Tunnel, TunnelFacts } from '../sessions/tunnel.ts'
import { callerOf, type ClientConnection } from './connection.ts'
import type { H2Inbox } from './h2-inbox.ts'

/** How long a refused stream's content is read and dropped before it is reset. */
const DISCARD_MS = 2_000

const { HTTP2_HEADER_STATUS, NGHTTP2_CONNECT_ERROR, NGHTTP2_NO_ERROR, NGHTTP2_PROTOCOL_ERROR } =
  http2.constants

/** What a stream that we have reset was destroyed with. Nobody reads it: whoever resets has told its reason before. */
const RESET = new Error('the gateway reset the stream')

/** A refusal, and the end of the stream; what the client still sends is read and dropped for a while. */
export function answer(stream: http2.ServerHttp2Stream, code: ReasonCode, attemptId: string): void {
  if (stream.destroyed || stream.headersSent) return
  const { status, headers, body } = refusalFor(code, attemptId)
  stream.respond({ ...headers, [HTTP2_HEADER_STATUS]: status, 'content-length': Buffer.byteLength(body) })
  stream.end(body)
  stream.resume()
  const timer = setTimeout(() => stream.close(NGHTTP2_NO_ERROR), DISCARD_MS)
  stream.once('close', () => clearTimeout(timer))
}

export interface H2Request {
  readonly stream: http2.ServerHttp2Stream
  readonly inbox: H2Inbox
  readonly headers: http2.IncomingHttpHeaders
  readonly onAccepted: () => void
  readonly onRefused: () => void
}

export class H2Tunnel implements Tunnel {
  readonly requested: { readonly host: string; readonly port: number }
  readonly facts: TunnelFacts
  readonly signal: AbortSignal
  readonly #connection: ClientConnection
  readonly #proxyAuthorization: string | null
  readonly #stream: http2.ServerHttp2Stream
  readonly #inbox: H2Inbox
  readonly #onAccepted: () => void
  readonly #onRefused: () => void
  readonly #gone = new AbortController()
  readonly #onGone = () => this.#gone.abort()

  constructor(
    connection: ClientConnection,
    { stream, inbox, headers, onAccepted, onRefused }: H2Request,
    requested: { readonly host: string; readonly port: number },
    facts: TunnelFacts,
  ) {
    this.#connection = connection
    this.#stream = stream
    this.#inbox = inbox
    this.#onAccepted = onAccepted
    this.#onRefused = onRefused
    this.requested = requested
    this.facts = facts
    this.#proxyAuthorization = headers['proxy-authorization'] ?? null
    this.signal = this.#gone.signal
    stream.on('aborted', this.#onGone)
    stream.on('close', this.#onGone)
    // In a tunnel only DATA may follow (RFC 9113 §8.5): an end that comes with fields is none.
    stream.on('trailers', () => resetStream(stream, NGHTTP2_PROTOCOL_ERROR))
  }

  identify() {
    return callerOf(this.#connection, this.#proxyAuthorization)
  }

  accept(): RelaySide {
    const stream = this.#stream
    this.#onAccepted()
    // Nobody asks the signal any more, and each abort makes an exception with a stack.
    stream.off('close', this.#onGone)
    stream.off('aborted', this.#onGone)
    stream.respond({ [HTTP2_HEADER_STATUS]: 200 })
    return {
      stream,
      // What nghttp2 read it may have a pointer to still.
      chunks: 'written',
      end: () => stream.end(),
      reset: () => resetStream(stream),
      // After RST_STREAM, or when the connection is lost, Node emits an 'end' that is none.
      endIsReal: () => this.#inbox.ended && !stream.aborted,
      rest: () => this.#inbox.takeRest(),
      closeIsClean: () => !stream.aborted && stream.rstCode === NGHTTP2_NO_ERROR,
    }
  }

  refuse(code: ReasonCode, attemptId: string): void {
    if (REASONS[code].status === null) resetStream(this.#stream)
    else answer(this.#stream, code, attemptId)
    this.#onRefused()
  }
}

/**
 * RST_STREAM and nothing else. Node's `close(code)` calls `end()` first, which puts DATA(END_STREAM) on the wire, and the
 * peer sees a clean end before the reset.
 */
function resetStream(stream: http2.ServerHttp2Stream, code = NGHTTP2_CONNECT_ERROR): void {
  if (stream.destroyed) return
  const end = () => stream
  stream.end = end
  // Node destroys the stream when the frame is written, and makes an error for each: half of what a reset costs is its
  // stack. To destroy it here would lose the frame where this is called while Node reads the connection.
  const destroy = stream.destroy.bind(stream)
  const destroyQuietly = (error?: Error) => destroy(error ?? RESET)
  stream.destroy = destroyQuietly
  stream.close(code)
}
