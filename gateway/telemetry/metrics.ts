// The gateway's metrics, each with its own method, so that a label can only be what the type allows. Names are a
// contract: dashboards and alarms read them (docs/metrics.md).
import type { AuthorityState } from '../identity/tally.ts'
import type { AuditState } from '../audit/events.ts'
import type { CheckpointResult } from '../audit/checkpointer.ts'
import { type ReasonCode, REASONS } from '../audit/reasons.ts'
import type { PolicyMode } from '../policy/types.ts'
import type { ResolveResult } from '../upstream/resolve.ts'
import type { AttemptResult } from '../upstream/types.ts'
import { startLoopDelay } from './loop-delay.ts'
import { renderPrometheus } from './prometheus.ts'
import { OpenByListener } from './by-listener.ts'
import { type Family, type Labels, Registry } from './registry.ts'
import {
  type CertificateValidity,
  sampleAudit,
  sampleAuthority,
  sampleCertificates,
  sampleProcess,
  sampleValidity,
  type Validity,
} from './sampled.ts'

export interface Metrics {
  /** Whether connections are taken by this name. */
  listening(listener: string, is: boolean): void
  /** A raw connection was accepted, or has gone. */
  connectionsOpen(listener: string, change: 1 | -1): void
  handshake(listener: string, result: 'ok' | 'failed'): void
  /** A connection that sent nothing. */
  probe(listener: string): void
  /** The system refused to hand over a connection (EMFILE and the like). */
  acceptError(listener: string): void
  /** Asked at each scrape. */
  sampleAdmission(
    state: () => { readonly working: number; readonly waiting: number; readonly sources: number },
  ): void
  /** Asked at each scrape. */
  sampleH2(heldBytes: () => number): void
  decision(decision: { readonly result: 'allow' | 'deny'; readonly mode: PolicyMode }): void
  /** An attempt ended. */
  attempt(
    listener: string,
    code: ReasonCode,
    bytes: { readonly sent: number; readonly received: number },
  ): void
  /** `seconds` from the request to "connected". */
  sessionOpened(listener: string, seconds: number): void
  sessionEnded(listener: string): void
  /** A host was resolved, or could not be. */
  resolved(result: ResolveResult): void
  /** One dial ended. */
  dialled(result: AttemptResult): void
  /** Asked at each scrape. */
  sampleDnsCache(hosts: () => number): void
  /** Asked at each scrape. */
  sampleEndpointsAside(endpoints: () => number): void
  /** Asked at each scrape. */
  sampleConfiguration(state: () => { readonly ageSeconds: number; readonly rejected: boolean }): void
  /** Asked at each scrape. */
  sampleRevocations(state: () => { readonly entries: number; readonly ageSeconds: number }): void
  /** Asked at each scrape. */
  sampleThrottled(directions: () => number): void
  /** A live session was judged again after a change, or at its moment. */
  judgedAgain(result: 'kept' | 'closed'): void
  /** Asked at each scrape. */
  sampleJudging(waiting: () => number): void
  /** Asked at each scrape; null = no authority is asked for the gateway's own identity. */
  sampleAuthority(state: () => AuthorityState | null): void
  /** `seconds` for resolving, dialling, TLS and confirmation; `resumed` null where the gateway speaks no TLS. */
  upstreamConnected(seconds: number, resumed: boolean | null): void
  /** A part of a destination's certificates, keys and roots was read again, or could not be and is kept as it was. */
  partnerReload(which: PartnerLabels, result: 'fresh' | 'failed'): void
  /** A destination or its part may be in force no more. */
  partnerGone(which: PartnerLabels): void
  /** Of the certificates that the gateway shows. Asked at each scrape. */
  sampleCertificates(read: () => readonly CertificateValidity[]): void
  /** Asked at each scrape. `name` is a trust domain of the configuration. */
  sampleBundles(read: () => readonly Validity[]): void
  /** What became of a change. A source that cannot be read or holds a fault is `rejected`: what was good stays. */
  reload(source: ReloadSource, result: 'applied' | 'rejected'): void
  checkpoint(result: CheckpointResult): void
  /** All metrics as they stand. */
  collect(): readonly Family[]
  /** Prometheus text 0.0.4. */
  render(): string
  /** Stops what samples in the background. */
  close(): void
}

export interface PartnerLabels extends Labels {
  readonly destination: string
  readonly part: string
}

export type ReloadSource = 'configuration' | 'policy' | 'trust' | 'revocations'

export interface MetricsOptions {
  readonly version: string
  readonly audit: () => AuditState
  readonly now?: () => Date
}

const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

export function createMetrics(options: MetricsOptions): Metrics {
  const registry = new Registry()
  const delay = startLoopDelay()
  const now = options.now ?? (() => new Date())
  registry
    .gauge('sallyport_build_info', 'Version of Sallyport and of Node.')
    .set({ version: options.version, node: process.version }, 1)
  const listening = new Set<string>()
  const openByListener = (name: string, help: string): OpenByListener => {
    const counted = new OpenByListener((listener) => listening.has(listener))
    registry.sampledSeries(name, help, 'gauge', () => counted.series())
    return counted
  }
  const connections = openByListener(
    'sallyport_connections_open',
    'Downstream TCP connections that are open.',
  )
  const handshakes = registry.counter('sallyport_handshakes_total', 'Downstream TLS handshakes by result.')
  const probes = registry.counter('sallyport_probes_total', 'Connections that sent nothing.')
  const acceptErrors = registry.counter(
    'sallyport_accept_errors_total',
    'Connections that the system did not hand over (EMFILE and the like).',
  )
  const decisions = registry.counter(
    'sallyport_decisions_total',
    'Policy decisions by result, and by mode: a denial in mode report lets the session through.',
  )
  const attempts = registry.counter('sallyport_sessions_total', 'Attempts that ended, by reason code.')
  const open = openByListener('sallyport_sessions_open', 'Sessions that relay bytes now.')
  const bytes = registry.counter(
    'sallyport_bytes_total',
    'Bytes relayed by ended sessions; sent is towards the upstream.',
  )
  const opening = registry.histogram(
    'sallyport_session_open_seconds',
    'From the request to "connected".',
    SECONDS,
  )
  const upstream = registry.histogram(
    'sallyport_upstream_connect_seconds',
    'Resolving, dialling, TLS and confirmation.',
    SECONDS,
  )
  const resolutions = registry.counter(
    'sallyport_dns_resolutions_total',
    'Hosts resolved for sessions: asked, cached, stale, or the reason code of a failure.',
  )
  const dials = registry.counter(
    'sallyport_dial_attempts_total',
    'TCP connections tried: up, lost to a faster address, abandoned by the client, or the reason code.',
  )
  const upstreamHandshakes = registry.counter(
    'sallyport_upstream_handshakes_total',
    'TLS handshakes with services that succeeded; a resumed one costs about half.',
  )
  const reloads = registry.counter(
    'sallyport_reloads_total',
    'Changes of what the gateway goes by: applied, or rejected for a fault.',
  )
  const judged = registry.counter(
    'sallyport_sessions_judged_again_total',
    'Live sessions judged again after a change, or at a moment: kept, or closed.',
  )
  const reloadFailures = registry.counter(
    'sallyport_partner_reload_failures_total',
    'Changed certificates, keys or roots of destinations that could not be taken, and looks at secrets that failed.',
  )
  const stale = registry.gauge(
    'sallyport_partner_stale',
    '1 while a part of a destination is kept as it was because the new one cannot be taken, else 0.',
  )
  const reloadedAt = registry.gauge(
    'sallyport_reload_applied_timestamp_seconds',
    'When the last change was applied, in seconds since 1970.',
  )
  const checkpoints = registry.counter(
    'sallyport_audit_checkpoints_total',
    'Checkpoints: written to the log, unsigned for a fault of the key, kept by the second sink or lost to it.',
  )
  let keptAt: number | null = null
  registry.sampledSeries(
    'sallyport_audit_checkpoint_kept_age_seconds',
    'Since the second sink last kept a checkpoint; nothing before the first.',
    'gauge',
    () => (keptAt === null ? [] : [{ labels: {}, value: (now().getTime() - keptAt) / 1000 }]),
  )
  sampleProcess(registry, delay)
  sampleAudit(registry, options.audit)
  // What each session counts, a dozen series of it, is found by what tells it apart alone.
  const handshakesOf = remembered((listener: string) =>
    remembered((result: string) => handshakes.at({ listener, result })),
  )
  const decisionsOf = remembered((mode: PolicyMode) =>
    remembered((result: string) => decisions.at({ result, mode })),
  )
  const attemptsOf = remembered((listener: string) =>
    remembered((code: ReasonCode) => attempts.at({ listener, code, stage: stageOf(code) })),
  )
  const sentBytes = bytes.at({ direction: 'sent' })
  const receivedBytes = bytes.at({ direction: 'received' })
  const resolutionsOf = remembered((result: ResolveResult) => resolutions.at({ result }))
  const dialsOf = remembered((result: AttemptResult) => dials.at({ result }))
  const upstreamHandshakesOf = remembered((resumed: boolean) =>
    upstreamHandshakes.at({ resumed: String(resumed) }),
  )
  return {
    listening(listener, is) {
      if (is) listening.add(listener)
      else listening.delete(listener)
    },
    connectionsOpen: (listener, change) => connections.add(listener, change),
    handshake: (listener, result) => handshakesOf(listener)(result).add(),
    probe: (listener) => probes.add({ listener }),
    acceptError: (listener) => acceptErrors.add({ listener }),
    sampleAdmission(state) {
      const gauge = (name: string, help: string, of: 'working' | 'waiting' | 'sources') =>
        registry.sampled(name, help, 'gauge', () => state()[of])
      gauge('sallyport_handshakes_working', 'Downstream TLS handshakes at work.', 'working')
      gauge('sallyport_handshakes_waiting', 'Downstream TLS handshakes that wait for their turn.', 'waiting')
      gauge('sallyport_sources', 'Addresses (of IPv6 /64) that have connections.', 'sources')
    },
    sampleH2(heldBytes) {
      const help =
        'Bytes that HTTP/2 tunnels hold because one side does not read; capped by arrivals.bufferedBytes.'
      registry.sampled('sallyport_h2_buffered_bytes', help, 'gauge', heldBytes)
    },
    decision: ({ result, mode }) => decisionsOf(mode)(result).add(),
    attempt(listener, code, { sent, received }) {
      attemptsOf(listener)(code).add()
      sentBytes.add(sent)
      receivedBytes.add(received)
    },
    sessionOpened(listener, seconds) {
      open.add(listener, 1)
      opening.observe(seconds)
    },
    sessionEnded: (listener) => open.add(listener, -1),
    resolved: (result) => resolutionsOf(result).add(),
    dialled: (result) => dialsOf(result).add(),
    sampleDnsCache(hosts) {
      registry.sampled('sallyport_dns_cache_hosts', 'Hosts in the DNS cache.', 'gauge', hosts)
    },
    sampleEndpointsAside(endpoints) {
      const help = 'Endpoints that failed lately and are tried after the others.'
      registry.sampled('sallyport_endpoints_set_aside', help, 'gauge', endpoints)
    },
    sampleConfiguration(state) {
      const help = 'Time since the source of the configuration could last be asked.'
      registry.sampled('sallyport_configuration_age_seconds', help, 'gauge', () => state().ageSeconds)
      const rejected =
        '1 while the newest configuration is refused for a fault and the last one is kept, else 0.'
      registry.sampled('sallyport_configuration_rejected', rejected, 'gauge', () => Number(state().rejected))
    },
    sampleRevocations(state) {
      const gauge = (name: string, help: string, of: 'entries' | 'ageSeconds') =>
        registry.sampled(name, help, 'gauge', () => state()[of])
      gauge('sallyport_revocations_entries', 'Entries of the revocation list.', 'entries')
      const help = 'Time since the revocation list was last known to be as its source has it.'
      gauge('sallyport_revocations_age_seconds', help, 'ageSeconds')
    },
    sampleThrottled(directions) {
      const help =
        'Directions of live sessions that wait because they were faster than limits.bytesPerSecond.'
      registry.sampled('sallyport_sessions_throttled', help, 'gauge', directions)
    },
    judgedAgain: (result) => judged.add({ result }),
    sampleJudging(waiting) {
      const help = 'Live sessions that wait to be judged again.'
      registry.sampled('sallyport_sessions_waiting_judgement', help, 'gauge', waiting)
    },
    sampleAuthority: (state) => sampleAuthority(registry, state),
    upstreamConnected(seconds, resumed) {
      upstream.observe(seconds)
      if (resumed !== null) upstreamHandshakesOf(resumed).add()
    },
    partnerReload(which, result) {
      stale.set(which, result === 'failed' ? 1 : 0)
      if (result === 'failed') reloadFailures.add({ destination: which.destination })
    },
    partnerGone: (which) => stale.remove(which),
    sampleCertificates: (read) => sampleCertificates(registry, read),
    sampleBundles: (read) => sampleValidity(registry, 'bundle', 'trust_domain', read),
    reload(source, result) {
      reloads.add({ source, result })
      if (result === 'applied') reloadedAt.set({ source }, now().getTime() / 1000)
    },
    checkpoint(result) {
      checkpoints.add({ result })
      if (result === 'kept') keptAt = now().getTime()
    },
    collect: () => registry.collect(),
    render: () => renderPrometheus(registry.collect()),
    close: () => delay.close(),
  }
}

/** What was made for a key once; keys are few, as labels are. */
function remembered<Key, Value>(make: (key: Key) => Value): (key: Key) => Value {
  const known = new Map<Key, Value>()
  return (key) => {
    const found = known.get(key)
    if (found !== undefined) return found
    const made = make(key)
    known.set(key, made)
    return made
  }
}

/** The prefix of a reason code: few enough to draw, and an alarm on a stage needs no list of codes. */
function stageOf(code: ReasonCode): string {
  return REASONS[code] === undefined ? 'unknown' : (/^(?:upstream-tls|[a-z]+)/.exec(code)?.[0] ?? code)
}
