// The gateway as a list of parts: this file builds each from the configuration, hands it what it needs, and takes
// them down again in order. It decides nothing.
import { randomBytes } from 'node:crypto'
import type { Logger } from 'pino'
import type { SpiffeIdPattern } from '../spiffe/pattern.ts'
import { VERSION } from '../common/version.ts'
import { type AdminTls, startAdmin } from './admin/app.ts'
import { type HealthState, startHealth } from './admin/health.ts'
import { createAuditLog } from './audit/chain.ts'
import { createIds } from './audit/ids.ts'
import { createFileSink, type Sink } from './audit/sink.ts'
import { watchCertificates } from './certificates.ts'
import type { ReadSecret } from './config/secrets.ts'
import type { Destination, GatewayConfig, HostPort, ListenerConfig } from './config/types.ts'
import { compileDestinations } from './destinations/match.ts'
import { createDestinationStore, type DestinationStore } from './destinations/store.ts'
import { createAdmission } from './listeners/arrival/admission.ts'
import { affordableConnections } from './listeners/arrival/open-files.ts'
import { createAttempts } from './listeners/attempts.ts'
import { createH2Memory } from './listeners/h2-memory.ts'
import { startListener, trustOf } from './listeners/listener.ts'
import { type ChoosePort, createChoosePort } from './listeners/passthrough.ts'
import { singleTargets } from './listeners/preset.ts'
import type { Policy } from './policy/types.ts'
import type { AcceptedConfig } from './reload/accept.ts'
import { type ApplyResult, type ConfigWatch, watchConfig } from './reload/config-watch.ts'
import { createInForce } from './reload/in-force.ts'
import { listenFault } from './reload/listen-fault.ts'
import { ListenerSet, type StartedListener } from './reload/listener-set.ts'
import { needsRestart } from './reload/restart-only.ts'
import type { ConfigSource } from './reload/source.ts'
import { ConfigStatus } from './reload/status.ts'
import { type Sources, Watches, type WatchesOptions } from './reload/watches.ts'
import type { RevocationQuestion } from './revocations/list.ts'
import { type FirstRevocations, RevocationKeeper } from './revocations/keeper.ts'
import { drain, Hurry } from './sessions/drain.ts'
import { SessionLimits } from './sessions/limits.ts'
import { Moments } from './sessions/moments.ts'
import type { SessionRegistry } from './sessions/registry.ts'
import { createScope } from './sessions/scope.ts'
import { startLiving } from './sessions/start-living.ts'
import { createMetrics } from './telemetry/metrics.ts'
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

export interface GatewayOptions {
  readonly config: GatewayConfig
  readonly policy: Policy
  readonly log: Logger
  /** The revocation list, which is read again while it runs. Default: there is none. */
  readonly revocations?: FirstRevocations | null
  /** Certificates, keys and roots, to be read again while it runs. Default: those of `config`, for good. */
  readonly sources?: Sources & { readonly readSecret: ReadSecret }
  /** Where the configuration is looked for again while it runs. Default: it is what it is for good. */
  readonly source?: ConfigSource
  /** How often files and secrets are looked at, in milliseconds; each its own default. */
  readonly intervals?: { readonly files?: number; readonly secrets?: number }
  /** Start lines go here, and audit events too where `audit.sink` is stdout. */
  readonly stdout: Sink
  readonly resolve?: Resolve
  readonly dial?: LockedDial
  readonly now?: () => Date
}

export interface Gateway {
  /** Where each listener, `admin` and `health` really listen. */
  readonly addresses: ReadonlyMap<string, { readonly host: string; readonly port: number }>
  /** Reads the configuration at once; resolves when it is in force or refused. */
  reload(): Promise<void>
  /** Lets live sessions end as `drain` in the configuration says, then closes everything. */
  drain(): Promise<void>
  /** Makes a drain shorter: each time ends what is under way, its delay or its deadline. */
  hurry(): void
  /** Closes everything at once. */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

interface State {
  phase: 'starting' | 'ready' | 'draining'
  /** Past the drain's delay: nothing new is taken. */
  refusing: boolean
}

/** Starts every part; rejects, with nothing left running, where one of them cannot start. */
export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  await using stack = new AsyncDisposableStack()
  const { config, stdout } = options
  const state: State = { phase: 'starting', refusing: false }
  const core = await createCore(options, stack)
  const { inForce, status } = core
  const health = await startHealth({
    address: config.health,
    ready: () => toHealth(state.phase === 'ready' ? null : state.phase),
    alive: () => toHealth(inForce.policy.failure() === null ? null : 'policy-engine'),
  })
  stack.use(health)
  const { metrics } = core
  const admin = stack.use(
    await startAdmin({
      ...{ address: config.admin, metrics, configuration: () => status.view() },
      sessions: core,
      tls: config.admin.workloads === null ? null : adminTls(config.admin.workloads, core),
    }),
  )
  const addresses = new Map<string, HostPort>()
  const listening = (name: string, address: HostPort) => {
    core.ownListeners.add(address)
    addresses.set(name, address)
    const line = { event: 'listening', listener: name, address: formatAddress(address) }
    stdout.line(JSON.stringify(line))
  }
  const listeners = new ListenerSet({
    start: (listener) => startOne(listener, options, core, () => state.refusing),
    onStarted: listening,
    onStopped(name, address) {
      core.ownListeners.delete(address)
      if (addresses.get(name) === address) addresses.delete(name)
    },
  })
  stack.defer(() => closeAll(listeners, core.registry))
  const prepared = await listeners.prepare(config.listeners)
  prepared.commit(config.drain.deadlineMs)
  listening('admin', admin.address)
  listening('health', health.address)
  const watch = stack.use(startConfigWatch(options, core, listeners))
  state.phase = 'ready'
  stdout.line(JSON.stringify({ event: 'ready' }))
  const parts = stack.move()
  const hurry = new Hurry()
  return {
    addresses,
    reload: () => watch.reload(),
    hurry: () => hurry.now(),
    async drain() {
      await watch[Symbol.asyncDispose]()
      await drainAll(inForce.config(), core.registry, listeners, state, hurry)
      await parts.disposeAsync()
    },
    close: () => parts.disposeAsync(),
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  }
}

/** Does nothing where there is no source to look at. */
function startConfigWatch(options: GatewayOptions, core: Core, listeners: ListenerSet): ConfigWatch {
  const { source, log, intervals } = options
  if (source === undefined) return { reload: async () => {}, [Symbol.asyncDispose]: async () => {} }
  const { status, metrics, now, revocations } = core
  return watchConfig({
    ...{ source, status, metrics, log, now },
    apply: (accepted) => applyConfig(accepted, options, core, listeners),
    keptRevocations: () => revocations.file,
    ...(intervals?.files === undefined ? {} : { intervalMs: intervals.files }),
  })
}

/** All of it, or nothing: the one step that can fail is to listen, and it comes first. */
async function applyConfig(
  { loaded, policy }: AcceptedConfig,
  { config: started, source }: GatewayOptions,
  { inForce, watches, revocations }: Core,
  listeners: ListenerSet,
): Promise<ApplyResult> {
  const { config } = loaded
  try {
    const prepared = await listeners.prepare(config.listeners)
    inForce.replace(config, policy)
    prepared.commit(config.drain.deadlineMs)
  } catch (error) {
    const fault = listenFault(source?.name ?? '', loaded, error)
    if (fault === null) throw error
    return { ok: false, faults: [fault] }
  }
  watches.watch(loaded)
  const kept = revocations.follow(loaded.revocations)
  return { ok: true, needsRestart: [...needsRestart(started, config), ...kept] }
}

type Core = Awaited<ReturnType<typeof createCore>>

/** What every session needs and no port is. */
async function createCore(options: GatewayOptions, stack: AsyncDisposableStack) {
  const { config, policy, stdout } = options
  const now = options.now ?? (() => new Date())
  const sink = config.audit.sink.kind === 'stdout' ? stdout : await createFileSink(config.audit.sink.path)
  const metrics = createMetrics({ version: VERSION, audit: () => sink.state() })
  stack.defer(() => metrics.close())
  const trust = createTrustStore(config.material)
  const destinations = createDestinationStore(config.destinations)
  const inForce = createInForce({ config, policy, trust, destinations })
  const status = new ConfigStatus(inForce.revision(), { source: options.source?.name ?? '', now })
  metrics.sampleConfiguration(() => ({
    ageSeconds: status.ageMs / 1000,
    rejected: status.fault !== null,
  }))
  const { log } = options
  stack.use(watchCertificates({ trust, destinations, metrics, log, now }))
  const watches = stack.use(startWatches(options, { trust, destinations, metrics, log }))
  const connections = config.arrivals.connections ?? (await affordableConnections())
  const admission = createAdmission({ ...config.arrivals, connections })
  metrics.sampleAdmission(() => admission.state)
  const h2Memory = createH2Memory({ capBytes: config.arrivals.bufferedBytes })
  stack.defer(() => h2Memory.close())
  metrics.sampleH2(() => h2Memory.heldBytes)
  const audit = createAuditLog({
    sink,
    revision: inForce.revision,
    now,
    random: randomBytes,
    onFailure: config.audit.onFailure,
    maxBacklogBytes: config.audit.maxBacklogBytes,
  })
  stack.defer(() => audit.close(AUDIT_FLUSH_MS))
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
  const live = startLiving({
    ...{ now, inForce, trust, destinations, metrics, surroundings, match: asked.match },
    revocations: revocations.store,
    random: Math.random,
    onInternalError: (error, session) => log.error({ err: error, session }, 'internal error'),
    trustOf(name) {
      const listener = inForce.config().listeners.find((one) => one.name === name)
      return listener === undefined ? null : trustOf(listener, trust.current())
    },
  })
  stack.defer(() => live.living.close())
  const sessionLimits = new SessionLimits({ maxSessions: connections, now: () => performance.now() })
  destinations.onChange((list) => sessionLimits.configure(list))
  metrics.sampleThrottled(() => sessionLimits.throttled)
  const alarms = new Moments<() => void>({
    now,
    onDue(due) {
      for (const alarm of due) alarm()
    },
  })
  stack.defer(() => alarms.close())
  return {
    ...{ now, metrics, audit, trust, admission, h2Memory, startTls },
    ...{ inForce, status, watches, revocations },
    openUpstream: (request: UpstreamRequest) => openUpstream()(request),
    revoked: (asked: RevocationQuestion) => revocations.store.find(asked),
    ownListeners,
    ...live,
    ...{ alarms, limits: sessionLimits },
    newId: createIds({ now, random: randomBytes }),
    identifyNetwork: inForce.identifyNetwork,
    policy: inForce.policy,
    revision: inForce.revision,
    ...asked,
  }
}

function startWatches(
  { sources, intervals = {} }: GatewayOptions,
  what: Omit<WatchesOptions, 'readSecret'>,
): Watches {
  const { files: filesIntervalMs, secrets: secretsIntervalMs } = intervals
  const readSecret = sources?.readSecret ?? (() => Promise.reject(new Error('no source of secrets')))
  const watches = new Watches({
    ...{ ...what, readSecret },
    ...(filesIntervalMs === undefined ? {} : { filesIntervalMs }),
    ...(secretsIntervalMs === undefined ? {} : { secretsIntervalMs }),
  })
  if (sources !== undefined) watches.watch(sources)
  return watches
}

async function startOne(
  listener: ListenerConfig,
  { config, log }: GatewayOptions,
  core: Core,
  draining: () => boolean,
): Promise<StartedListener> {
  const scope = createScope(core.registry)
  let refusing = false
  const attempts = createAttempts({
    ...core,
    registry: scope,
    listener: listener.name,
    nameProofMs: config.arrivals.timeoutMs,
    draining: () => refusing || draining(),
    onInternalError: (error, attempt) => log.error({ err: error, attempt }, 'internal error'),
  })
  const started = await startListener({
    ...core,
    ...attempts,
    config: listener,
    budgetMs: config.arrivals.timeoutMs,
    passthrough: { ...core, handler: attempts.passthrough },
    onAcceptError(error) {
      core.metrics.acceptError(listener.name)
      log.error({ err: error, listener: listener.name }, 'a connection could not be accepted')
    },
  })
  return {
    listener: started,
    refuse: () => {
      refusing = true
    },
    closeSessions: () => scope.closeAll('session-drained'),
  }
}

function drainAll(
  config: GatewayConfig,
  registry: SessionRegistry,
  listeners: ListenerSet,
  state: State,
  hurry: Hurry,
): Promise<void> {
  return drain({
    ...config.drain,
    registry,
    onUnready: () => {
      state.phase = 'draining'
    },
    onRefuse: () => {
      state.refusing = true
      listeners.drain()
    },
    hurry,
  })
}

/** By the gateway's own identity and the roots of its own trust domain. */
function adminTls(workloads: readonly SpiffeIdPattern[], { trust, inForce, revoked, now }: Core): AdminTls {
  const { trustDomain } = inForce.config()
  const bundle = () => trust.current().bundles.get(trustDomain)
  return {
    ...{ workloads, revoked, now },
    trust: () => ({ bundle: (name) => (name === trustDomain ? bundle() : undefined), linkerd: null }),
    material: () => ({
      identity: trust.current().identity,
      roots: (bundle()?.x509Authorities ?? []).map(String),
    }),
    onChange: trust.onChange,
  }
}

function toHealth(reason: string | null): HealthState {
  return { ok: reason === null, reason }
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

async function closeAll(listeners: ListenerSet, registry: SessionRegistry): Promise<void> {
  registry.closeAll('session-drained')
  await registry.empty()
  await listeners.close()
}

/** `127.0.0.1:8443`, `[::1]:8443`. */
export function formatAddress({ host, port }: { readonly host: string; readonly port: number }): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}
