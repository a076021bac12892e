// The `passthrough` listener: no TLS ends here. The ClientHello's server name is the request, and who asks is where the
// connection comes from. The hello's bytes stay in the socket and are the first that go up.
import type { ReasonCode } from '../audit/reasons.ts'
import type { Destination } from '../config/types.ts'
import { compileDestinations } from '../destinations/match.ts'
import { NO_FACTS } from '../sessions/tunnel.ts'
import type { Arrival } from './arrival/arrival.ts'
import type { ClientHello } from './client-hello.ts'
import type { ConnectionFacts } from './connection.ts'
import type { IdentifyNetwork } from './networks.ts'
import { StreamTunnel } from './stream-tunnel.ts'
import { resetSocket } from '../reset.ts'

/** The port of HTTPS: what is meant by a name alone, where a destination has it among several. */
const HTTPS = 443

export interface PassthroughHandler {
  tunnel(connection: ConnectionFacts, tunnel: StreamTunnel): void
  refused(connection: ConnectionFacts, arrival: Arrival, code: ReasonCode, detail: string | null): void
}

/**
 * The port that a name is asked for on, which no ClientHello says: the listener's own where it has one; else the
 * destination's where it has one alone; else the one that the client dialled, as the balancer tells; else 443. Null where
 * none of these is a port of a `passthrough` destination with this name.
 */
export type ChoosePort = (
  serverName: string,
  listenerPort: number | null,
  dialled: number | null,
) => number | null

export function createChoosePort(destinations: readonly Destination[]): ChoosePort {
  const matcher = compileDestinations(destinations.filter(({ tls }) => tls === 'passthrough'))
  const ports = [...new Set(destinations.flatMap((one) => (one.tls === 'passthrough' ? one.ports : [])))]
  return (serverName, listenerPort, dialled) => {
    const on = (port: number) => matcher.match(serverName, port) !== null
    if (listenerPort !== null) return on(listenerPort) ? listenerPort : null
    const possible = ports.filter(on)
    const [only, ...more] = possible
    if (only === undefined || more.length === 0) return only ?? null
    return [dialled, HTTPS].find((port) => port !== null && possible.includes(port)) ?? null
  }
}

export interface PassthroughOptions {
  readonly listenerPort: number | null
  readonly choosePort: ChoosePort
  readonly identifyNetwork: IdentifyNetwork
  readonly handler: PassthroughHandler
}

/** Hands a tunnel for what the hello names to the handler, or resets the connection. */
export function servePassthrough(arrival: Arrival, hello: ClientHello, options: PassthroughOptions): void {
  const { raw, source, proxiedPort } = arrival
  const { serverName } = hello
  const connection = { id: arrival.id, source, handshakeMs: null }
  arrival.arrive()
  if (serverName === null) {
    options.handler.refused(connection, arrival, 'request-server-name-missing', null)
    return resetSocket(raw)
  }
  const port = options.choosePort(serverName, options.listenerPort, proxiedPort)
  // The session finds no destination for it, and that is what the record says.
  const requested = { host: serverName, port: port ?? options.listenerPort ?? proxiedPort ?? HTTPS }
  options.handler.tunnel(
    connection,
    new StreamTunnel({
      requested,
      facts: { ...NO_FACTS, serverName, ech: hello.ech, passthrough: true },
      identify: () => options.identifyNetwork(source),
      stream: raw,
      raw,
      refusal: null,
    }),
  )
}
