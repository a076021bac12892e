// The life of one attempt, from a well-formed request to its closing record: identify, match, decide, open the way
// out, record, tell the client, relay. Each step gives a value or ends the attempt with a reason code; nothing is
// asked of the outside world before the decision is allow.
import type { AttemptFacts, AuditLog, Outcome, Revision } from '../audit/events.ts'
import type { ReasonCode } from '../audit/reasons.ts'
import type { Destination } from '../config/types.ts'
import { reachable, targetOf } from '../destinations/match.ts'
import type { ConnectionFacts } from '../listeners/connection.ts'
import type { Identified, Identity } from '../listeners/identify.ts'
import type { Policy } from '../policy/types.ts'
import { describeRevocation, type RevocationQuestion, type Revoked } from '../revocations/list.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import { type OpenUpstream, type UpstreamConnection, UpstreamError } from '../upstream/types.ts'
import type { StartTlsSet } from '../upstream/starttls/registry.ts'
import { type OpenSession, openSession } from './open-session.ts'
import type { Lease, SessionLimits } from './limits.ts'
import {
  type Grounds,
  type LiveSession,
  principalOf,
  RunningSession,
  upstreamGrounds,
} from './live-session.ts'
import type { Judged, Living } from './living.ts'
import type { SessionRegistry } from './registry.ts'
import type { RelaySide, Tunnel } from './tunnel.ts'
import type { Cutting } from './cutting.ts'
import type { Turns } from './turns.ts'
import type { YoungCollector } from './young-collector.ts'
import { resetSocket } from '../reset.ts'

export interface SessionDependencies {
  readonly listener: string
  /** What is in force. */
  readonly revision: () => Revision
  readonly match: (host: string, port: number) => Destination | null
  /** What revokes an attempt now; null = nothing. Asked before policy, which cannot undo it. */
  readonly revoked: (question: RevocationQuestion) => Revoked | null
  readonly policy: Policy
  readonly openUpstream: OpenUpstream
  readonly audit: AuditLog
  readonly registry: Pick<SessionRegistry, 'add' | 'delete'>
  readonly limits: Pick<SessionLimits, 'admit'>
  readonly collector: YoungCollector
  readonly cutting: Cutting
  readonly turns: Pick<Turns, 'enter'>
  /** Judges live sessions again. */
  readonly living: Pick<Living, 'generation' | 'opened' | 'accepted'>
  readonly metrics: Metrics
  /** Milliseconds from the client's "connected" until the name inside `passthrough` must be proven. */
  readonly nameProofMs: number
  readonly startTls: StartTlsSet
  readonly draining: () => boolean
  /** Whether the source of the configuration could not be asked for too long. */
  readonly stale: () => boolean
  readonly newId: () => string
  readonly now: () => Date
  /** Between two records of how far a live session has come. */
  readonly progressMs: number
  /** For faults of Sallyport itself, which the record names but cannot explain. */
  readonly onInternalError: (error: unknown, attemptId: string) => void
}

interface Refusal {
  readonly code: ReasonCode
  readonly detail: string | null
}

const NO_BYTES = { sent: 0, received: 0 }

/** The facts known when an attempt begins. */
export function beginAttempt(
  deps: Pick<SessionDependencies, 'listener' | 'newId' | 'now'>,
  connection: ConnectionFacts,
): AttemptFacts {
  return {
    id: deps.newId(),
    connection: connection.id,
    openedAt: deps.now(),
    listener: deps.listener,
    source: connection.source,
    workload: null,
    network: null,
    serialNumber: null,
    tokenId: null,
    credential: null,
    requested: null,
    hints: null,
    destination: null,
    decision: null,
    upstream: null,
    handshakeMs: connection.handshakeMs,
    decideMs: null,
    upstreamTimings: null,
    revision: null,
  }
}

/** Who asks, as the record has it. */
export function describeCaller(facts: AttemptFacts, identity: Identified): void {
  const { principal, credential, serialNumber, tokenId } = identity
  facts.workload = principal.kind === 'workload' ? principal.id.uri : null
  facts.network = principal.kind === 'network' ? principal.name : null
  facts.serialNumber = credential === 'certificate' ? serialNumber : null
  facts.tokenId = tokenId
  facts.credential = credential
}

/** Runs an attempt to its end. Never rejects: whatever goes wrong ends in a closing record. */
export async function runSession(
  deps: SessionDependencies,
  connection: ConnectionFacts,
  tunnel: Tunnel,
): Promise<void> {
  const facts = beginAttempt(deps, connection)
  facts.requested = { ...tunnel.requested, serverName: tunnel.facts.serverName }
  facts.hints = tunnel.facts.hints
  const cancel = new AbortController()
  const session = new Session(deps, tunnel, facts, cancel)
  let release = () => {}
  try {
    // Of before: the key of a token may be removed while its signature is verified.
    const { generation } = deps.living
    const identity = await tunnel.identify()
    const turn = deps.turns.enter()
    if (turn !== null) await turn
    const admitted = session.judge(identity, generation)
    if ('code' in admitted) return session.refuse(admitted)
    const live = session.live(admitted)
    const lease = deps.limits.admit(admitted.destination, principalOf(live.grounds))
    if ('code' in lease) return session.refuse(lease)
    release = () => lease.release()
    deps.registry.add(live)
    await session.connectAndRelay(admitted, lease)
  } catch (error) {
    deps.onInternalError(error, facts.id)
    session.refuse({ code: 'session-internal-error', detail: null })
  } finally {
    release()
    deps.registry.delete(facts.id)
    session.letGo()
  }
}

interface Admitted {
  readonly identity: Identified
  readonly destination: Destination
  /** What policy is asked about and what is dialled. */
  readonly target: { readonly host: string; readonly port: number }
}

class Session {
  readonly #deps: SessionDependencies
  readonly #tunnel: Tunnel
  readonly #facts: AttemptFacts
  readonly #cancel: AbortController
  #closing: Refusal | null = null
  #relaying: OpenSession | null = null
  #live: RunningSession | null = null
  #lease: Pick<Lease, 'leave'> | null = null
  /** Of what it was judged by, and until when that holds. */
  #judged: Judged = { generation: 0, recheckAt: null }
  #recorded = false

  constructor(deps: SessionDependencies, tunnel: Tunnel, facts: AttemptFacts, cancel: AbortController) {
    this.#deps = deps
    this.#tunnel = tunnel
    this.#facts = facts
    this.#cancel = cancel
  }

  /** Everything that can be said without touching the outside world, in the order of design §4. */
  judge(identity: Identity, generation: number): Admitted | Refusal {
    const { draining, audit, stale } = this.#deps
    // In one turn, so that all of it is judged by one configuration.
    this.#facts.revision = this.#deps.revision()
    if (!identity.ok) return identity
    describeCaller(this.#facts, identity)
    if (draining()) return { code: 'session-draining', detail: null }
    if (!audit.available()) return { code: 'session-audit-unavailable', detail: null }
    if (stale()) return { code: 'session-configuration-stale', detail: null }
    const { requested, facts } = this.#tunnel
    const destination = reachable(this.#deps.match(requested.host, requested.port), facts.passthrough)
    this.#facts.destination = destination?.name ?? null
    const revoked = this.#revoked(identity)
    if (revoked !== null) return revoked
    this.#deps.living.accepted(identity)
    if (destination === null) return { code: 'destination-unknown', detail: null }
    if (facts.ech && destination.ech === 'refuse') return { code: 'request-ech', detail: null }
    const admitted = { identity, destination, target: targetOf(destination, requested) }
    return this.#decide(admitted, generation) ?? admitted
  }

  /** What is kept of it while it lives. */
  live({ identity, destination, target }: Admitted): LiveSession {
    const { id, listener, source, openedAt } = this.#facts
    const { requested, facts } = this.#tunnel
    const { passthrough, ech } = facts
    const grounds: Grounds = {
      ...{ listener, source, identity, requested, target, passthrough, ech, destination },
      upstream: null,
    }
    this.#live = new RunningSession(
      { id, openedAt, grounds },
      () => this.#relaying,
      (code, detail) => this.close({ code, detail }),
    )
    return this.#live
  }

  /** To be called when it is over and no longer listed. */
  letGo(): void {
    this.#live?.letGo()
  }

  /** Also where nothing was matched: what a revoked workload goes on asking for is told by its revocation. */
  #revoked({ principal, serialNumber, tokenId }: Identified): Refusal | null {
    const workload = principal.kind === 'workload' ? principal.id : null
    const { destination } = this.#facts
    const found = this.#deps.revoked({ workload, serialNumber, tokenId, destination })
    return found === null ? null : { code: found.code, detail: describeRevocation(found.entry) }
  }

  #decide({ identity, destination, target }: Admitted, generation: number): Refusal | null {
    const { policy, metrics, listener, now } = this.#deps
    const { ip, vpcEndpoint } = this.#facts.source
    const startedAt = performance.now()
    const decision = policy.decide({
      principal: identity.principal,
      destination,
      ...target,
      context: {
        now: now(),
        sourceIp: ip,
        listener,
        serialNumber: identity.serialNumber,
        ...(vpcEndpoint === null ? {} : { vpcEndpoint }),
      },
    })
    this.#facts.decideMs = performance.now() - startedAt
    const { result, mode, policies, cached, recheckAt } = decision
    this.#judged = { generation, recheckAt }
    this.#facts.decision = { result, mode, policies, cached }
    metrics.decision(decision)
    return decision.code === null ? null : { code: decision.code, detail: decision.error }
  }

  async connectAndRelay(admitted: Admitted, lease: Pick<Lease, 'pace' | 'leave'>): Promise<void> {
    this.#lease = lease
    const upstream = await this.#open(admitted)
    if (upstream === null) return
    const { stream, raw, judgeLateError } = upstream
    const late = this.#judgeLate(upstream)
    if (late !== null || this.#tunnel.signal.aborted || this.#closing !== null || stream.destroyed) {
      resetSocket(raw)
      return this.refuse(late ?? this.#tooLate(stream.errored ?? null, judgeLateError))
    }
    this.#deps.audit.opened(this.#facts)
    const client = this.#tunnel.accept()
    await this.#serve(client, upstream, admitted, lease.pace)
  }

  /** Why it may not open after all: what it was judged by may have changed while the way out was opened. */
  #judgeLate(upstream: UpstreamConnection): Refusal | null {
    const { living } = this.#deps
    if (this.#live === null) return null
    this.#live.grounds = { ...this.#live.grounds, upstream: upstreamGrounds(upstream) }
    return living.opened(this.#live, this.#judged)
  }

  /** What ended the attempt between the connection's readiness and the client's "connected". */
  #tooLate(error: Error | null, judge: UpstreamConnection['judgeLateError']): Refusal {
    if (this.#closing !== null) return this.#closing
    if (this.#tunnel.signal.aborted) return { code: 'request-abandoned', detail: null }
    return { code: error === null ? 'connect-reset' : judge(error), detail: error?.message ?? null }
  }

  async #open({ identity, destination, target }: Admitted): Promise<UpstreamConnection | null> {
    const { principal } = identity
    const { onCancelKey } = this.#tunnel
    const { signal } = this.#cancel
    // AbortSignal.any would do it by weak references, which cost the collector more than all the rest of a session's signals.
    const onGone = () => this.#cancel.abort(this.#tunnel.signal.reason)
    if (this.#tunnel.signal.aborted) onGone()
    else this.#tunnel.signal.addEventListener('abort', onGone, { once: true })
    const startedAt = performance.now()
    try {
      const upstream = await this.#deps.openUpstream({
        destination,
        ...target,
        workload: principal.kind === 'workload' ? principal.id : null,
        serverName: this.#tunnel.facts.passthrough ? this.#tunnel.facts.serverName : null,
        ...(onCancelKey === undefined ? {} : { onCancelKey }),
        signal,
      })
      this.#facts.upstream = upstream.facts
      this.#facts.upstreamTimings = upstream.timings
      this.#deps.metrics.upstreamConnected((performance.now() - startedAt) / 1000, upstream.facts.resumed)
      return upstream
    } catch (error) {
      if (!(error instanceof UpstreamError)) throw error
      this.#facts.upstream = error.facts
      this.#facts.upstreamTimings = error.timings
      const gone = signal.aborted ? this.#tooLate(null, () => error.code) : null
      this.refuse(gone ?? { code: error.code, detail: error.message })
      return null
    } finally {
      // Else each open session would keep it, and an event's wrapping around it.
      this.#tunnel.signal.removeEventListener('abort', onGone)
    }
  }

  async #serve(
    client: RelaySide,
    upstream: UpstreamConnection,
    admitted: Admitted,
    pace: Lease['pace'],
  ): Promise<void> {
    const { metrics, listener, now, nameProofMs, startTls, audit, progressMs, collector, cutting } =
      this.#deps
    const { destination, target } = admitted
    const due = destination.tls === 'passthrough' && !this.#tunnel.facts.passthrough
    const preamble = destination.startTls === null ? null : startTls(destination.startTls).preamble()
    const open = openSession(client, upstream, {
      ...{ destination, pace, onLeft: collector.left, cutting },
      proof: due ? { host: target.host, preamble, timeoutMs: nameProofMs } : null,
    })
    this.#relaying = open
    metrics.sessionOpened(listener, (now().getTime() - this.#facts.openedAt.getTime()) / 1000)
    const progress = setInterval(() => {
      // Once it is cut it has its closing record, which is the last word, though it is not cleared away yet.
      if (!this.#recorded) audit.progress(this.#facts, open.bytes)
    }, progressMs)
    const { code, by, detail } = await open.done
    clearInterval(progress)
    metrics.sessionEnded(listener)
    this.#record({ code, by: by === 'gateway' ? refusedBy(code) : by, detail }, open.bytes)
  }

  /** Ends the session from outside: what is still opening is cancelled, what relays is reset. */
  close(why: Refusal): void {
    this.#closing ??= why
    const { code, detail } = why
    if (this.#relaying === null) this.#cancel.abort()
    else if (this.#relaying.close(code, detail)) {
      this.#record({ code, by: refusedBy(code), detail }, this.#relaying.bytes)
      // Its client may come again at once, long before all is cleared away where thousands were cut.
      this.#lease?.leave()
      if (this.#live !== null) this.#live.over = true
    }
  }

  refuse({ code, detail }: Refusal): void {
    if (this.#recorded) return
    const by = code === 'request-abandoned' ? 'client' : refusedBy(code)
    this.#record({ code, by, detail }, NO_BYTES)
    this.#tunnel.refuse(code, this.#facts.id)
  }

  #record(outcome: Outcome, bytes: { readonly sent: number; readonly received: number }): void {
    if (this.#recorded) return
    this.#recorded = true
    const { audit } = this.#deps
    // Ended from outside: others may be to be cut in the same turn.
    if (this.#closing === null) audit.closed(this.#facts, outcome, bytes)
    else audit.closedSoon(this.#facts, outcome, bytes)
    this.#deps.metrics.attempt(this.#deps.listener, outcome.code, bytes)
  }
}

/** Whose word a refusal is: the service's where it answered wrongly or not at all, ours where we judged. */
function refusedBy(code: ReasonCode): 'upstream' | 'gateway' {
  if (code === 'connect-breaker-open') return 'gateway'
  return /^(?:connect|upstream)-/.test(code) ? 'upstream' : 'gateway'
}
