// One port: intake, TLS and the protocol behind it, put together by what the configuration says. It decides nothing
// about requests.
import type { AddressInfo } from 'node:net'
import type { ListenerConfig, TrustMaterial } from '../config/types.ts'
import type { Moments } from '../sessions/moments.ts'
import { ownId, type TrustStore } from '../trust-store.ts'
import type { Admission } from './arrival/admission.ts'
import { type Arrival, ArrivalError, type ArrivalFailure } from './arrival/arrival.ts'
import { createIntake, type Intake } from './arrival/intake.ts'
import { createTerminator, type Terminated, type TlsMaterial } from './arrival/terminate.ts'
import { Closing } from './closing.ts'
import type { ClientConnection, RequestHandler } from './connection.ts'
import { type H2Connection, serveH2 } from './connect-h2.ts'
import { serveH1 } from './connect-h1.ts'
import type { H2Memory } from './h2-memory.ts'
import { identify, type Identity, type ListenerTrust } from './identify.ts'
import { serveLinkerd } from './linkerd.ts'
import { LINKERD_ALPN } from './linkerd-header.ts'
import { type PassthroughOptions, servePassthrough } from './passthrough.ts'
import { createPlainCancels, type PlainCancels } from './plain-cancels.ts'
import { createPostgresPreamble, type TakeCancel } from './postgres-preamble.ts'
import { POSTGRES_ALPN } from '../upstream/starttls/postgres/wire.ts'
import { type Presets, serveCancel, servePreset } from './preset.ts'
import { identifyByToken } from './token.ts'
import { resetSocket } from '../reset.ts'

export interface ListenerOptions extends Omit<Presets, 'cancels'> {
  readonly config: ListenerConfig
  readonly trust: TrustStore
  readonly admission: Admission
  /** From accept to the end of the request. */
  readonly budgetMs: number
  readonly newId: () => string
  readonly now: () => Date
  readonly h2Memory: H2Memory
  /** Things to be done at a moment. */
  readonly alarms: Pick<Moments<() => void>, 'set' | 'delete'>
  readonly passthrough: Pick<PassthroughOptions, 'choosePort' | 'identifyNetwork' | 'handler'>
  readonly handler: RequestHandler
  /** A handshake was finished, whatever the identity is worth. */
  readonly onSecured: () => void
  /** A connection that sent something and ended before its handshake did. */
  readonly onFailure: (failure: ArrivalFailure) => void
  /** A connection that sent nothing: a health check, a port scan. */
  readonly onProbe: () => void
  /** A raw connection was accepted, or has gone. */
  readonly onCount: (change: 1 | -1) => void
  readonly onAcceptError: (error: Error) => void
}

export interface Listener {
  readonly name: string
  readonly address: { readonly host: string; readonly port: number }
  /** Stops accepting and tells HTTP/2 clients to go elsewhere; what lives goes on. */
  drain(): void
  /** Cuts everything that is left and resolves when the port is free. */
  close(): Promise<void>
}

const ALPN: Readonly<Record<ListenerConfig['protocol'], readonly string[]>> = {
  connect: ['h2', 'http/1.1'],
  hbone: ['h2'],
  linkerd: [LINKERD_ALPN],
  sni: [],
  fixed: [],
  passthrough: [],
}

/** Listens; rejects with the system's error (EADDRINUSE, EACCES, EADDRNOTAVAIL) where it cannot. */
export async function startListener(options: ListenerOptions): Promise<Listener> {
  const { config } = options
  const h2 = new Set<H2Connection>()
  const state = { draining: false }
  const closing = new Closing()
  const cancels = config.startTls === 'postgres' ? createPlainCancels(() => performance.now()) : null
  const termination =
    config.protocol === 'passthrough' ? null : createTermination({ ...options, cancels }, h2, state, closing)
  const onHello = termination?.take ?? ((arrival: Arrival) => takePassthrough(arrival, options))
  const intake = createIntake({
    ...options,
    closing,
    ...(cancels === null ? {} : { preamble: createPostgresPreamble(cancelTaker(cancels, options)) }),
    ignoreServerName: config.protocol !== 'sni' && config.protocol !== 'passthrough',
    onHello,
  })
  await listen(intake, config)
  const { address, port } = intake.server.address() as AddressInfo
  return {
    name: config.name,
    address: { host: address, port },
    drain() {
      state.draining = true
      intake.server.close()
      for (const connection of h2) connection.goAway()
    },
    async close() {
      termination?.forget()
      const closed = new Promise<void>((resolve) => intake.server.close(() => resolve()))
      // Before the sockets go, whose own events come when the audit log is closed already.
      closing.begin()
      // Node writes frames of HTTP/2 in a turn of their own: GOAWAY, and RST_STREAM of what was cut.
      await new Promise((resolve) => setImmediate(resolve))
      for (const socket of intake.sockets) resetSocket(socket)
      await closed
    },
  }
}

function takePassthrough(arrival: Arrival, { config, passthrough }: ListenerOptions): void {
  if (arrival.hello === null) return arrival.fail('client-hello-malformed', null)
  servePassthrough(arrival, arrival.hello, { ...passthrough, listenerPort: config.port })
}

type Serving = ListenerOptions & Pick<Presets, 'cancels'>

const CANCEL_REFUSED = {
  unknown: 'a CancelRequest without TLS, of no open session that came from this address',
  'too-many': 'a CancelRequest without TLS, from an address with too many of them; it was not looked at',
} as const

function cancelTaker(cancels: PlainCancels, { handler }: ListenerOptions): TakeCancel {
  return ({ source }, key) => {
    const found = cancels.find(source, key)
    if (typeof found === 'string') throw new ArrivalError('request-cancel-unknown', CANCEL_REFUSED[found])
    return (arrival) => serveCancel(arrival, found, handler)
  }
}

function createTermination(
  options: Serving,
  h2: Set<H2Connection>,
  state: { draining: boolean },
  closing: Closing,
) {
  const { config, trust, admission } = options
  const serve = createServe(options, h2, state)
  const alpnProtocols = config.startTls === 'postgres' ? [POSTGRES_ALPN] : ALPN[config.protocol]
  const terminator = createTerminator({
    config,
    alpnProtocols,
    admission,
    material: tlsMaterial(config, trust.current()),
    onSecured: (arrival, terminated) => {
      options.onSecured()
      serve(toConnection(arrival, terminated, options, closing), arrival)
    },
  })
  const forget = trust.onChange((material) => terminator.replace(tlsMaterial(config, material)))
  return { take: (arrival: Arrival) => terminator.take(arrival), forget }
}

/** OpenSSL builds chains with the roots of all its trust domains; which may vouch for which is judged behind. */
function tlsMaterial(config: ListenerConfig, material: TrustMaterial): TlsMaterial {
  const shown = material.identities.get(config.name) ?? material.identity
  const roots = config.trustDomains.flatMap((name) => material.bundles.get(name)?.x509Authorities ?? [])
  const anchors = config.protocol === 'linkerd' ? (material.linkerd?.anchors ?? []) : []
  return {
    certificate: shown.chainPem,
    key: shown.key.reveal(),
    roots: [...new Set([...roots, ...anchors].map(String))],
  }
}

/** Whom a listener believes, by what is trusted now. */
export function trustOf(
  { protocol, trustDomains }: ListenerConfig,
  { bundles, linkerd }: TrustMaterial,
): ListenerTrust {
  return {
    bundle: (name) => (trustDomains.includes(name) ? bundles.get(name) : undefined),
    linkerd: protocol === 'linkerd' && linkerd !== null ? { trust: linkerd, trustDomains } : null,
  }
}

function toConnection(
  arrival: Arrival,
  terminated: Terminated,
  options: ListenerOptions,
  closing: Closing,
): ClientConnection {
  const { config, trust, now } = options
  const { tls, chain, openssl, handshakeMs } = terminated
  const tokens = config.clientAuthentication === 'svid-or-token'
  const byCertificate = (): Identity => {
    if (tokens && chain.length === 0) return { ok: false, code: 'client-token-missing', detail: null }
    return identify(chain, openssl, trustOf(config, trust.current()), now())
  }
  return {
    ...{ id: arrival.id, raw: arrival.raw, tls, source: arrival.source, handshakeMs },
    deadlineAt: arrival.deadlineAt,
    closing,
    identity: byCertificate,
    byToken: tokens
      ? (shown) =>
          identifyByToken(shown, {
            audience: config.audience ?? ownId(trust.current().identity),
            trust: trustOf(config, trust.current()),
            now: now(),
          })
      : null,
  }
}

type ServeArrived = (connection: ClientConnection, arrival: Arrival) => void

function createServe(
  { config, handler, single, startTls, cancels, h2Memory, alarms }: Serving,
  h2: Set<H2Connection>,
  state: { readonly draining: boolean },
): ServeArrived {
  const serveOverH2 = (connection: ClientConnection, hints: boolean) => {
    const served = serveH2(connection, handler, { hints, memory: h2Memory })
    h2.add(served)
    // Nobody is to open tunnels by an SVID that has expired; those that are open are judged for themselves.
    const onExpiry = () => served.goAway()
    const identity = connection.identity()
    alarms.set(onExpiry, identity.ok ? identity.expiresAt : null)
    connection.raw.once('close', () => {
      h2.delete(served)
      alarms.delete(onExpiry)
    })
    if (state.draining) served.goAway()
  }
  const only = (protocol: string, serve: (connection: ClientConnection) => void) => {
    return (connection: ClientConnection): void => {
      if (connection.tls.alpnProtocol === protocol) return serve(connection)
      handler.noRequest(connection, 'client-alpn-mismatch', null)
      resetSocket(connection.raw)
    }
  }
  switch (config.protocol) {
    case 'connect':
      return (connection) =>
        connection.tls.alpnProtocol === 'h2' ? serveOverH2(connection, false) : serveH1(connection, handler)
    case 'hbone':
      return only('h2', (connection) => serveOverH2(connection, true))
    case 'linkerd':
      return only(LINKERD_ALPN, (connection) => serveLinkerd(connection, handler))
    case 'sni':
    case 'fixed':
    case 'passthrough':
      return (connection, { hello }) =>
        servePreset(connection, hello?.serverName ?? null, config, { single, startTls, cancels }, handler)
  }
}

async function listen({ server }: Intake, config: ListenerConfig): Promise<void> {
  const { host, port } = config.address
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host, port, backlog: 1024 }, () => {
      server.off('error', reject)
      resolve()
    })
  })
}
