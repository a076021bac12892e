// The tunnel of protocols that have no answer of their own: what follows on the connection belongs to the session, and a
// refusal is a reset, or what the protocol of `startTls` has for it.
import type net from 'node:net'
import type { Duplex } from 'node:stream'
import { TLSSocket } from 'node:tls'
import type { RelaySide, Tunnel, TunnelFacts } from '../sessions/tunnel.ts'
import type { ReasonCode } from '../audit/reasons.ts'
import type { StartTls } from '../upstream/starttls/types.ts'
import type { Identity } from './identify.ts'
import { tryEnd } from './lost-reset.ts'
import { refusalWords, tellRefusal } from './protocol-refusal.ts'
import { resetSocket } from '../reset.ts'

export interface StreamTunnelOptions {
  readonly requested: { readonly host: string; readonly port: number }
  readonly facts: TunnelFacts
  readonly identify: () => Identity | Promise<Identity>
  /** Where bytes are read and written: the TLS socket over `raw`, or `raw` itself. Paused. */
  readonly stream: Duplex
  readonly raw: net.Socket
  /** How a refusal is told; null = by a reset. */
  readonly refusal: StartTls['refusal'] | null
  readonly onCancelKey?: NonNullable<Tunnel['onCancelKey']>
}

export class StreamTunnel implements Tunnel {
  readonly requested: { readonly host: string; readonly port: number }
  readonly facts: TunnelFacts
  readonly identify: () => Identity | Promise<Identity>
  readonly onCancelKey?: NonNullable<Tunnel['onCancelKey']>
  readonly signal: AbortSignal
  readonly #stream: Duplex
  readonly #raw: net.Socket
  readonly #refusal: StartTls['refusal'] | null
  readonly #gone = new AbortController()
  readonly #onGone = () => this.#gone.abort()

  constructor(options: StreamTunnelOptions) {
    this.requested = options.requested
    this.facts = options.facts
    this.identify = options.identify
    if (options.onCancelKey !== undefined) this.onCancelKey = options.onCancelKey
    this.signal = this.#gone.signal
    this.#stream = options.stream
    this.#raw = options.raw
    this.#refusal = options.refusal
    // This listener stays for good: there must never be none.
    this.#stream.on('error', this.#onGone)
    this.#stream.on('close', this.#onGone)
  }

  accept(): RelaySide {
    const stream = this.#stream
    stream.off('close', this.#onGone)
    const lost = stream instanceof TLSSocket ? tryEnd(stream, this.#raw) : {}
    return {
      stream,
      chunks: 'both',
      end: () => stream.end(),
      // destroy() on a TLS socket would reach the peer as a clean end (nodejs/node#49484).
      reset: () => resetSocket(this.#raw),
      endIsReal: () => true,
      ...lost,
      closeIsClean: () => stream.writableFinished,
    }
  }

  /** A reset is of the raw socket alone: touching the TLS socket too, in the turn of its handshake, crashes Node 24.21. */
  refuse(code: ReasonCode, attemptId: string): void {
    if (this.#refusal === null || this.signal.aborted) resetSocket(this.#raw)
    else tellRefusal(this.#stream, this.#raw, this.#refusal(refusalWords(code, attemptId)))
  }
}
