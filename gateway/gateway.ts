// The gateway as a list of parts: this file builds each from the configuration, hands it what it needs, and takes
// them down again in order. It decides nothing.
import { randomBytes } from 'node:crypto'
import type { Logger } from 'pino'
import { VERSION } from '../common/version.ts'
import { startAdmin } from './admin/app.ts'
import { type HealthState, startHealth } from './admin/health.ts'
import { createAuditLog } from './audit/chain.ts'
import { createIds } from './audit/ids.ts'
import { createFileSink, type Sink } from './audit/sink.ts'
import { type PartnerSource, watchCertificates } from './certificates.ts'
import type { Destination, GatewayConfig, HostPort, ListenerConfig } from './config/types.ts'
import { compileDestinations } from './destinations/match.ts'
import { createDestinationStore, type DestinationStore } from './destinations/store.ts'
import { createAdmission } from './listeners/arrival/admission.ts'
import { affordableConnections } from './listeners/arrival/open-files.ts'
import { createAttempts } from './listeners/attempts.ts'
import { createH2Memory } from './listeners/h2-memory.ts'
import { type Listener, startListener, trustOf } from './listeners/listener.ts'
import { createIdentifyNetwork } from './listeners/networks.ts'
import { type ChoosePort, createChoosePort } from './listeners/passthrough.ts'
import { singleTargets } from './listeners/preset.ts'
import type { PolicyStore } from './policy/store.ts'
import type { ReadRevocations } from './config/read.ts'
import { NO_REVOCATIONS, type RevocationQuestion } from './revocations/list.ts'
import { createRevocationStore, type RevocationStore } from './revocations/store.ts'
import { watchRevocations } from './revocations/watch.ts'
import { drain } from './sessions/drain.ts'
import { Moments } from './sessions/moments.ts'
import type { SessionRegistry } from './sessions/registry.ts'
import { startLiving } from './sessions/start-living.ts'
import { createMetrics, type Metrics } from './telemetry/metrics.ts'
import { ownNetwork } from './upstream/address-class.ts'
import { createDial } from './upstream/dial.ts'
import { createEndpoints } from './upstream/endpoints.ts'
import { createOpenUpstream } from './upstream/open.ts'
import { createOwnListeners } from './upstream/own-listeners.ts'
import { createResolve } from './upstream/resolve.ts'
import { createStartTlsSet } from './upstream/starttls/registry.ts'
import { createTrustStore, type TrustStore } from './trust-store.ts'
import type { LockedDial, Resolve } from './upstream/types.ts'

/** Exit waits this long for audit records to be written (design §5.6). */
const AUDIT_FLUSH_MS = 5_000

export interface GatewayOptions {
  readonly config: GatewayConfig
  readonly policy: PolicyStore
  readonly log: Logger
  /** The revocation list, which is read again while it runs. Default: there is none. */
  readonly revocations?: (ReadRevocations & { readonly intervalMs?: number }) | null
  /** Certificates and roots, which may change while it runs. Default: those of `config`, for good. */
  readonly trust?: TrustStore
  /** Destinations, which may change while it runs. Default: those of `config`, for good. */
  readonly destinations?: DestinationStore
  /** Certificates, keys and roots of destinations, to be read again while it runs. Default: those of `config`, for good. */
  readonly partners?: PartnerSource
  /** Start lines go here, and audit events too where `audit.sink` is stdout. */
  readonly stdout: Sink
  readonly resolve?: Resolve
  readonly dial?: LockedDial
  readonly now?: () => Date
}

export interface Gateway {
  /** Where each listener, `admin` and `health` really listen. */
  readonly addresses: ReadonlyMap<string, { readonly host: string; readonly port: number }>
  /** Lets live sessions end as `drain` in the configuration says, then closes everything. */
  drain(hurry?: AbortSignal): Promise<void>
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
  const { config, policy, stdout } = options
  const state: State = { phase: 'starting', refusing: false }
  const core = await createCore(options, stack)
  const health = await startHealth({
    address: config.health,
    ready: () => toHealth(state.phase === 'ready' ? null : state.phase),
    alive: () => toHealth(policy.failure() === null ? null : 'policy-engine'),
  })
  stack.use(health)
  const admin = stack.use(await startAdmin({ address: config.admin, metrics: core.metrics }))
  const listeners: Listener[] = []
  stack.defer(() => closeAll(listeners, core.registry))
  const addresses = new Map<string, HostPort>()
  for (const listener of config.listeners) {
    const started = await startOne(listener, options, core, () => state.refusing)
    listeners.push(started)
    addresses.set(listener.name, started.address)
    core.ownListeners.add(started.address)
  }
  core.ownListeners.add(admin.address)
  core.ownListeners.add(health.address)
  addresses.set('admin', admin.address).set('health', health.address)
  for (const [listener, address] of addresses) {
    stdout.line(JSON.stringify({ event: 'listening', listener, address: formatAddress(address) }))
  }
  state.phase = 'ready'
  stdout.line(JSON.stringify({ event: 'ready' }))
  const parts = stack.move()
  return {
    addresses,
    drain: (hurry) =>
      drainAll(config, core.registry, listeners, state, hurry).then(() => parts.disposeAsync()),
    close: () => parts.disposeAsync(),
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  }
}

type Core = Awaited<ReturnType<typeof createCore>>

/** What every session needs and no port is. */
async function createCore(options: GatewayOptions, stack: AsyncDisposableStack) {
  const { config, policy, stdout } = options
  const now = options.now ?? (() => new Date())
  const sink = config.audit.sink.kind === 'stdout' ? stdout : await createFileSink(config.audit.sink.path)
  const metrics = createMetrics({ version: VERSION, audit: () => sink.state() })
  stack.defer(() => metrics.close())
  const trust = options.trust ?? createTrustStore(config.material)
  const destinations = options.destinations ?? createDestinationStore(config.destinations)
  const { log, partners } = options
  stack.use(watchCertificates({ trust, destinations, metrics, log, now, partners }))
  const connections = config.arrivals.connections ?? (await affordableConnections())
  const admission = createAdmission({ ...config.arrivals, connections })
  metrics.sampleAdmission(() => admission.state)
  const h2Memory = createH2Memory({ capBytes: config.arrivals.bufferedBytes })
  stack.defer(() => h2Memory.close())
  metrics.sampleH2(() => h2Memory.heldBytes)
  const audit = createAuditLog({
    sink,
    revision: () => ({ config: config.revision, policy: policy.revision }),
    now,
    random: randomBytes,
    onFailure: config.audit.onFailure,
    maxBacklogBytes: config.audit.maxBacklogBytes,
  })
  stack.defer(() => audit.close(AUDIT_FLUSH_MS))
  const revocations = startRevocations(options, metrics, now, stack)
  const ownListeners = createOwnListeners()
  const startTls = createStartTlsSet()
  const endpoints = createEndpoints({ now: () => performance.now(), random: Math.random })
  metrics.sampleEndpointsAside(() => endpoints.aside)
  const { servers, ...limits } = config.dns
  const surroundings = { network: ownNetwork(config.vpcCidrs), isOwnListener: ownListeners.has }
  const openUpstream = createOpenUpstream({
    startTls,
    resolve: options.resolve ?? createResolve({ servers, limits, metrics }),
    dial: options.dial ?? createDial(),
    endpoints,
    onAttempt: (result) => metrics.dialled(result),
    surroundings,
  })
  const identifyNetwork = createIdentifyNetwork(config.networks)
  const asked = followDestinations(destinations)
  const live = startLiving({
    ...{ now, policy, trust, destinations, revocations, metrics, identifyNetwork, surroundings },
    random: Math.random,
    onInternalError: (error, session) => log.error({ err: error, session }, 'internal error'),
    match: asked.match,
    trustOf: (name) => {
      const listener = config.listeners.find((one) => one.name === name)
      return listener === undefined ? null : trustOf(listener, trust.current())
    },
  })
  stack.defer(() => live.living.close())
  const alarms = new Moments<() => void>({
    now,
    onDue(due) {
      for (const alarm of due) alarm()
    },
  })
  stack.defer(() => alarms.close())
  return {
    ...{ now, metrics, audit, trust, admission, h2Memory, startTls },
    openUpstream,
    revoked: (asked: RevocationQuestion) => revocations.find(asked),
    ownListeners,
    ...live,
    alarms,
    newId: createIds({ now, random: randomBytes }),
    identifyNetwork,
    ...asked,
  }
}

function startRevocations(
  { revocations: source = null, log }: GatewayOptions,
  metrics: Metrics,
  now: () => Date,
  stack: AsyncDisposableStack,
): RevocationStore {
  const store = createRevocationStore(source?.first.list ?? NO_REVOCATIONS, now)
  if (source !== null) stack.use(watchRevocations({ ...source, source, store, metrics, log }))
  return store
}

function startOne(
  listener: ListenerConfig,
  { config, policy, log }: GatewayOptions,
  core: Core,
  draining: () => boolean,
): Promise<Listener> {
  const attempts = createAttempts({
    ...core,
    listener: listener.name,
    policy,
    nameProofMs: config.arrivals.timeoutMs,
    draining,
    onInternalError: (error, attempt) => log.error({ err: error, attempt }, 'internal error'),
  })
  return startListener({
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
}

function drainAll(
  config: GatewayConfig,
  registry: SessionRegistry,
  listeners: readonly Listener[],
  state: State,
  hurry?: AbortSignal,
): Promise<void> {
  return drain({
    ...config.drain,
    registry,
    onUnready: () => {
      state.phase = 'draining'
    },
    onRefuse: () => {
      state.refusing = true
      for (const listener of listeners) listener.drain()
    },
    ...(hurry === undefined ? {} : { hurry }),
  })
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

async function closeAll(listeners: readonly Listener[], registry: SessionRegistry): Promise<void> {
  registry.closeAll('session-drained')
  await registry.empty()
  await Promise.all(listeners.map((listener) => listener.close()))
}

/** `127.0.0.1:8443`, `[::1]:8443`. */
export function formatAddress({ host, port }: { readonly host: string; readonly port: number }): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}
