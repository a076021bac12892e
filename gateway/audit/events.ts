// The shape of audit events (design §5.6). A field that does not apply is null, never missing, so that a reader in
// Logs Insights or Athena sees one schema.
import type { MeshHints } from '../listeners/mesh-hints.ts'
import type { UpstreamFacts, UpstreamTimings } from '../upstream/types.ts'
import type { ReasonCode } from './reasons.ts'
import type { SinkState } from './sink.ts'

export interface SourceFacts {
  readonly ip: string
  readonly port: number
  readonly vpcEndpoint: string | null
}

export interface RequestedFacts {
  readonly host: string
  readonly port: number
  readonly serverName: string | null
}

export interface DecisionFacts {
  readonly result: 'allow' | 'deny'
  readonly mode: 'enforce' | 'report'
  readonly policies: readonly string[]
  readonly cached: boolean
}

export type Credential = 'certificate' | 'token' | 'network' | 'cancel-key'

/** What is known of an attempt while it lives; the closing record is made of it. */
export interface AttemptFacts {
  readonly id: string
  readonly connection: string
  readonly openedAt: Date
  readonly listener: string
  readonly source: SourceFacts
  workload: string | null
  network: string | null
  serialNumber: string | null
  tokenId: string | null
  credential: Credential | null
  requested: RequestedFacts | null
  hints: MeshHints | null
  destination: string | null
  decision: DecisionFacts | null
  upstream: UpstreamFacts | null
  handshakeMs: number | null
  decideMs: number | null
  upstreamTimings: UpstreamTimings | null
  /** What it was judged by; null = it was not, and what is in force when the record is written stands there. */
  revision: Revision | null
}

export interface Outcome {
  readonly code: ReasonCode
  /** Who ended it. */
  readonly by: 'client' | 'upstream' | 'gateway'
  /** What a library or a peer said, escaped and cut by the record writer; null where the code says it all. */
  readonly detail: string | null
}

export interface Revision {
  readonly config: string
  readonly policy: string
}

interface Chained {
  readonly chain: string
  readonly sequence: number
  /** `sha256:` and the hex digest of the previous event's line without its end; null for the first of a chain. */
  readonly previous: string | null
}

interface Common {
  readonly id: string
  readonly connection: string
  readonly openedAt: string
  readonly listener: string
  readonly source: SourceFacts
  readonly workload: string | null
  /** An entry of `networks`, where no workload was shown. */
  readonly network: string | null
  readonly serialNumber: string | null
  /** `jti` of the token that was shown, or its digest; never the token. */
  readonly tokenId: string | null
  readonly credential: Credential | null
  readonly requested: RequestedFacts | null
  /** What a mesh said about the caller and nobody has proven; null on listeners that read none. */
  readonly hints: MeshHints | null
  readonly destination: string | null
  readonly decision: DecisionFacts | null
  readonly upstream: UpstreamFacts | null
  readonly revision: Revision
}

/** Written before the client is told "connected". */
export interface SessionOpenedEvent extends Chained, Common {
  readonly event: 'session.opened'
}

/** Written at the end of every attempt. */
export interface SessionEvent extends Chained, Common {
  readonly event: 'session'
  readonly closedAt: string
  readonly bytes: { readonly sent: number; readonly received: number }
  readonly outcome: Outcome & { readonly hint: string | null }
  readonly timings: {
    readonly handshakeMs: number | null
    readonly decideMs: number | null
    readonly resolveMs: number | null
    readonly connectMs: number | null
    readonly tlsMs: number | null
    readonly durationMs: number
  }
}

/** Written every five minutes while a session lives. */
export interface SessionProgressEvent extends Chained, Common {
  readonly event: 'session.progress'
  readonly at: string
  readonly bytes: { readonly sent: number; readonly received: number }
}

/** An event by its place in a chain. */
export interface ChainEnd {
  readonly chain: string
  readonly sequence: number
  /** `sha256:` and the hex digest of its line without its end. */
  readonly hash: string
}

/** Written each minute and at exit: what the gateway signs about the chain so far (checkpoint.ts). */
export interface CheckpointEvent extends Chained {
  readonly event: 'checkpoint'
  readonly at: string
  readonly after: ChainEnd | null
  readonly dropped: number
  readonly final: boolean
  readonly jws: string
}

export type AuditEvent = SessionOpenedEvent | SessionProgressEvent | SessionEvent | CheckpointEvent

export interface WrittenCheckpoint {
  readonly chain: string
  /** Of the checkpoint's own event. */
  readonly sequence: number
  readonly at: string
  /** The event as it stands in the log, without its end. */
  readonly line: string
}

/** `oldestWaitMs` is that of lines and of records that are yet to be made. */
export interface AuditState extends SinkState {
  /** Records of sessions that were ended together and are yet to be made. */
  readonly recordsWaiting: number
}

/** Writes audit events; the one implementation chains them and hands the lines to a sink. */
export interface AuditLog {
  opened(facts: AttemptFacts): void
  progress(facts: AttemptFacts, bytes: { readonly sent: number; readonly received: number }): void
  closed(
    facts: AttemptFacts,
    outcome: Outcome,
    bytes: { readonly sent: number; readonly received: number },
  ): void
  /**
   * As `closed`, at this moment, of a session that did not end by itself: where thousands are ended at once, the records
   * are written when all are cut. None is lost by that but where the process dies; `close` and the last checkpoint wait.
   */
  closedSoon(
    facts: AttemptFacts,
    outcome: Outcome,
    bytes: { readonly sent: number; readonly received: number },
  ): void
  /** False where new sessions must be refused with `session-audit-unavailable` (design §5.6). */
  available(): boolean
  /** How the log and its sink do, for metrics. */
  state(): AuditState
  /**
   * Writes a checkpoint and gives it, for a second sink; null where there is no event yet to sign.
   * @throws Error where the gateway's key or certificates make none; the chain is as before then
   */
  checkpoint(final: boolean): WrittenCheckpoint | null
  /** Resolves when everything is written, or after `timeoutMs`. */
  close(timeoutMs: number): Promise<void>
}
