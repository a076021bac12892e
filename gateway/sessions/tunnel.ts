// What every listener makes of a request, whatever protocol it came in by: a tunnel that waits for a verdict. The
// session behind it does not know HTTP, and the listener does not know policy.
import type { Duplex } from 'node:stream'
import type { ReasonCode } from '../audit/reasons.ts'
import type { Identity } from '../listeners/identify.ts'
import type { MeshHints } from '../listeners/mesh-hints.ts'

/** One side of a relay. `stream` carries the bytes; the three calls are what Node's Duplex cannot say by itself. */
export interface RelaySide {
  readonly stream: Duplex
  /** Ends our direction towards this side (FIN, close_notify, END_STREAM); what comes from it still flows. */
  end(): void
  /** Tears the side down so that the peer sees a reset and never a clean end. */
  reset(): void
  /** False where the stream's 'end' stands for an abort, as on a reset HTTP/2 stream (nodejs/node#53160). */
  endIsReal(): boolean
  /** Calls its argument when an end that has come may be passed on; missing = at once. */
  readonly holdEnd?: (pass: () => void) => void
  /**
   * `written`: nothing of ours stands between the stream and Node, so that a chunk is not looked at after the callback of its
   * write. `both`: and the stream is a socket's own, so that a chunk which it read is nobody else's. Missing = neither.
   */
  readonly chunks?: 'written' | 'both'
  /**
   * Asked when the stream has closed before its 'end': what came before an end that was one, and nobody has read. Null, or
   * missing, where that was none.
   */
  readonly rest?: () => Buffer | null
  /** Called each time it takes no more for now, which may be for ever where a reset was lost. */
  readonly whenFull?: () => void
  /**
   * Asked at the stream's 'close' when both sides have ended: whether all that was written, with its end, was handed
   * over. A closed HTTP/2 stream never says 'finish' when its last frame went out before Node's own bookkeeping did.
   */
  closeIsClean(): boolean
}

/** What came with a request and is no part of it. */
export interface TunnelFacts {
  /** As the ClientHello of the connection, or the one inside `passthrough`, names it. */
  readonly serverName: string | null
  /** What a mesh says about the caller, which nobody has proven: for the record alone. */
  readonly hints: MeshHints | null
  /** The client's own ClientHello, already read, is what goes up first: the server name in it is the request. */
  readonly passthrough: boolean
  /** That hello is encrypted, or pretends to be. */
  readonly ech: boolean
}

export const NO_FACTS: TunnelFacts = { serverName: null, hints: null, passthrough: false, ech: false }

export interface Tunnel {
  /** Canonical host (a name without trailing dot or an IP literal without brackets) and port. */
  readonly requested: { readonly host: string; readonly port: number }
  readonly facts: TunnelFacts
  /** Who asks, judged at each call. Never rejects. */
  identify(): Identity | Promise<Identity>
  /**
   * Told of the process id and secret by which the session can be cancelled (PostgreSQL); what it returns is called when
   * the session is over. Missing where nobody could come by them.
   */
  readonly onCancelKey?: (key: Buffer) => () => void
  /** Aborted when the client goes away before the verdict. */
  readonly signal: AbortSignal
  /** Tells the client "connected". From here on only the relay touches the stream. */
  accept(): RelaySide
  /** Tells the client no, as far as the protocol can, and ends its stream. */
  refuse(code: ReasonCode, attemptId: string): void
}
