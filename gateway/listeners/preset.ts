// Listeners on which the client names no destination of its own: `sni`, where the server name of its ClientHello chooses
// one, and `fixed`, which has one. The request is the destination's own host and port.
import type { Destination, ListenerConfig } from '../config/types.ts'
import { NO_FACTS } from '../sessions/tunnel.ts'
import type { StartTlsSet } from '../upstream/starttls/registry.ts'
import type { StartTlsName } from '../upstream/starttls/types.ts'
import type { ClientConnection, RequestHandler } from './connection.ts'
import { StreamTunnel } from './stream-tunnel.ts'

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
}

/** Hands a tunnel for the preset destination to `handler`, or resets the connection. */
export function servePreset(
  connection: ClientConnection,
  serverName: string | null,
  config: Pick<ListenerConfig, 'protocol' | 'destination' | 'serverNames' | 'startTls'>,
  { single, startTls }: Presets,
  handler: RequestHandler,
): void {
  const { tls, raw } = connection
  tls.on('error', () => {})
  const refuse = (code: 'request-server-name-missing' | 'destination-unknown', detail: string) => {
    handler.refusedRequest(connection, code, detail)
    raw.resetAndDestroy()
  }
  if (config.protocol === 'sni' && serverName === null) {
    return refuse('request-server-name-missing', 'the ClientHello names no server')
  }
  const name = config.protocol === 'fixed' ? config.destination : config.serverNames.get(serverName ?? '')
  const target = name === undefined || name === null ? null : single(name)
  if (target === null) return refuse('destination-unknown', `the server name is ${serverName}`)
  const { host, port } = target
  const protocol = config.startTls ?? target.startTls
  handler.tunnel(
    connection,
    new StreamTunnel({
      requested: { host, port },
      facts: { ...NO_FACTS, serverName },
      identify: () => connection.identity(),
      stream: tls,
      raw,
      refusal: protocol === null ? null : (words) => startTls(protocol).refusal(words),
    }),
  )
}
