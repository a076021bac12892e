// The gateway as a list of parts: this file builds each from the configuration, hands it what it needs, and takes
// them down again in order. It decides nothing.
import type { SpiffeIdPattern } from '../spiffe/pattern.ts'
import { type AdminTls, startAdmin } from './admin/app.ts'
import { type HealthState, startHealth } from './admin/health.ts'
import { type Core, createCore, type GatewayOptions } from './core.ts'
import type { GatewayConfig, HostPort, ListenerConfig, TrustMaterial } from './config/types.ts'
import { awaitMaterial } from './identity/first.ts'
import { createAttempts } from './listeners/attempts.ts'
import { startListener } from './listeners/listener.ts'
import type { AcceptedConfig } from './reload/accept.ts'
import { type ApplyResult, type ConfigWatch, watchConfig } from './reload/config-watch.ts'
import { listenFault } from './reload/listen-fault.ts'
import { ListenerSet, type StartedListener } from './reload/listener-set.ts'
import { needsRestart } from './reload/restart-only.ts'
import { drain, Hurry } from './sessions/drain.ts'
import type { SessionRegistry } from './sessions/registry.ts'
import { createScope } from './sessions/scope.ts'

export interface Gateway {
  /** Where each listener, `admin` and `health` really listen. */
  readonly addresses: ReadonlyMap<string, { readonly host: string; readonly port: number }>
  /** Reads the configuration at once; resolves when it is in force or refused. */
  reload(): Promise<void>
  /** Lets live sessions end as `drain` in the configuration says, then closes everything. */
  drain(): Promise<void>
  /** Makes a drain shorter: each time ends what is under way, its delay or its deadline. */
  hurry(): void
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
  const { config, stdout } = options
  const state: State = { phase: 'starting', refusing: false }
  const addresses = new Map<string, HostPort>()
  const announce = (name: string, address: HostPort) => {
    addresses.set(name, address)
    const line = { event: 'listening', listener: name, address: formatAddress(address) }
    stdout.line(JSON.stringify(line))
  }
  let started: Core | null = null
  const health = await startHealth({
    address: config.health,
    ready: () => toHealth(notReady(state, started)),
    alive: () => toHealth((started?.inForce.policy.failure() ?? null) === null ? null : 'policy-engine'),
  })
  stack.use(health)
  const waits = config.material === null
  if (waits) announce('health', health.address)
  const core = await createCore(options, await haveMaterial(options, stack), stack)
  started = core
  const { inForce, status, metrics } = core
  const admin = stack.use(
    await startAdmin({
      ...{ address: config.admin, metrics, log: options.log, configuration: () => status.view() },
      sessions: core,
      tls: config.admin.workloads === null ? null : adminTls(config.admin.workloads, core),
    }),
  )
  const listening = (name: string, address: HostPort) => {
    core.ownListeners.add(address)
    announce(name, address)
  }
  const listeners = new ListenerSet({
    start: (listener) => startOne(listener, options, core, () => state.refusing),
    onStarted(name, address) {
      metrics.listening(name, true)
      listening(name, address)
    },
    onStopped(name, address) {
      metrics.listening(name, false)
      core.ownListeners.delete(address)
      if (addresses.get(name) === address) addresses.delete(name)
    },
  })
  stack.defer(() => closeAll(listeners, core.registry))
  const prepared = await listeners.prepare(config.listeners)
  prepared.commit(config.drain.deadlineMs)
  listening('admin', admin.address)
  core.ownListeners.add(health.address)
  if (!waits) announce('health', health.address)
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
    reopenAudit: async () => core.file?.reopen(),
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

/** All of it, or nothing: the steps that can fail, to read and to listen, come first. */
async function applyConfig(
  { loaded, policy }: AcceptedConfig,
  { config: started, source, keeper }: GatewayOptions,
  { inForce, watches, revocations, trust }: Core,
  listeners: ListenerSet,
): Promise<ApplyResult> {
  const { config } = loaded
  // What was read with the configuration may be older than what a watch has taken since: compiling a policy takes seconds,
  // and a root that was removed meanwhile must not come back.
  const before = trust.current()
  const { material } = await loaded.readTrust()
  try {
    const prepared = await listeners.prepare(config.listeners)
    const latest = trust.current() === before ? material : null
    inForce.replace({ ...config, material: latest }, policy)
    prepared.commit(config.drain.deadlineMs)
  } catch (error) {
    const fault = listenFault(source?.name ?? '', loaded, error)
    if (fault === null) throw error
    return { ok: false, faults: [fault] }
  }
  keeper?.follow(loaded.authority)
  watches.watch(loaded)
  const kept = revocations.follow(loaded.revocations)
  return { ok: true, needsRestart: [...needsRestart(started, config), ...kept] }
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

/** Never for what the gateway has had and lost: that would have a balancer reset every session (design §6). */
function notReady({ phase }: State, core: Core | null): string | null {
  if (core === null) return 'identity'
  if (phase !== 'ready') return phase
  return core.revocations.pending ? 'revocations' : null
}

/** Of files it was read with the rest. The keeper ends with the gateway, and also where that cannot start. */
async function haveMaterial(
  { config, keeper, sources, log, stop }: GatewayOptions,
  stack: AsyncDisposableStack,
): Promise<TrustMaterial> {
  if (keeper !== undefined) stack.use(keeper)
  if (config.material !== null) return config.material
  if (keeper === undefined || sources === undefined) {
    throw new TypeError('an identity from the authority needs a keeper, and sources to read it from')
  }
  keeper.follow(sources.authority)
  const { readTrust } = sources
  return awaitMaterial({ keeper, readTrust, log, ...(stop === undefined ? {} : { stop }) })
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
    onChange: (listener) => trust.onChange(listener),
  }
}

function toHealth(reason: string | null): HealthState {
  return { ok: reason === null, reason }
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
