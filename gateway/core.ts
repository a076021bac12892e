// What every session needs and no port is: audit, metrics, trust, destinations, policy and the way out, each built once and
// asked for what is in force at that moment. It decides nothing.
import { randomBytes } from 'node:crypto'
import type { Logger } from 'pino'
import { VERSION } from '../common/version.ts'
import type { AuditState } from './audit/events.ts'
import { createIds } from './audit/ids.ts'
import type { Sink } from './audit/sink.ts'
import { openAuditSink, startAudit } from './audit/start.ts'
import { watchCertificates } from './certificates.ts'
import type { ReadSecret } from './config/secrets.ts'
import type { Destination, GatewayConfig, ListenerConfig, TrustMaterial } from './config/types.ts'
import type { IdentityKeeper } from './identity/keeper.ts'
import { compileDestinations } from './destinations/match.ts'
import { createDestinationStore, type DestinationStore } from './destinations/store.ts'
import { createAdmission } from './listeners/arrival/admission.ts'
import { affordableConnections } from './listeners/arrival/open-files.ts'
import { createH2Memory } from './listeners/h2-memory.ts'
import { trustOf } from './listeners/listener.ts'
import { type ChoosePort, createChoosePort } from './listeners/passthrough.ts'
import { singleTargets } from './listeners/preset.ts'
import type { Policy } from './policy/types.ts'
import { createInForce, type InForce } from './reload/in-force.ts'
import type { ConfigSource } from './reload/source.ts'
import { ConfigStatus } from './reload/status.ts'
import { type Sources, Watches, type WatchesOptions } from './reload/watches.ts'
import type { RevocationQuestion } from './revocations/list.ts'
import { type FirstRevocations, RevocationKeeper } from './revocations/keeper.ts'
import { SessionLimits } from './sessions/limits.ts'
import { createCutting } from './sessions/cutting.ts'
import { Turns } from './sessions/turns.ts'
import { createYoungCollector } from './sessions/young-collector.ts'
import { Moments } from './sessions/moments.ts'
import { startLiving, type StartLivingOptions } from './sessions/start-living.ts'
import { startEmfWriter } from './telemetry/emf-writer.ts'
import { createMetrics, type Metrics } from './telemetry/metrics.ts'
import { sampleBundles } from './telemetry/validity.ts'
import { ownNetwork } from './upstream/address-class.ts'
import { createDial } from './upstream/dial.ts'
import { createEndpoints } from './upstream/endpoints.ts'
import { createOpenUpstream } from './upstream/open.ts'
import { createTlsMemory } from './upstream/originate.ts'
import { createOwnListeners } from './upstream/own-listeners.ts'
import { createResolve } from './upstream/resolve.ts'
import { createStartTlsSet } from './upstream/starttls/registry.ts'
import { createTrustStore } from './trust-store.ts'
import type { AttemptResult, LockedDial, Resolve, UpstreamRequest } from './upstream/types.ts'

/** Exit waits this long for audit records to be written (design §5.6). */
const AUDIT_FLUSH_MS = 5_000
/** Between two `session.progress` (design §5.6). */
const PROGRESS_MS = 300_000

export interface GatewayOptions {
  readonly config: GatewayConfig
  readonly policy: Policy
  readonly log: Logger
  /** The revocation list, which is read again while it runs. Default: there is none. */
  readonly revocations?: FirstRevocations | null
  /** Certificates, keys and roots, to be read again while it runs. Default: those of `config`, for good. */
  readonly sources?: Sources & { readonly readSecret: ReadSecret }
  /** Gets the identity from the authority; `sources` read what it has. Default: it comes from files. */
  readonly keeper?: IdentityKeeper
  /** Ends the wait for the first identity: the start is rejected with its reason. */
  readonly stop?: AbortSignal
  /** Where the configuration is looked for again while it runs. Default: it is what it is for good. */
  readonly source?: ConfigSource
  /** How long ago it could last be asked, in milliseconds; default 0. */
  readonly sourceAgeMs?: number
  /** How often files and secrets are looked at, in milliseconds; each its own default. */
  readonly intervals?: { readonly files?: number; readonly secrets?: number }
  /** Start lines go here, and audit events too where `audit.sink` is stdout. */
  readonly stdout: Sink
  readonly resolve?: Resolve
  readonly dial?: LockedDial
  readonly now?: () => Date
  /** Between two records of a live session, and between two checkpoints. Default: those of the contract. */
  readonly auditIntervals?: { readonly progressMs: number; readonly checkpointMs: number }
}

export type Core = Awaited<ReturnType<typeof createCore>>

/** What every session needs and no port is. */
export async function createCore(
  options: GatewayOptions,
  material: TrustMaterial,
  stack: AsyncDisposableStack,
) {
  const { config, policy, stdout, log, auditIntervals } = options
  const now = options.now ?? (() => new Date())
  const opened = await openAuditSink(config.audit, stdout)
  // Asked before there is a log where the start fails.
  let auditState: () => AuditState = () => ({ ...opened.sink.state(), recordsWaiting: 0 })
  const metrics = createMetrics({ version: VERSION, audit: () => auditState(), now })
  stack.defer(() => metrics.close())
  const trust = createTrustStore(material)
  const destinations = createDestinationStore(config.destinations)
  const inForce = createInForce({ config, policy, trust, destinations })
  const status = new ConfigStatus(inForce.revision(), {
    source: options.source?.name ?? '',
    now,
    ageMs: options.sourceAgeMs ?? 0,
  })
  metrics.sampleConfiguration(() => ({
    ageSeconds: status.ageMs / 1000,
    rejected: status.fault !== null,
  }))
  sampleBundles(metrics, trust, now)
  metrics.sampleAuthority(() => options.keeper?.state() ?? null)
  stack.use(watchCertificates({ trust, destinations, metrics, log, now }))
  const watches = stack.use(startWatches(options, { trust, destinations, metrics, log }))
  if (config.metrics.emf !== null) {
    const emf = startEmfWriter({ ...config.metrics.emf, collect: () => metrics.collect(), now })
    stack.defer(() => emf.close())
  }
  const connections = config.arrivals.connections ?? (await affordableConnections())
  const admission = createAdmission({ ...config.arrivals, connections })
  metrics.sampleAdmission(() => admission.state)
  const h2Memory = createH2Memory({ capBytes: config.arrivals.bufferedBytes })
  stack.defer(() => h2Memory.close())
  metrics.sampleH2(() => h2Memory.heldBytes)
  const { audit, checkpointer } = await startAudit({
    ...{ config: config.audit, opened, now, log },
    revision: inForce.revision,
    identity: () => trust.current().identity,
    onCheckpoint: (result) => metrics.checkpoint(result),
    checkpointMs: auditIntervals?.checkpointMs,
  })
  auditState = () => audit.state()
  stack.defer(() => checkpointer.close(AUDIT_FLUSH_MS))
  const revocations = stack.use(
    new RevocationKeeper(options.revocations ?? null, {
      metrics,
      log,
      now,
      intervalMs: options.intervals?.files,
    }),
  )
  const ownListeners = createOwnListeners()
  const startTls = createStartTlsSet()
  const endpoints = createEndpoints({ now: () => performance.now(), random: Math.random })
  metrics.sampleEndpointsAside(() => endpoints.aside)
  const { servers, ...limits } = config.dns
  const kept = {
    ...{ startTls, endpoints, tlsMemory: createTlsMemory() },
    resolve: options.resolve ?? createResolve({ servers, limits, metrics }),
    dial: options.dial ?? createDial(),
    onAttempt: (result: AttemptResult) => metrics.dialled(result),
  }
  const vpcOf = ({ vpcCidrs }: GatewayConfig) => vpcCidrs
  const surroundings = inForce.view(vpcOf, (cidrs) => ({
    network: ownNetwork(cidrs),
    isOwnListener: ownListeners.has,
  }))
  const openUpstream = inForce.view(vpcOf, () =>
    createOpenUpstream({ ...kept, surroundings: surroundings() }),
  )
  const asked = followDestinations(destinations)
  const live = startSessions(
    {
      ...{ now, inForce, trust, destinations, metrics, surroundings, match: asked.match },
      ...{ revocations: revocations.store, connections, log },
    },
    stack,
  )
  return {
    ...{ now, metrics, audit, file: opened.file, trust, admission, h2Memory, startTls },
    progressMs: auditIntervals?.progressMs ?? PROGRESS_MS,
    ...{ inForce, status, watches, revocations },
    stale: () =>
      revocations.pending ||
      status.ageMs > (inForce.config().lastKnownGood?.maxAgeMs ?? Number.POSITIVE_INFINITY),
    openUpstream: (request: UpstreamRequest) => openUpstream()(request),
    revoked: (asked: RevocationQuestion) => revocations.store.find(asked),
    ownListeners,
    ...live,
    newId: createIds({ now, random: randomBytes }),
    collector: createYoungCollector(),
    cutting: createCutting({ onError: (error) => log.error({ err: error }, 'internal error') }),
    turns: new Turns(),
    identifyNetwork: inForce.identifyNetwork,
    policy: inForce.policy,
    revision: inForce.revision,
    ...asked,
  }
}

interface SessionParts
  extends Pick<
    StartLivingOptions,
    'now' | 'inForce' | 'trust' | 'destinations' | 'surroundings' | 'match' | 'revocations'
  > {
  readonly metrics: Metrics
  /** All that this process can have open at once. */
  readonly connections: number
  readonly log: Logger
}

/** What is kept of live sessions, and what keeps them to their limits and moments. */
function startSessions({ connections, log, ...parts }: SessionParts, stack: AsyncDisposableStack) {
  const { now, inForce, trust, destinations, metrics } = parts
  const listeners = rememberListeners(inForce)
  const live = startLiving({
    ...parts,
    random: Math.random,
    onInternalError: (error, session) => log.error({ err: error, session }, 'internal error'),
    trustOf(name) {
      const listener = listeners.get(name)
      return listener === undefined ? null : trustOf(listener, trust.current())
    },
  })
  stack.defer(() => live.living.close())
  const limits = new SessionLimits({ maxSessions: connections, now: () => performance.now() })
  destinations.onChange((list) => limits.configure(list))
  metrics.sampleThrottled(() => limits.throttled)
  const alarms = new Moments<() => void>({
    now,
    onDue(due) {
      for (const alarm of due) alarm()
    },
  })
  stack.defer(() => alarms.close())
  return { ...live, alarms, limits }
}

/** By name, as they were last: one that is gone has sessions until its drain ends, which are judged like all others. */
function rememberListeners(inForce: InForce): ReadonlyMap<string, ListenerConfig> {
  const known = new Map<string, ListenerConfig>()
  const remember = () => {
    for (const listener of inForce.config().listeners) known.set(listener.name, listener)
  }
  remember()
  // Before the living sessions are told.
  inForce.onChange(remember)
  return known
}

function startWatches(
  { sources, keeper, intervals = {} }: GatewayOptions,
  what: Omit<WatchesOptions, 'readSecret' | 'issued'>,
): Watches {
  const { files: filesIntervalMs, secrets: secretsIntervalMs } = intervals
  const readSecret = sources?.readSecret ?? (() => Promise.reject(new Error('no source of secrets')))
  const watches = new Watches({
    ...{ ...what, readSecret, issued: () => keeper?.stamp ?? '' },
    ...(filesIntervalMs === undefined ? {} : { filesIntervalMs }),
    ...(secretsIntervalMs === undefined ? {} : { secretsIntervalMs }),
  })
  if (sources !== undefined) watches.watch(sources)
  return watches
}

/** What listeners and sessions ask of the destinations, as they are at that moment. */
function followDestinations(store: DestinationStore) {
  const matcher = store.view(compileDestinations<Destination>)
  const single = store.view(singleTargets)
  const choosePort = store.view(createChoosePort)
  return {
    match: (host: string, port: number) => matcher().match(host, port),
    single: (name: string) => single()(name),
    choosePort: (...asked: Parameters<ChoosePort>) => choosePort()(...asked),
  }
}
