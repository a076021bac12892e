// HTTP/1 CONNECT on one downstream connection: one request, one answer, then the tunnel or the end. A refused CONNECT
// closes the connection and nothing behind it is processed (RFC 9931).
import { STATUS_CODES } from 'node:http'
import { refusalFor } from '../audit/answer.ts'
import { REASONS, type ReasonCode } from '../audit/reasons.ts'
import { NO_FACTS, type RelaySide, type Tunnel } from '../sessions/tunnel.ts'
import { callerOf, type ClientConnection, type RequestHandler, requestTimeout } from './connection.ts'
import {
  type H1Request,
  type H1Result,
  type H1Version,
  MAX_REQUEST_BYTES,
  readH1Request,
} from './h1-request.ts'
import { writeFirst } from './lost-reset.ts'
import { resetSocket } from '../reset.ts'

/** After a refusal, what the client still sends is read and dropped for this long, else the reset eats the answer. */
const DISCARD_MS = 2_000

/** Reads the request of `connection` and hands a tunnel to `handler`. */
export function serveH1(connection: ClientConnection, handler: RequestHandler): void {
  const { tls } = connection
  let buffered: Buffer = Buffer.alloc(0)
  let result: H1Result = { kind: 'incomplete' }
  const stop = () => {
    clearTimeout(deadline)
    tls.off('data', onData)
    tls.off('end', onGone)
    tls.off('close', onGone)
    tls.off('error', onGone)
    connection.closing.delete(onClosing)
    tls.pause()
  }
  const onGone = () => {
    stop()
    handler.noRequest(connection, buffered.length === 0 ? 'client-closed' : 'request-malformed', null)
    tls.on('error', () => {})
    connection.raw.destroy()
  }
  const onClosing = () => {
    stop()
    handler.noRequest(connection, 'session-drained', null)
    tls.on('error', () => {})
    resetSocket(connection.raw)
  }
  const onData = (chunk: Buffer) => {
    buffered =
      buffered.length === 0 ? chunk : Buffer.concat([buffered, chunk], buffered.length + chunk.length)
    result = readH1Request(buffered)
    if (result.kind === 'incomplete') return
    stop()
    if (result.kind === 'refused') return refuseBeforeTunnel(connection, handler, result)
    if (result.rest.length > 0) tls.unshift(result.rest)
    new H1Tunnel(connection, result.request).start(handler)
  }
  const deadline = setTimeout(() => {
    stop()
    refuseBeforeTunnel(connection, handler, {
      kind: 'refused',
      code: 'request-timeout',
      version: '1.1',
      detail: `${buffered.length} of at most ${MAX_REQUEST_BYTES} bytes came`,
    })
  }, requestTimeout(connection))
  connection.closing.add(onClosing)
  tls.on('data', onData)
  tls.on('end', onGone)
  tls.on('close', onGone)
  tls.on('error', onGone)
}

function refuseBeforeTunnel(
  connection: ClientConnection,
  handler: RequestHandler,
  refusal: Extract<H1Result, { kind: 'refused' }>,
): void {
  const { id, code } = handler.refusedRequest(connection, refusal.code, refusal.detail)
  answer(connection, refusal.version, code, id)
}

/** Writes the refusal, ends our direction, then reads and drops: a destroy at once would reset the answer away. */
function answer(connection: ClientConnection, version: H1Version, code: ReasonCode, attemptId: string): void {
  const { tls, raw } = connection
  const cut = () => raw.destroy()
  const timer = setTimeout(cut, DISCARD_MS)
  tls.on('error', cut)
  tls.on('close', () => clearTimeout(timer))
  tls.on('end', cut)
  tls.on('data', () => {})
  tls.end(formatRefusal(version, code, attemptId))
  tls.resume()
}

function formatRefusal(version: H1Version, code: ReasonCode, attemptId: string): string {
  const { status, headers, body } = refusalFor(code, attemptId)
  const lines = Object.entries({
    ...headers,
    'content-length': String(Buffer.byteLength(body)),
    connection: 'close',
  })
  const head = lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')
  return `HTTP/${version} ${status} ${STATUS_CODES[status] ?? 'Refused'}\r\n${head}\r\n${body}`
}

class H1Tunnel implements Tunnel {
  readonly requested: { readonly host: string; readonly port: number }
  readonly facts = NO_FACTS
  readonly signal: AbortSignal
  readonly #connection: ClientConnection
  readonly #request: H1Request
  readonly #gone = new AbortController()
  readonly #onGone = () => this.#gone.abort()

  constructor(connection: ClientConnection, request: H1Request) {
    this.requested = { host: request.host, port: request.port }
    this.signal = this.#gone.signal
    this.#connection = connection
    this.#request = request
  }

  identify() {
    return callerOf(this.#connection, this.#request.proxyAuthorization)
  }

  start(handler: RequestHandler): void {
    const { tls } = this.#connection
    tls.on('error', this.#onGone)
    tls.on('close', this.#onGone)
    handler.tunnel(this.#connection, this)
  }

  accept(): RelaySide {
    const { tls, raw } = this.#connection
    tls.off('close', this.#onGone)
    // Its 'error' listener stays: between this call and the relay's own there must never be none.
    const holdEnd = writeFirst(tls, raw, `HTTP/${this.#request.version} 200 Connection established\r\n\r\n`)
    return {
      stream: tls,
      chunks: 'both',
      end: () => tls.end(),
      // destroy() on the TLS socket would reach the peer as a clean end (nodejs/node#49484).
      reset: () => resetSocket(raw),
      endIsReal: () => true,
      holdEnd,
      closeIsClean: () => tls.writableFinished,
    }
  }

  refuse(code: ReasonCode, attemptId: string): void {
    if (this.signal.aborted || REASONS[code].status === null) {
      this.#connection.raw.destroy()
      return
    }
    answer(this.#connection, this.#request.version, code, attemptId)
  }
}
