// The time between a client's "connected" and its proof of the inner name: feeds the bytes of both sides to the state
// machine, passes on what that lets through, and ends in a proof or in a reset of both sides. What was proven goes back
// into the client's stream, so that the relay moves and counts it like everything else.
import type { ReasonCode } from '../audit/reasons.ts'
import type { InnerHello, ProofNext, ProofStep } from './inner-hello.ts'
import type { RelayResult } from './relay.ts'
import type { RelaySide } from './tunnel.ts'

export interface NameProofOptions {
  readonly hello: InnerHello
  /** Milliseconds for preamble and ClientHello together, whatever moves: a client that drips gets no more. */
  readonly timeoutMs: number
  readonly judgeUpstreamError: (error: Error) => ReasonCode
}

export type NameProofResult =
  | { readonly proven: true; readonly serverName: string | null }
  | { readonly proven: false; readonly why: RelayResult }

export interface NameProof {
  /** Settles once. Proven: both streams are paused and untouched. Else both sides are reset. Never rejects. */
  readonly done: Promise<NameProofResult>
  /** Of the preamble, passed on so far. */
  readonly bytes: { readonly sent: number; readonly received: number }
  /** Resets both sides with the reason given; a proof that is over is left alone: false. */
  close(code: ReasonCode, detail?: string | null): boolean
}

/** Starts to read from both sides, whose streams must be paused. */
export function startNameProof(client: RelaySide, upstream: RelaySide, options: NameProofOptions): NameProof {
  return new RunningProof(client, upstream, options)
}

class RunningProof implements NameProof {
  readonly bytes = { sent: 0, received: 0 }
  readonly done: Promise<NameProofResult>
  readonly #client: RelaySide
  readonly #upstream: RelaySide
  readonly #timer: NodeJS.Timeout
  readonly #stops: (() => void)[] = []
  #resolve: (result: NameProofResult) => void = () => {}
  #over = false

  constructor(
    client: RelaySide,
    upstream: RelaySide,
    { hello, timeoutMs, judgeUpstreamError }: NameProofOptions,
  ) {
    this.#client = client
    this.#upstream = upstream
    this.done = new Promise((resolve) => {
      this.#resolve = resolve
    })
    this.#timer = setTimeout(() => this.close('name-timeout'), timeoutMs)
    this.#watch('client', client, {
      data: (chunk) => hello.fromClient(chunk),
      lost: () => 'relay-client-reset',
    })
    this.#watch('upstream', upstream, {
      data: (chunk) => hello.fromServer(chunk),
      lost: (error) => (error === null ? 'relay-upstream-reset' : judgeUpstreamError(error)),
    })
  }

  close(code: ReasonCode, detail: string | null = null): boolean {
    if (this.#over) return false
    this.#fail({ code, by: 'gateway', detail })
    return true
  }

  #watch(
    by: 'client' | 'upstream',
    side: RelaySide,
    on: { data: (chunk: Buffer) => ProofStep; lost: (error: Error | null) => ReasonCode },
  ): void {
    const { stream } = side
    // Stays: a stream that is reset may raise one when nobody listens any more, or not yet.
    stream.on('error', () => {})
    const onData = (chunk: Buffer): void => this.#follow(on.data(chunk))
    const onLost = (): void => {
      const error = stream.errored ?? null
      this.#fail({ code: on.lost(error), by, detail: error?.message ?? null })
    }
    const onEnd = (): void => {
      if (!side.endIsReal()) return onLost()
      this.#fail({ code: `name-${by}-closed`, by, detail: null })
    }
    stream.on('data', onData).on('end', onEnd).on('error', onLost).on('aborted', onLost).on('close', onLost)
    this.#stops.push(() => {
      stream.pause()
      stream.off('data', onData).off('end', onEnd)
      stream.off('error', onLost).off('aborted', onLost).off('close', onLost)
    })
    // Both may be over before anybody listened: a client that sends its FIN with the request, a server that hung up.
    if (stream.destroyed) setImmediate(onLost)
    else if (stream.readableEnded) setImmediate(onEnd)
    stream.resume()
  }

  #follow({ toServer, toClient, next }: ProofStep): void {
    if (this.#over) return
    if (toServer.length > 0) this.#upstream.stream.write(toServer)
    if (toClient.length > 0) this.#client.stream.write(toClient)
    this.bytes.sent += toServer.length
    this.bytes.received += toClient.length
    this.#judge(next)
  }

  #judge(next: ProofNext): void {
    if (next.kind === 'more') return
    if (next.kind === 'refused') {
      const { code, detail } = next
      return this.#fail({ code, by: 'gateway', detail })
    }
    this.#finish()
    // In this turn: once the stream has told its end, nothing can be put back any more.
    this.#client.stream.unshift(next.held)
    this.#resolve({ proven: true, serverName: next.serverName })
  }

  #fail(why: RelayResult): void {
    if (this.#over) return
    this.#finish()
    // A turn later: a TLS socket whose raw one is reset inside its own read callback may still be read from.
    setImmediate(() => {
      this.#client.reset()
      this.#upstream.reset()
      this.#resolve({ proven: false, why })
    })
  }

  #finish(): void {
    this.#over = true
    clearTimeout(this.#timer)
    for (const stop of this.#stops.splice(0)) stop()
  }
}
