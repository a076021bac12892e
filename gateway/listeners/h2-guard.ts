// What an HTTP/2 client may cost besides its tunnels. Node and nghttp2 bound much of it once they are told to; what they let
// through is counted here: control frames that cost a call into JavaScript each, and requests that are taken back before
// they are answered (CVE-2023-44487), each of which is a decision, a record and maybe a dial. Past a limit the connection
// ends with ENHANCE_YOUR_CALM. Sees to it, too, that a connection that is over is gone.
import http2 from 'node:http2'
import { Allowance, type AllowanceLimits } from './allowance.ts'
import type { ClientConnection } from './connection.ts'
import { resetConnection } from '../reset-connection.ts'

export const MAX_STREAMS = 100

/** Of `http2.performServerHandshake`. */
export const SESSION_LIMITS = {
  /** MB; above MAX_STREAMS full windows, else Node refuses tunnels with ENHANCE_YOUR_CALM while others are slow. */
  maxSessionMemory: 64,
  /** As many as in HTTP/1. */
  maxHeaderListPairs: 100,
  /** Entries of one SETTINGS frame; there are eight that anybody knows. */
  maxSettings: 32,
  /** Malformed requests, empty DATA frames and the like, over the life of a connection. */
  maxSessionInvalidFrames: 100,
  maxSessionRejectedStreams: 100,
  /** Each tunnel that an application ends by a reset is one, so that many a second are nobody's fault. */
  streamResetBurst: 1000,
  streamResetRate: 200,
} as const

const ALLOWED = {
  // Clients that measure the path (Go, hyper) send one in a round trip while bytes come.
  ping: { limits: { burst: 2000, perSecond: 1000 }, excess: 'too many PING frames' },
  settings: { limits: { burst: 50, perSecond: 10 }, excess: 'too many SETTINGS frames' },
  priority: { limits: { burst: 1000, perSecond: 100 }, excess: 'too many PRIORITY frames' },
  withdrawn: {
    limits: { burst: 2 * MAX_STREAMS, perSecond: 20 },
    excess: 'too many requests were taken back before they were answered',
  },
} as const satisfies Record<string, { readonly limits: AllowanceLimits; readonly excess: string }>

type Counted = keyof typeof ALLOWED

const TICK_MS = 2_000
const PING_INTERVAL_MS = 10_000
const PING_TIMEOUT_MS = 20_000

/** Why the gateway ended a connection. */
export class H2LimitError extends Error {
  readonly code: 'request-timeout' | 'limit-frames'

  constructor(code: H2LimitError['code'], message: string) {
    super(message)
    this.name = 'H2LimitError'
    this.code = code
  }
}

export class H2Guard {
  readonly #session: http2.ServerHttp2Session
  readonly #connection: ClientConnection
  readonly #allowances: Readonly<Record<Counted, Allowance>>
  readonly #timer: NodeJS.Timeout
  #fault: Error | null = null
  #answeredAt: number
  #askedAt: number
  #over = false

  constructor(session: http2.ServerHttp2Session, connection: ClientConnection) {
    const now = () => performance.now()
    this.#session = session
    this.#connection = connection
    this.#allowances = {
      ping: new Allowance(ALLOWED.ping.limits, now),
      settings: new Allowance(ALLOWED.settings.limits, now),
      priority: new Allowance(ALLOWED.priority.limits, now),
      withdrawn: new Allowance(ALLOWED.withdrawn.limits, now),
    }
    this.#answeredAt = this.#askedAt = now()
    session.on('ping', () => this.#count('ping'))
    session.on('remoteSettings', () => this.#count('settings'))
    session.on('priority', () => this.#count('priority'))
    session.on('error', (error: Error) => {
      this.#fault ??= error
    })
    this.#timer = setInterval(() => this.#tick(), TICK_MS)
    this.#timer.unref()
  }

  /** What the client, or the gateway about it, found wrong; null where the connection just ended. */
  get fault(): Error | null {
    return this.#fault
  }

  watch(stream: http2.ServerHttp2Stream): void {
    stream.on('priority', () => this.#count('priority'))
    stream.once('close', () => {
      if (!stream.headersSent) this.#count('withdrawn')
    })
  }

  /** Every stream of it sees `fault` as its error. */
  end(fault: Error, code: number): void {
    if (this.#session.destroyed) return
    this.#fault ??= fault
    this.#session.destroy(fault, code)
  }

  #count(what: Counted): void {
    if (this.#session.destroyed || this.#allowances[what].take()) return
    this.end(
      new H2LimitError('limit-frames', ALLOWED[what].excess),
      http2.constants.NGHTTP2_ENHANCE_YOUR_CALM,
    )
  }

  #tick(): void {
    if (this.#connection.raw.destroyed) return clearInterval(this.#timer)
    // A session that is over ends its socket and waits until the peer has read all and done the same, which a peer may
    // never do; until then it tells nobody, and throws at a ping.
    if (this.#session.destroyed) {
      if (this.#over) resetConnection(this.#connection.raw)
      this.#over = true
      return
    }
    this.#ping()
  }

  /** A peer that vanished without a FIN is only found by asking: dead after two missed answers. */
  #ping(): void {
    const now = performance.now()
    if (now - this.#answeredAt > PING_TIMEOUT_MS) {
      return this.end(new Error('PING was not answered'), http2.constants.NGHTTP2_NO_ERROR)
    }
    if (now - this.#askedAt < PING_INTERVAL_MS) return
    this.#askedAt = now
    this.#session.ping((error) => {
      if (error === null) this.#answeredAt = performance.now()
    })
  }
}
