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
import type { GatewayConfig, HostPort, ListenerConfig } from './config/types.ts'
import { compileDestinations } from './destinations/match.ts'
import { createConnectHandler } from './listeners/connect-handler.ts'
import { type Listener, startConnectListener } from './listeners/connect.ts'
import type { Policy } from './policy/types.ts'
import { drain } from './sessions/drain.ts'
import { SessionRegistry } from './sessions/registry.ts'
import { createMetrics, type Metrics } from './telemetry/metrics.ts'
import { createDial } from './upstream/dial.ts'
import { createOpenUpstream } from './upstream/open.ts'
import { createResolve } from './upstream/resolve.ts'
import type { Dial, Resolve } from './upstream/types.ts'

/** From accept to the end of the TLS handshake, and from there to the end of the request. */
const HANDSHAKE_TIMEOUT_MS = 10_000
const REQUEST_TIMEOUT_MS = 10_000
/** Exit waits this long for audit records to be written (design §5.6). */
const AUDIT_FLUSH_MS = 5_000

export interface GatewayOptions {
  readonly config: GatewayConfig
  readonly policy: Policy
  readonly log: Logger
  /** Start lines go here, and audit events too where `audit.sink` is stdout. */
  readonly stdout: Sink
  readonly resolve?: Resolve
  readonly dial?: Dial
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
    const started = await startListener(listener, options, core, () => state.refusing)
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
  observeCertificates(metrics, config)
  const audit = createAuditLog({
    sink,
    revision: () => ({ config: config.revision, policy: policy.revision }),
    now,
    random: randomBytes,
    onFailure: config.audit.onFailure,
    maxBacklogBytes: config.audit.maxBacklogBytes,
  })
  stack.defer(() => audit.close(AUDIT_FLUSH_MS))
  const openUpstream = createOpenUpstream({
    resolve: options.resolve ?? createResolve({ servers: config.dnsServers }),
    dial: options.dial ?? createDial(),
  })
  return {
    now,
    metrics,
    audit,
    openUpstream,
    registry: new SessionRegistry(),
    newId: createIds({ now, random: randomBytes }),
    ...compileDestinations(config.destinations),
  }
}

function startListener(
  listener: ListenerConfig,
  { config, policy, log }: GatewayOptions,
  core: Core,
  draining: () => boolean,
): Promise<Listener> {
  const { newId, now } = core
  return startConnectListener({
    config: listener,
    identity: config.identity,
    bundle: config.bundle,
    newId,
    now,
    handshakeTimeoutMs: HANDSHAKE_TIMEOUT_MS,
    requestTimeoutMs: REQUEST_TIMEOUT_MS,
    ...createConnectHandler({
      ...core,
      listener: listener.name,
      policy,
      draining,
      onInternalError: (error, attempt) => log.error({ err: error, attempt }, 'internal error'),
    }),
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

function observeCertificates(metrics: Metrics, config: GatewayConfig): void {
  metrics.certificateNotAfter('identity', config.identity.leaf.validToDate)
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
