// Listeners on which the client names no destination of its own: `sni`, where the server name of its ClientHello chooses
// one, and `fixed`, which has one. The request is the destination's own host and port.
import type { Destination, ListenerConfig } from '../config/types.ts'
import { NO_FACTS, type Tunnel } from '../sessions/tunnel.ts'
import type { StartTlsSet } from '../upstream/starttls/registry.ts'
import type { StartTlsName } from '../upstream/starttls/types.ts'
import type { Arrival } from './arrival/arrival.ts'
import type { ClientConnection, RequestHandler } from './connection.ts'
import type { Identity } from './identify.ts'
import type { Cancellable, PlainCancels } from './plain-cancels.ts'
import { StreamTunnel } from './stream-tunnel.ts'
import { resetSocket } from '../reset.ts'

export interface SingleTarget {
  readonly host: string
  readonly port: number
  /** The protocol that a client of the destination speaks. */
  readonly startTls: StartTlsName | null
}

export type Single = (destination: string) => SingleTarget | null

/** The one host and port of each destination that has just one. */
export function singleTargets(destinations: readonly Destination[]): Single {
  const byName = new Map(destinations.map((destination) => [destination.name, destination]))
  return (name) => {
    const { hosts = [], ports = [], startTls = null } = byName.get(name) ?? {}
    const [host] = hosts
    const [port] = ports
    if (host === undefined || port === undefined || hosts.length > 1 || ports.length > 1) return null
    if (host.kind === 'exact') return { host: host.host, port, startTls }
    return host.kind === 'address' ? { host: host.address, port, startTls } : null
  }
}

export interface Presets {
  readonly single: Single
  readonly startTls: StartTlsSet
  /** Where clients may cancel without TLS; null = nowhere. */
  readonly cancels: PlainCancels | null
}

/** Hands a tunnel for the preset destination to `handler`, or resets the connection. */
export function servePreset(
  connection: ClientConnection,
  serverName: string | null,
  config: Pick<ListenerConfig, 'protocol' | 'destination' | 'serverNames' | 'startTls'>,
  { single, startTls, cancels }: Presets,
  handler: RequestHandler,
): void {
  const { tls, raw } = connection
  tls.on('error', () => {})
  const refuse = (code: 'request-server-name-missing' | 'destination-unknown', detail: string) => {
    handler.refusedRequest(connection, code, detail)
    resetSocket(raw)
  }
  if (config.protocol === 'sni' && serverName === null) {
    return refuse('request-server-name-missing', 'the ClientHello names no server')
  }
  const name = config.protocol === 'fixed' ? config.destination : config.serverNames.get(serverName ?? '')
  const target = name === undefined || name === null ? null : single(name)
  if (target === null) return refuse('destination-unknown', `the server name is ${serverName}`)
  const { host, port } = target
  const protocol = config.startTls ?? target.startTls
  const requested = { host, port }
  // Once, when the session begins: that is who has the key that the session is given later.
  const identity = connection.identity()
  handler.tunnel(
    connection,
    new StreamTunnel({
      requested,
      facts: { ...NO_FACTS, serverName },
      identify: () => identity,
      stream: tls,
      raw,
      refusal: protocol === null ? null : (words) => startTls(protocol).refusal(words),
      ...cancelKeys(connection, { requested, serverName, identity }, cancels),
    }),
  )
}

function cancelKeys(
  { source }: Pick<ClientConnection, 'source'>,
  session: Cancellable,
  cancels: PlainCancels | null,
): Pick<Tunnel, 'onCancelKey'> {
  return cancels === null ? {} : { onCancelKey: (key) => cancels.remember(source, key, session) }
}

/** Hands a tunnel for a CancelRequest without TLS to `handler`: an attempt like any other, of the session's workload. */
export function serveCancel(
  arrival: Arrival,
  { requested, serverName, identity }: Cancellable,
  handler: Pick<RequestHandler, 'tunnel'>,
): void {
  const { id, source, raw } = arrival
  arrival.arrive()
  const shown: Identity = identity.ok ? { ...identity, credential: 'cancel-key' } : identity
  handler.tunnel(
    { id, source, handshakeMs: null },
    new StreamTunnel({
      requested,
      facts: { ...NO_FACTS, serverName },
      identify: () => shown,
      stream: raw,
      raw,
      // As PostgreSQL does it: nobody is told anything.
      refusal: null,
    }),
  )
}
