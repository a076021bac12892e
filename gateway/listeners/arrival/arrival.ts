// One accepted TCP connection on its way to a request: where it comes from, how far it got, and the one deadline over
// PROXY header, preamble, ClientHello, queue, handshake and request. Owns the raw socket's errors until somebody else
// does, and sees to it that the connection ends as exactly one thing: a probe, a failure, or an arrival.
import type net from 'node:net'
import type { SourceFacts } from '../../audit/events.ts'
import type { ReasonCode } from '../../audit/reasons.ts'
import type { ClientHello } from '../client-hello.ts'
import type { Closing } from '../closing.ts'
import { resetSocket } from '../../reset.ts'

/** What is being waited for; it decides which code a time-out has. */
export type ArrivalStage = 'first-byte' | 'proxy-header' | 'client-hello' | 'queue' | 'handshake' | 'arrived'

export interface ArrivalFailure {
  readonly id: string
  readonly source: SourceFacts
  readonly acceptedAt: Date
  readonly code: ReasonCode
  readonly detail: string | null
}

/** Ends the arrival with its code. */
export class ArrivalError extends Error {
  readonly code: ReasonCode
  /** The protocol's own words to the client; null where it has none. */
  readonly answer: Uint8Array | null

  constructor(code: ReasonCode, detail: string, answer: Uint8Array | null = null) {
    super(detail)
    this.code = code
    this.answer = answer
  }
}

/** One for all: what a listener of each arrival's own would hold, its hello among it, would live as long as the socket. */
const ignoreError = () => {}

/** After an answer, what the client still sends is read and dropped for this long, else the reset eats the answer. */
const DISCARD_MS = 2_000

const TIMEOUT_CODES: Readonly<Record<Exclude<ArrivalStage, 'arrived'>, ReasonCode>> = {
  'first-byte': 'client-handshake-timeout',
  'proxy-header': 'client-proxy-header-timeout',
  'client-hello': 'client-handshake-timeout',
  queue: 'limit-handshakes',
  handshake: 'client-handshake-timeout',
}

/** Of a connection that sent nothing. */
const ORDINARY_ENDS: ReadonlySet<ReasonCode> = new Set([
  'client-closed',
  'client-handshake-timeout',
  'session-drained',
])

export interface ArrivalEnds {
  readonly onFailure: (failure: ArrivalFailure) => void
  readonly onProbe: () => void
  /** Called at the end, whatever it is. */
  readonly onSettled: () => void
}

export interface ArrivalOptions extends ArrivalEnds {
  readonly id: string
  readonly raw: net.Socket
  readonly source: SourceFacts
  readonly acceptedAt: Date
  /** From now to the end of the request. */
  readonly budgetMs: number
  /** Of the listener. */
  readonly closing: Closing
}

export class Arrival {
  readonly id: string
  readonly raw: net.Socket
  readonly acceptedAt: Date
  /** `performance.now()` by which the request must be there. */
  readonly deadlineAt: number
  readonly startedAt = performance.now()
  source: SourceFacts
  stage: ArrivalStage = 'first-byte'
  /** After a LOCAL header nothing has to follow: health checks of a balancer are such. */
  local = false
  /** The port that was connected to, as the balancer tells it; null without a PROXY header. */
  proxiedPort: number | null = null
  hello: ClientHello | null = null
  readonly #ends: ArrivalEnds
  readonly #timer: NodeJS.Timeout
  readonly #onError = (error: Error) => this.fail(lossCode(error), error.message)
  readonly #onClose = () => this.fail('client-closed', null)
  readonly #onClosing = () => this.fail('session-drained', null)
  readonly #closing: Closing

  constructor(options: ArrivalOptions) {
    this.id = options.id
    this.raw = options.raw
    this.source = options.source
    this.acceptedAt = options.acceptedAt
    this.#ends = options
    this.#closing = options.closing
    this.deadlineAt = this.startedAt + options.budgetMs
    this.#timer = setTimeout(() => this.#timedOut(), options.budgetMs)
    this.raw.on('error', this.#onError)
    this.raw.on('close', this.#onClose)
    this.#closing.add(this.#onClosing)
  }

  get settled(): boolean {
    return this.stage === 'arrived'
  }

  /** Hands the connection on, with a listener for its errors, for there must never be none. */
  arrive(): void {
    this.#settle()
  }

  /**
   * Ends it, and cuts the socket. One that sent nothing of its own is a probe, unless it must be told apart: a source
   * that may not connect at all is a failure whatever it sent.
   */
  fail(code: ReasonCode, detail: string | null, answer: Uint8Array | null = null): void {
    if (this.settled) return
    const { id, source, acceptedAt } = this
    const silent = this.stage === 'first-byte'
    this.#settle()
    if (silent && ORDINARY_ENDS.has(code)) this.#ends.onProbe()
    else this.#ends.onFailure({ id, source, acceptedAt, code, detail })
    if (this.raw.destroyed) return
    if (answer !== null) return this.#answer(answer)
    // Where nobody can be told why, a reset at least says that it was no ordinary end.
    if (code === 'client-closed') this.raw.destroy()
    else resetSocket(this.raw)
  }

  #answer(answer: Uint8Array): void {
    const { raw } = this
    const timer = setTimeout(() => raw.destroy(), DISCARD_MS)
    raw.on('close', () => clearTimeout(timer))
    raw.on('end', () => raw.destroy())
    raw.end(answer)
    raw.resume()
  }

  #timedOut(): void {
    if (this.stage !== 'arrived') this.fail(TIMEOUT_CODES[this.stage], null)
  }

  #settle(): void {
    this.stage = 'arrived'
    clearTimeout(this.#timer)
    this.raw.on('error', ignoreError)
    this.raw.off('error', this.#onError).off('close', this.#onClose)
    this.#closing.delete(this.#onClosing)
    this.#ends.onSettled()
  }
}

function lossCode(error: Error): ReasonCode {
  return (error as NodeJS.ErrnoException).code === 'ECONNRESET' ? 'client-closed' : 'client-handshake-failed'
}
