// What the way out offers to a session: one call that resolves, classifies, dials, speaks TLS and waits for the
// server's judgement. It is called only after the decision was allow (promise 1: deny means silence).
import type { BlockList, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { TLSSocket } from 'node:tls'
import type { SpiffeId } from '../../spiffe/id.ts'
import { SallyportError } from '../../common/errors.ts'
import type { ReasonCode } from '../audit/reasons.ts'
import type { ClientCertificateEntry, Destination } from '../config/types.ts'
import type { ServerProof } from './server-proof.ts'

/** Where addresses come from. */
export interface Resolution {
  readonly addresses: readonly string[]
  /** `stale`: the time of the answer is over, and no resolver has given a newer one. */
  readonly source: 'asked' | 'cached' | 'stale'
  /** What is left of its time; the servers' own word where it was asked for just now. */
  readonly ttlMs: number
}

/**
 * Addresses of a host, in the order to try. `note` is told where they come from, where a resolver was needed at all.
 * Rejects with an UpstreamError of a `dns-…` code.
 */
export type Resolve = (
  host: string,
  signal: AbortSignal,
  note?: (resolution: Resolution) => void,
) => Promise<readonly string[]>

/** A TCP connection to one checked address (never a name). Rejects with an UpstreamError of a `connect-…` code. */
export type Dial = (
  endpoint: { readonly address: string; readonly port: number },
  signal: AbortSignal,
) => Promise<Socket>

/** The same with the second lock, which Node itself applies when it connects (block-list.ts). */
export type LockedDial = (
  endpoint: { readonly address: string; readonly port: number; readonly blockList: BlockList },
  signal: AbortSignal,
) => Promise<Socket>

export interface UpstreamRequest {
  readonly destination: Destination
  /** Canonical: a lower-case DNS name without trailing dot, or an IP literal without brackets. */
  readonly host: string
  readonly port: number
  /** Null where who asks is a network, which has no client certificate. */
  readonly workload: SpiffeId | null
  /** With `tls: passthrough`: the name in the client's own ClientHello, which has been compared; else null. */
  readonly serverName: string | null
  /** Of the session's tunnel (sessions/tunnel.ts). */
  readonly onCancelKey?: (key: Buffer) => () => void
  /** For whoever looks on: given the TLS socket before its handshake. It must not touch its flow. */
  readonly onTls?: (socket: TLSSocket) => void
  /**
   * Aborted when the client goes away or the gateway gives up; what was opened by then is reset. Abort it with a
   * SallyportError of a reason code and the UpstreamError has that code; otherwise it is `relay-client-reset`.
   */
  readonly signal: AbortSignal
}

/** The `upstream` object of the audit record (design §5.6): what was really dialled, presented and proven so far. */
export interface UpstreamFacts {
  /** `203.0.113.9:443`, `[2001:db8::1]:443`; null before a dial. */
  address: string | null
  serverName: string | null
  nameProof: 'certificate' | 'client-hello' | null
  tlsVersion: string | null
  cipher: string | null
  resumed: boolean | null
  certificateSha256: string | null
  clientCertificateSha256: string | null
  attempts: number
}

/** Milliseconds; null where the stage was not reached. A stage that failed has the time until it did. */
export interface UpstreamTimings {
  resolveMs: number | null
  /** All attempts together. */
  connectMs: number | null
  /** The upgrade of `startTls`, handshake and confirmation together. */
  tlsMs: number | null
}

/** `up`; `lost` to another address that came up first; `abandoned` with the session; else why it failed. */
export type AttemptResult = 'up' | 'lost' | 'abandoned' | ReasonCode

export interface AttemptTrace {
  /** `203.0.113.9:443`. */
  readonly endpoint: string
  readonly result: AttemptResult
  readonly ms: number
}

/** What `sallyport diagnose` shows and no record holds. */
export interface UpstreamTrace {
  /** Null before an answer, and where none was needed (IP literals, localhost) or the resolver does not say. */
  resolution: Pick<Resolution, 'source' | 'ttlMs'> | null
  /** As resolved, refused ones among them; `verdicts` (permit-trace.ts) says what each is. */
  found: readonly string[]
  permitted: readonly string[]
  /** Each in the order in which they ended. */
  readonly attempts: AttemptTrace[]
}

/** What the session's TLS rests on, to be judged again when the destination changes. */
export interface ProvenUpstream {
  /** The entry of `clientCertificates` that was chosen; null = none, whether the server asked or not. */
  readonly entry: ClientCertificateEntry | null
  /** Of the full handshake, where this one resumed it. */
  readonly server: ServerProof | null
}

export interface UpstreamConnection {
  /** The raw TCP socket: only `resetSocket(raw)` gives a reset. */
  readonly raw: Socket
  /**
   * Where bytes are read and written: the TLS socket over `raw`, or `raw` itself. Paused; early data is still in it.
   * Listen in the same tick; what happened in between is told by `errored` and `readableEnded`. A late TLS alert
   * raises `error` without closing the stream: the receiver resets `raw`.
   */
  readonly stream: Duplex
  readonly facts: UpstreamFacts
  readonly timings: UpstreamTimings
  readonly trace: UpstreamTrace
  /** Null where the gateway speaks no TLS to it. */
  readonly proven: ProvenUpstream | null
  /** The code of an error that `stream` raised after it was handed over: a late TLS 1.3 refusal of our certificate has its own. */
  readonly judgeLateError: (error: Error) => ReasonCode
}

export type OpenUpstream = (request: UpstreamRequest) => Promise<UpstreamConnection>

interface UpstreamErrorOptions {
  readonly cause?: unknown
  readonly hint?: string | null
  readonly facts?: UpstreamFacts
  readonly timings?: UpstreamTimings
  readonly trace?: UpstreamTrace
}

/** Why there is no connection. `facts`, `timings` and `trace` hold what was reached before the failure. */
export class UpstreamError extends SallyportError<ReasonCode> {
  readonly facts: UpstreamFacts | null
  readonly timings: UpstreamTimings | null
  readonly trace: UpstreamTrace | null

  constructor(code: ReasonCode, message: string, options: UpstreamErrorOptions = {}) {
    super(code, message, options)
    this.facts = options.facts ?? null
    this.timings = options.timings ?? null
    this.trace = options.trace ?? null
  }
}
