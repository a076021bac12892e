// The relay: moves bytes between two sides, driven by hand (`data`, `write`, `drain`), because `stream.pipe` costs
// half as much CPU again per byte and hides how a side ended. It keeps half-close, bounds what is in flight, and
// turns any end that is not clean on one side into a reset on the other.
import { SallyportError } from '../../common/errors.ts'
import type { ReasonCode } from '../audit/reasons.ts'
import { ChunkWriter } from './chunk-writer.ts'
import type { Cutting } from './cutting.ts'
import type { Pace } from './flow.ts'
import type { RelaySide } from './tunnel.ts'

export interface RelayOptions {
  /** Milliseconds without a byte in either direction after which the session is reset. */
  readonly idleTimeoutMs: number
  /** The same once one side has ended. */
  readonly halfCloseTimeoutMs: number
  /** Milliseconds from the start, whatever moves; null = no limit. */
  readonly maxDurationMs: number | null
  /** Milliseconds on a clock that never goes back. */
  readonly now: () => number
  readonly judgeUpstreamError: (error: Error) => ReasonCode
  /** Told of bytes that were read into memory which only V8 will free. */
  readonly onLeft?: (bytes: number) => void
  /** Takes what is left to do when the client is cut from outside; missing = it is done at once. */
  readonly cutting?: Cutting
  /** How fast each direction may go; missing = as fast as it can. */
  readonly pace?: { readonly sent: Pace; readonly received: Pace }
}

export interface RelayResult {
  readonly code: ReasonCode
  readonly by: 'client' | 'upstream' | 'gateway'
  readonly detail: string | null
}

export interface Relay {
  /** Settles once, when both sides are over. Never rejects. */
  readonly done: Promise<RelayResult>
  /** Bytes handed on so far: `sent` towards the upstream, `received` towards the client. */
  readonly bytes: { sent: number; received: number }
  /** By `now`: when a byte last moved. */
  readonly lastActivityAt: number
  /**
   * Moves no byte any more, resets the client at once and the service soon, with the reason given. A relay that is over
   * already is left alone: false.
   */
  close(code: ReasonCode, detail?: string | null): boolean
}

type Party = 'client' | 'upstream'

/**
 * What may wait for a slow reader in one direction before its writer is no longer read. One read of a socket gives 64 KiB,
 * which is the streams' own mark too: to stop at that one means to stop at every read, and each stop and start costs the
 * kernel's poll two changes, a quarter of all that a byte costs.
 */
const MAX_WAITING_BYTES = 128 * 1024
/** Chunks that wait for a slow reader: each costs a few hundred bytes, however small it is. */
const MAX_QUEUED = 256
/** After both directions have ended, a peer that never closes its socket gets this long before it is cut. */
const LINGER_MS = 5_000

const AT_ONCE: Cutting = {
  rest(reset, end) {
    reset()
    end()
  },
}

/** Starts to relay between `client` and `upstream`; both streams must be paused and error-free. */
export function startRelay(client: RelaySide, upstream: RelaySide, options: RelayOptions): Relay {
  return new HandDrivenRelay(client, upstream, options)
}

class HandDrivenRelay implements Relay {
  readonly bytes = { sent: 0, received: 0 }
  readonly done: Promise<RelayResult>
  readonly #client: RelaySide
  readonly #upstream: RelaySide
  readonly #options: RelayOptions
  readonly #startedAt: number
  readonly #open = { client: true, upstream: true }
  readonly #unflushed = { client: true, upstream: true }
  readonly #onRest: Partial<Record<Party, (rest: Buffer) => void>> = {}
  #resolve: (result: RelayResult) => void = () => {}
  #endedFirst: Party | null = null
  #lastActivity: number
  #timer: NodeJS.Timeout | null = null
  /** Directions that are not read because they were too fast. */
  #throttled = 0
  #over = false

  constructor(client: RelaySide, upstream: RelaySide, options: RelayOptions) {
    this.#client = client
    this.#upstream = upstream
    this.#options = options
    this.#startedAt = options.now()
    this.#lastActivity = this.#startedAt
    this.done = new Promise((resolve) => {
      this.#resolve = resolve
    })
    this.#drive('client', client, upstream)
    this.#drive('upstream', upstream, client)
    // Behind them: a side that is gone already has lost nothing where the other had ended before, which must be known then.
    this.#watch('client', client)
    this.#watch('upstream', upstream)
    this.#armTimer()
  }

  get lastActivityAt(): number {
    return this.#lastActivity
  }

  close(code: ReasonCode, detail: string | null = null): boolean {
    if (this.#over) return false
    this.#stop()
    this.#client.reset()
    const reset = () => this.#upstream.reset()
    const end = () => this.#resolve({ code, by: 'gateway', detail })
    const { cutting = AT_ONCE } = this.#options
    cutting.rest(reset, end)
    return true
  }

  /** One direction: what `source` says goes to `sink`, at the pace of `sink`. */
  #drive(from: Party, source: RelaySide, sink: RelaySide): void {
    const counter = from === 'client' ? 'sent' : 'received'
    const input = source.stream
    const output = sink.stream
    let queued = 0
    let full = false
    let throttled = false
    const writer = new ChunkWriter(source, sink, this.#options.onLeft)
    const pace = this.#options.pace?.[counter]
    // A slow reader that takes bytes is alive though nothing new is read meanwhile.
    const onDrain = (): void => {
      queued = 0
      full = false
      this.#lastActivity = this.#options.now()
      if (!this.#over && !throttled) input.resume()
    }
    const onFull = (): void => {
      full = true
      input.pause()
      sink.whenFull?.()
    }
    const onTurn = (): void => {
      throttled = false
      this.#throttled -= 1
      this.#lastActivity = this.#options.now()
      if (!this.#over && !full) input.resume()
    }
    const onData = (chunk: Buffer): void => {
      // A side that is being reset may still read.
      if (this.#over) return
      this.#lastActivity = this.#options.now()
      this.bytes[counter] += chunk.length
      queued = output.writableLength === 0 ? 1 : queued + 1
      // Where a chunk is a few bytes, the mark that is counted in bytes comes far too late; a callback is its 'drain'.
      if (queued === MAX_QUEUED) {
        output.write(chunk, onDrain)
        onFull()
      } else if (!writer.write(chunk) && output.writableLength >= MAX_WAITING_BYTES) onFull()
      if (pace === undefined || pace.spend(chunk.length) || throttled) return
      // The sender is not read meanwhile: TCP, or the window of HTTP/2, tells it to wait.
      throttled = true
      this.#throttled += 1
      input.pause()
      pace.wait(onTurn)
    }
    input.on('data', onData)
    output.on('drain', onDrain)
    const onEnd = (): void => {
      if (this.#over) return
      if (!source.endIsReal()) return this.#lost(from, null)
      this.#open[from] = false
      this.#lastActivity = this.#options.now()
      output.once('finish', () => {
        this.#unflushed[from] = false
        this.#settleIfFinished()
      })
      // A turn later: Node's TLS end() inside one of that socket's own read callbacks (microtasks run there too) makes
      // OpenSSL throw away the records it has not decrypted yet (24.21.0).
      const hold = source.holdEnd ?? ((pass) => pass())
      setImmediate(() => hold(() => this.#over || sink.end()))
      if (this.#endedFirst !== null) return
      this.#endedFirst = from
      this.#armTimer()
    }
    // Not assigned as a literal: see let-go.ts.
    const onRest = (rest: Buffer): void => {
      if (rest.length > 0) onData(rest)
      onEnd()
    }
    this.#onRest[from] = onRest
    // A client that sends all it has and its FIN at once has ended before there is a relay, paused or not.
    if (input.readableEnded) setImmediate(onEnd)
    else input.on('end', onEnd)
    input.resume()
  }

  #watch(party: Party, side: RelaySide): void {
    side.stream.on('error', (error: Error) => this.#lost(party, error))
    // Comes before 'error' where the stream is destroyed with one, as when the gateway ends an HTTP/2 connection.
    side.stream.on('aborted', () => this.#lost(party, side.stream.errored))
    const other: Party = party === 'client' ? 'upstream' : 'client'
    const onClosed = (error: Error | null): void => {
      // Closed with both directions over is the ordinary end; closed before is a loss that raised no error.
      const over = !this.#open.client && !this.#open.upstream
      if (!over || error !== null || !side.closeIsClean()) return this.#gone(party, side, error)
      this.#unflushed[other] = false
      this.#settleIfFinished()
    }
    // Closed before there was a relay, be it behind its end: it will not say so again.
    if (side.stream.destroyed) setImmediate(() => onClosed(side.stream.errored))
    side.stream.on('close', () => onClosed(null))
  }

  /** Closed: lost, unless both had ended and it was closed before all of what it had said was read. */
  #gone(party: Party, side: RelaySide, error: Error | null): void {
    const other: Party = party === 'client' ? 'upstream' : 'client'
    const mayRest = this.#open[party] && !this.#open[other] && !this.#over
    const rest = mayRest ? (side.rest?.() ?? null) : null
    if (rest === null) return this.#lost(party, error)
    this.#unflushed[other] = false
    this.#onRest[party]?.(rest)
  }

  #settleIfFinished(): void {
    if (this.#over || this.#unflushed.client || this.#unflushed.upstream) return
    this.#finish({ code: 'closed', by: this.#endedFirst ?? 'client', detail: null })
    linger([this.#client.stream, this.#upstream.stream])
  }

  #lost(party: Party, error: Error | null): void {
    if (this.#over) return
    const code = party === 'upstream' ? this.#upstreamCode(error) : clientCode(error)
    this.#abort({
      code,
      // What stands between the two on the way up (startTls) may have refused what the client said.
      by: /^(?:relay|connect|upstream)-/.test(code) ? party : 'gateway',
      detail: error === null ? null : describe(error),
    })
  }

  #upstreamCode(error: Error | null): ReasonCode {
    return error === null ? 'relay-upstream-reset' : this.#options.judgeUpstreamError(error)
  }

  #abort(result: RelayResult): void {
    if (this.#over) return
    this.#finish(result)
    this.#client.reset()
    this.#upstream.reset()
  }

  #finish(result: RelayResult): void {
    this.#stop()
    this.#resolve(result)
  }

  #stop(): void {
    this.#over = true
    if (this.#timer !== null) clearTimeout(this.#timer)
  }

  /** One timer for all limits, moved lazily: a timer re-armed for every chunk would cost more than the copy. */
  #armTimer(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    const { at } = this.#nextLimit()
    this.#timer = setTimeout(() => this.#onTimer(), Math.max(1, at - this.#options.now()))
    this.#timer.unref()
  }

  #nextLimit(): { at: number; code: ReasonCode } {
    const halfOpen = this.#endedFirst !== null
    const quiet = halfOpen
      ? {
          at: this.#lastActivity + this.#options.halfCloseTimeoutMs,
          code: 'relay-half-close-timeout' as const,
        }
      : { at: this.#lastActivity + this.#options.idleTimeoutMs, code: 'relay-idle-timeout' as const }
    const { maxDurationMs } = this.#options
    if (maxDurationMs !== null && this.#startedAt + maxDurationMs <= quiet.at) {
      return { at: this.#startedAt + maxDurationMs, code: 'relay-max-duration' }
    }
    return quiet
  }

  #onTimer(): void {
    // Who waits for its turn is not idle.
    if (this.#throttled > 0) this.#lastActivity = this.#options.now()
    const limit = this.#nextLimit()
    if (this.#options.now() < limit.at) return this.#armTimer()
    this.#abort({ code: limit.code, by: 'gateway', detail: null })
  }
}

/** Node raises ERR_HTTP2_STREAM_ERROR for RST_STREAM(INTERNAL_ERROR) and the like where our side has ended already. */
const RESETS: ReadonlySet<string | undefined> = new Set(['ECONNRESET', 'EPIPE', 'ERR_HTTP2_STREAM_ERROR'])

function clientCode(error: Error | null): ReasonCode {
  if (error === null) return 'relay-client-reset'
  return RESETS.has((error as NodeJS.ErrnoException).code) ? 'relay-client-reset' : 'relay-client-failed'
}

function describe(error: Error): string {
  if (error instanceof SallyportError) return error.message
  const code = (error as NodeJS.ErrnoException).code
  return code === undefined || error.message.includes(code) ? error.message : `${code}: ${error.message}`
}

/** Both directions are over, so nothing can be lost any more: only the sockets are left to close. */
function linger(streams: readonly RelaySide['stream'][]): void {
  // The timer would keep the session for as long, where no 'close' is still to come that stops it.
  const open = streams.filter(({ destroyed }) => !destroyed)
  if (open.length === 0) return
  const timer = setTimeout(() => {
    for (const stream of open) stream.destroy()
  }, LINGER_MS)
  timer.unref()
  let left = open.length
  const onClose = (): void => {
    left -= 1
    if (left === 0) clearTimeout(timer)
  }
  for (const stream of open) stream.on('close', onClose)
}
