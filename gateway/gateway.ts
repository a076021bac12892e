// The gateway as a list of parts: this file builds each from the configuration, hands it what it needs, and takes
// them down again in order. It decides nothing.
import { randomBytes } from 'node:crypto'
import type { Logger } from 'pino'
import { VERSION } from '../common/version.ts'
import { startAdmin } from './admin/app.ts'
import { type HealthState, startHealth } from './admin/health.ts'
import { createIds } from './audit/ids.ts'
import type { Sink } from './audit/sink.ts'
import { openAuditSink, startAudit } from './audit/start.ts'
import type { GatewayConfig, HostPort, ListenerConfig, TrustMaterial } from './config/types.ts'
import { compileDestinations } from './destinations/match.ts'
import { createAdmission } from './listeners/arrival/admission.ts'
import { affordableConnections } from './listeners/arrival/open-files.ts'
import { createAttempts } from './listeners/attempts.ts'
import { createH2Memory } from './listeners/h2-memory.ts'
import { type Listener, startListener } from './listeners/listener.ts'
import { createIdentifyNetwork } from './listeners/networks.ts'
import { createChoosePort } from './listeners/passthrough.ts'
import { singleTargets } from './listeners/preset.ts'
import type { Policy } from './policy/types.ts'
import { drain } from './sessions/drain.ts'
import { SessionRegistry } from './sessions/registry.ts'
import { startEmfWriter } from './telemetry/emf-writer.ts'
import { createMetrics, type Metrics } from './telemetry/metrics.ts'
import { bundleAges, certificateAges } from './telemetry/validity.ts'
import { createDial } from './upstream/dial.ts'
import { createEndpoints } from './upstream/endpoints.ts'
import { createOpenUpstream } from './upstream/open.ts'
import { createResolve } from './upstream/resolve.ts'
import { createStartTlsSet } from './upstream/starttls/registry.ts'
import { createTrustStore, type TrustStore } from './trust-store.ts'
import type { Dial, Resolve } from './upstream/types.ts'

/** Exit waits this long for audit records to be written (design §5.6). */
const AUDIT_FLUSH_MS = 5_000
/** Between two `session.progress` (design §5.6). */
const PROGRESS_MS = 300_000

export interface GatewayOptions {
  readonly config: GatewayConfig
  readonly policy: Policy
  readonly log: Logger
  /** Certificates and roots, which may change while it runs. Default: those of `config`, for good. */
  readonly trust?: TrustStore
  /** Start lines go here, and audit events too where `audit.sink` is stdout. */
  readonly stdout: Sink
  readonly resolve?: Resolve
  readonly dial?: Dial
  readonly now?: () => Date
  /** Between two records of a live session, and between two checkpoints. Default: those of the contract. */
  readonly auditIntervals?: { readonly progressMs: number; readonly checkpointMs: number }
}

export interface Gateway {
  /** Where each listener, `admin` and `health` really listen. */
  readonly addresses: ReadonlyMap<string, { readonly host: string; readonly port: number }>
  /** Lets live sessions end as `drain` in the configuration says, then closes everything. */
  drain(hurry?: AbortSignal): Promise<void>
  /** Goes on in a new file where the audit goes to a file that was renamed. Rejects, and keeps the old one, where it cannot. */
  reopenAudit(): Promise<void>
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
  }
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
    reopenAudit: async () => core.file?.reopen(),
    close: () => parts.disposeAsync(),
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  }
}

type Core = Awaited<ReturnType<typeof createCore>>

/** What every session needs and no port is. */
async function createCore(options: GatewayOptions, stack: AsyncDisposableStack) {
  const { config, policy, stdout, log, auditIntervals } = options
  const now = options.now ?? (() => new Date())
  const opened = await openAuditSink(config.audit, stdout)
  const metrics = createMetrics({ version: VERSION, audit: () => opened.sink.state(), now })
  stack.defer(() => metrics.close())
  const trust = options.trust ?? createTrustStore(config.material)
  observeTrust(metrics, config, trust, now)
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
    revision: () => ({ config: config.revision, policy: policy.revision }),
    identity: () => trust.current().identity,
    onCheckpoint: (result) => metrics.checkpoint(result),
    checkpointMs: auditIntervals?.checkpointMs,
  })
  stack.defer(() => checkpointer.close(AUDIT_FLUSH_MS))
  const startTls = createStartTlsSet()
  const endpoints = createEndpoints({ now: () => performance.now(), random: Math.random })
  metrics.sampleEndpointsAside(() => endpoints.aside)
  const { servers, ...limits } = config.dns
  const openUpstream = createOpenUpstream({
    startTls,
    resolve: options.resolve ?? createResolve({ servers, limits, metrics }),
    dial: options.dial ?? createDial(),
    endpoints,
    onAttempt: (result) => metrics.dialled(result),
  })
  return {
    ...{ now, metrics, audit, file: opened.file, trust, admission, h2Memory, startTls },
    progressMs: auditIntervals?.progressMs ?? PROGRESS_MS,
    openUpstream,
    registry: new SessionRegistry(),
    newId: createIds({ now, random: randomBytes }),
    single: singleTargets(config.destinations),
    choosePort: createChoosePort(config.destinations),
    identifyNetwork: createIdentifyNetwork(config.networks),
    ...compileDestinations(config.destinations),
  }
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

function observeIdentities(metrics: Metrics, { identity, identities }: TrustMaterial): void {
  metrics.certificateNotAfter('identity', identity.leaf.validToDate)
  for (const [name, { leaf }] of identities) {
    if (leaf !== identity.leaf) metrics.certificateNotAfter(`listener/${name}`, leaf.validToDate)
  }
}

function observeTrust(metrics: Metrics, config: GatewayConfig, trust: TrustStore, now: () => Date): void {
  let since = now()
  trust.onChange((material) => {
    since = now()
    metrics.reload('trust', 'applied')
    observeIdentities(metrics, material)
  })
  metrics.sampleCertificates(() => certificateAges(trust.current(), config.destinations, now()))
  metrics.sampleBundles(() => bundleAges(trust.current().bundles, since, now()))
  observeCertificates(metrics, config)
}

function observeCertificates(metrics: Metrics, config: GatewayConfig): void {
  observeIdentities(metrics, config.material)
  for (const { name, clientCertificates } of config.destinations) {
    for (const [index, { keyPair }] of clientCertificates.entries()) {
      metrics.certificateNotAfter(`${name}/${index}`, keyPair.leaf.validToDate)
    }
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
