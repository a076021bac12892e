// Audit events from the facts of an attempt (design §5.6), with fields in a fixed order and every text within a budget
// of its own, so that the sum stays under the size of a record whatever a peer sends. Trusts the types of the facts
// and none of their texts.
import type { UpstreamFacts } from '../upstream/types.ts'
import type {
  AttemptFacts,
  DecisionFacts,
  Outcome,
  Revision,
  SessionEvent,
  SessionOpenedEvent,
  SessionProgressEvent,
} from './events.ts'
import { hintFor } from './hint.ts'
import { cut, encodedBytes } from './text.ts'

/** With its line end (design §5.6). */
export const MAX_RECORD_BYTES = 12 * 1024

/** Budgets in bytes of the record. A SPIFFE ID has at most 2048 bytes, a DNS name 253, a serial number 40 digits. */
const BUDGET = {
  id: 64,
  name: 256,
  workload: 2048,
  detail: 2048,
  hint: 768,
  meshHint: 128,
  policies: 3072,
  policyId: 512,
} as const

/** The place of an event in its chain. */
export interface Link {
  readonly chain: string
  readonly sequence: number
  readonly previous: string | null
}

/** The opening record of an allowed attempt. */
export function openedEvent(facts: AttemptFacts, link: Link, revision: Revision): SessionOpenedEvent {
  const { id, connection, openedAt, ...who } = common(facts)
  return { event: 'session.opened', id, connection, ...inOrder(link), openedAt, ...who, revision }
}

/** How far a live session has come. */
export function progressEvent(
  facts: AttemptFacts,
  { bytes, at }: Pick<Closing, 'bytes'> & { readonly at: Date },
  link: Link,
  revision: Revision,
): SessionProgressEvent {
  const { id, connection, openedAt, ...who } = common(facts)
  const { sent, received } = bytes
  const moment = { openedAt, at: at.toISOString() }
  return {
    event: 'session.progress',
    ...{ id, connection, ...inOrder(link), ...moment, ...who, bytes: { sent, received } },
    revision,
  }
}

export interface Closing {
  readonly outcome: Outcome
  /** `sent` is towards the upstream. */
  readonly bytes: { readonly sent: number; readonly received: number }
  readonly closedAt: Date
}

/** The closing record of an attempt. */
export function closedEvent(
  facts: AttemptFacts,
  { outcome, bytes, closedAt }: Closing,
  link: Link,
  revision: Revision,
): SessionEvent {
  const { id, connection, openedAt, ...who } = common(facts)
  const hint = hintFor(outcome.code, facts.destination)
  return {
    event: 'session',
    id,
    connection,
    ...inOrder(link),
    openedAt,
    closedAt: closedAt.toISOString(),
    ...who,
    bytes: { sent: bytes.sent, received: bytes.received },
    outcome: {
      code: outcome.code,
      by: outcome.by,
      detail: cutOrNull(outcome.detail, BUDGET.detail),
      hint: cutOrNull(hint, BUDGET.hint),
    },
    timings: {
      handshakeMs: milliseconds(facts.handshakeMs),
      decideMs: milliseconds(facts.decideMs),
      resolveMs: milliseconds(facts.upstreamTimings?.resolveMs),
      connectMs: milliseconds(facts.upstreamTimings?.connectMs),
      tlsMs: milliseconds(facts.upstreamTimings?.tlsMs),
      // A wall clock may be set back while a session lives.
      durationMs: Math.max(0, closedAt.getTime() - facts.openedAt.getTime()),
    },
    revision,
  }
}

function inOrder({ chain, sequence, previous }: Link): Link {
  return { chain, sequence, previous }
}

function common(facts: AttemptFacts) {
  const { source, requested, decision, upstream } = facts
  return {
    id: cut(facts.id, BUDGET.id),
    connection: cut(facts.connection, BUDGET.id),
    openedAt: facts.openedAt.toISOString(),
    listener: cut(facts.listener, BUDGET.name),
    source: {
      ip: cut(source.ip, BUDGET.name),
      port: source.port,
      vpcEndpoint: cutOrNull(source.vpcEndpoint, BUDGET.name),
    },
    workload: cutOrNull(facts.workload, BUDGET.workload),
    network: cutOrNull(facts.network, BUDGET.name),
    serialNumber: cutOrNull(facts.serialNumber, BUDGET.name),
    tokenId: cutOrNull(facts.tokenId, BUDGET.name),
    credential: facts.credential,
    requested:
      requested === null
        ? null
        : {
            host: cut(requested.host, BUDGET.name),
            port: requested.port,
            serverName: cutOrNull(requested.serverName, BUDGET.name),
          },
    hints: hintsOf(facts.hints),
    destination: cutOrNull(facts.destination, BUDGET.name),
    decision: decision === null ? null : decisionOf(decision),
    upstream: upstream === null ? null : upstreamOf(upstream),
  }
}

/** Each of at most 253 bytes of visible ASCII (listeners/mesh-hints.ts), of which not all can be long at once. */
function hintsOf(hints: AttemptFacts['hints']): AttemptFacts['hints'] {
  if (hints === null) return null
  const { baggage, forwarded, trace } = hints
  const text = (value: string | null) => cutOrNull(value, BUDGET.meshHint)
  return {
    baggage:
      baggage === null
        ? null
        : {
            cluster: text(baggage.cluster),
            namespace: text(baggage.namespace),
            workloadKind: baggage.workloadKind,
            workload: text(baggage.workload),
            service: text(baggage.service),
            version: text(baggage.version),
            region: text(baggage.region),
            zone: text(baggage.zone),
          },
    forwarded: forwarded === null ? null : { source: forwarded.source, host: text(forwarded.host) },
    trace,
  }
}

function decisionOf({ result, mode, policies, cached }: DecisionFacts): DecisionFacts {
  return { result, mode, policies: fit(policies), cached }
}

/** As many policy ids as the budget takes; the last entry says how many are left out. */
function fit(policies: readonly string[]): readonly string[] {
  const kept: string[] = []
  let used = 0
  for (const policy of policies) {
    const text = cut(policy, BUDGET.policyId)
    used += encodedBytes(text) + 3
    if (used > BUDGET.policies) return [...kept, `…[cut: ${policies.length - kept.length} more]`]
    kept.push(text)
  }
  return kept
}

function upstreamOf(facts: UpstreamFacts): UpstreamFacts {
  return {
    address: cutOrNull(facts.address, BUDGET.name),
    serverName: cutOrNull(facts.serverName, BUDGET.name),
    nameProof: facts.nameProof,
    tlsVersion: cutOrNull(facts.tlsVersion, BUDGET.id),
    cipher: cutOrNull(facts.cipher, BUDGET.id),
    resumed: facts.resumed,
    certificateSha256: cutOrNull(facts.certificateSha256, BUDGET.name),
    clientCertificateSha256: cutOrNull(facts.clientCertificateSha256, BUDGET.name),
    attempts: facts.attempts,
  }
}

function cutOrNull(text: string | null, maxBytes: number): string | null {
  return text === null ? null : cut(text, maxBytes)
}

/** To the microsecond: more digits are noise that every record would carry. */
function milliseconds(value: number | null | undefined): number | null {
  return value === null || value === undefined ? null : Math.round(value * 1000) / 1000
}
