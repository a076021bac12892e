// HTTP/2 CONNECT (RFC 9113 §8.5) on one downstream connection: each stream is a tunnel, judged as a connection of its own.
import http2 from 'node:http2'
import type { ReasonCode } from '../audit/reasons.ts'
import { meantByOctets, parseHostPort } from '../destinations/host.ts'
import { NO_FACTS, type TunnelFacts } from '../sessions/tunnel.ts'
import { Allowance } from './allowance.ts'
import { type ClientConnection, type RequestHandler, requestTimeout } from './connection.ts'
import { namesTarget } from './h1-request.ts'
import { H2Guard, H2LimitError, MAX_STREAMS, SESSION_LIMITS } from './h2-guard.ts'
import { H2Inbox } from './h2-inbox.ts'
import type { H2Memory } from './h2-memory.ts'
import { answer, type H2Request, H2Tunnel } from './h2-tunnel.ts'
import { readMeshHints } from './mesh-hints.ts'

const MAX_HEADER_LIST_BYTES = 16 * 1024

/**
 * Requests of one connection that are refused, each a decision and a record. Past that it takes no more, which costs who
 * goes on asking a handshake, and whoever meant no harm nothing but that: open tunnels go on.
 */
const REFUSED = { burst: 500, perSecond: 50 } as const

const { HTTP2_HEADER_METHOD, HTTP2_HEADER_AUTHORITY, NGHTTP2_NO_ERROR } = http2.constants

/** A connection that drain can ask to take no more streams. */
export interface H2Connection {
  /** GOAWAY: open streams go on, new ones are not taken, and the connection ends with its last stream. */
  goAway(): void
}

export interface H2Options {
  /** Whether `baggage`, `forwarded` and `traceparent` are read, as a mesh sends them. */
  readonly hints: boolean
  readonly memory: H2Memory
}

/** Serves `connection` until it ends. */
export function serveH2(
  connection: ClientConnection,
  handler: RequestHandler,
  options: H2Options,
): H2Connection {
  const served = new ServedH2(connection, handler, options)
  return { goAway: () => served.goAway() }
}

class ServedH2 {
  readonly #connection: ClientConnection
  readonly #handler: RequestHandler
  readonly #options: H2Options
  readonly #session: http2.ServerHttp2Session
  readonly #guard: H2Guard
  readonly #deadline: NodeJS.Timeout
  readonly #onClosing = () => this.#noRequest('session-drained', null)
  /** What each stream holds of bytes that nobody reads. */
  readonly #inboxes = new Map<http2.ServerHttp2Stream, H2Inbox>()
  readonly #refused = new Allowance(REFUSED, () => performance.now())
  #requested = false
  /** A certificate is good, or a token was: the connection belongs to somebody. */
  #admitted = false
  #strangers = 0

  constructor(connection: ClientConnection, handler: RequestHandler, options: H2Options) {
    this.#connection = connection
    this.#handler = handler
    this.#options = options
    // With allowHalfOpen, http2 does not notice a client's FIN at all; a half-closed connection is no use to it anyway.
    connection.raw.allowHalfOpen = false
    connection.tls.allowHalfOpen = false
    this.#session = http2.performServerHandshake(connection.tls, {
      ...SESSION_LIMITS,
      settings: {
        enablePush: false,
        enableConnectProtocol: false,
        initialWindowSize: options.memory.windowBytes,
        maxConcurrentStreams: MAX_STREAMS,
        maxHeaderListSize: MAX_HEADER_LIST_BYTES,
      },
    })
    this.#guard = new H2Guard(this.#session, connection)
    this.#deadline = setTimeout(() => this.#onDeadline(), requestTimeout(connection))
    this.#session.on('stream', (stream, headers, _flags, raw) => this.#serve(stream, headers, raw))
    this.#session.once('close', () => this.#closed())
    connection.closing.add(this.#onClosing)
    const member = { session: this.#session, held: () => this.#held() }
    options.memory.add(member)
    connection.raw.once('close', () => options.memory.remove(member))
  }

  /** Who shows no good token is refused request by request, and must not hold the connection by that. */
  #onDeadline(): void {
    if (this.#requested) return this.#session.close()
    this.#guard.end(new H2LimitError('request-timeout', 'no request came'), NGHTTP2_NO_ERROR)
  }

  goAway(): void {
    // Without streams that is its end, which the client has not chosen.
    if (!this.#requested) this.#noRequest('session-draining', null)
    this.#session.close()
  }

  #held(): number {
    let held = 0
    for (const [stream, inbox] of this.#inboxes) held += inbox.length + stream.writableLength
    return held
  }

  #serve(stream: http2.ServerHttp2Stream, headers: http2.IncomingHttpHeaders, raw: readonly string[]): void {
    this.#toldOf()
    // Every stream keeps an error listener for life: a reset by the peer must never be an uncaught exception.
    stream.on('error', () => {})
    this.#guard.watch(stream)
    const inbox = new H2Inbox(stream, (bytes) => this.#options.memory.grew(bytes))
    this.#inboxes.set(stream, inbox)
    stream.once('close', () => this.#inboxes.delete(stream))
    const onAccepted = () => this.#admit()
    const onRefused = () => this.#countRefused()
    this.#take({ stream, inbox, headers, onAccepted, onRefused }, raw)
    const identity = this.#connection.identity()
    if (identity.ok) return this.#admit()
    // Told once; nobody whose certificate is refused gets a second stream. Who shows tokens shows one for each, and as
    // long as none was good, each costs a signature and a record for nobody: as many as may be asked at once, and no more.
    const asked = identity.code === 'client-token-missing'
    if (!asked || (!this.#admitted && ++this.#strangers > MAX_STREAMS)) this.#session.close()
  }

  #countRefused(): void {
    if (!this.#refused.take()) this.#session.close()
  }

  #admit(): void {
    this.#admitted = true
    clearTimeout(this.#deadline)
  }

  #take(request: H2Request, raw: readonly string[]): void {
    const { stream, headers, onRefused } = request
    const target = readTarget(headers, raw)
    if ('code' in target) {
      const { id, code } = this.#handler.refusedRequest(this.#connection, target.code, target.detail)
      answer(stream, code, id)
      return onRefused()
    }
    const facts: TunnelFacts = this.#options.hints ? { ...NO_FACTS, hints: readMeshHints(headers) } : NO_FACTS
    this.#handler.tunnel(this.#connection, new H2Tunnel(this.#connection, request, target, facts))
  }

  /** From here on what becomes of the connection is no record of its own. */
  #toldOf(): void {
    this.#requested = true
    this.#connection.closing.delete(this.#onClosing)
  }

  #noRequest(code: ReasonCode, detail: string | null): void {
    this.#toldOf()
    this.#handler.noRequest(this.#connection, code, detail)
  }

  #closed(): void {
    clearTimeout(this.#deadline)
    if (this.#requested) return
    this.#toldOf()
    const { fault } = this.#guard
    const detail = fault?.message ?? null
    if (fault instanceof H2LimitError)
      this.#handler.refusedRequest(this.#connection, fault.code, fault.message)
    else this.#noRequest(isProtocolError(fault) ? 'request-malformed' : 'client-closed', detail)
  }
}

/** Of nghttp2 and Node, about what the client sent; the others are about the connection, or the client's own word. */
function isProtocolError(error: Error | null): boolean {
  const code = error !== null && 'code' in error ? String(error.code) : ''
  return code.startsWith('ERR_HTTP2_') && code !== 'ERR_HTTP2_SESSION_ERROR'
}

type Target = { readonly host: string; readonly port: number }
type NoTarget = { readonly code: ReasonCode; readonly detail: string }

/** `raw` has the fields as they came: of two credentials Node keeps the first, and somebody else might the second. */
function readTarget(headers: http2.IncomingHttpHeaders, raw: readonly string[]): Target | NoTarget {
  const method = headers[HTTP2_HEADER_METHOD]
  if (method !== 'CONNECT') return { code: 'request-method', detail: `method ${String(method)}` }
  // :scheme and :path make a CONNECT malformed; :protocol makes it extended CONNECT, which is not offered.
  for (const name of [':scheme', ':path', ':protocol']) {
    if (headers[name] !== undefined) return { code: 'request-malformed', detail: `${name} in a CONNECT` }
  }
  const length = headers['content-length']
  if (length !== undefined && length !== '0') return { code: 'request-body', detail: 'content-length' }
  const parsed = parseHostPort(meantByOctets(String(headers[HTTP2_HEADER_AUTHORITY] ?? '')))
  if (!parsed.ok) return { code: 'request-target', detail: parsed.message }
  const fields = raw.filter((_, index) => index % 2 === 0)
  const twice = ['host', 'proxy-authorization'].find((name) => countOf(fields, name) > 1)
  if (twice !== undefined) return { code: 'request-malformed', detail: `two fields ${twice}` }
  // RFC 9113 §8.3.1.
  const { host } = headers
  if (host !== undefined && !namesTarget(host, parsed)) {
    return { code: 'request-host-mismatch', detail: 'host differs from :authority' }
  }
  return { host: parsed.host, port: parsed.port }
}

function countOf(fields: readonly string[], name: string): number {
  return fields.filter((field) => field === name).length
}
