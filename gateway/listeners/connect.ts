// The `connect` listener: one port on which mesh workloads ask for a destination by HTTP/1 or HTTP/2 CONNECT, told
// apart by ALPN. It knows connections and protocols; what is allowed is the handler's business.
import type { AddressInfo } from 'node:net'
import type { ReasonCode } from '../audit/reasons.ts'
import type { Tunnel } from '../sessions/tunnel.ts'
import { type AcceptOptions, type Acceptor, type ClientConnection, createAcceptor } from './accept.ts'
import { serveH1 } from './connect-h1.ts'
import { type H2Connection, serveH2 } from './connect-h2.ts'

/** What the listener needs of the gateway behind it. */
export interface ConnectHandler {
  /** A well-formed request: accepted or refused later, through the tunnel. */
  tunnel(connection: ClientConnection, tunnel: Tunnel): void
  /** A request that cannot be one; returns what to tell: an identity that is refused comes before a bad request. */
  refusedRequest(
    connection: ClientConnection,
    code: ReasonCode,
    detail: string,
  ): { id: string; code: ReasonCode }
  /** A connection that ended, or was ended, before any request. */
  noRequest(connection: ClientConnection, code: ReasonCode, detail: string | null): void
}

export interface ConnectListenerOptions extends Omit<AcceptOptions, 'alpnProtocols' | 'onConnection'> {
  readonly handler: ConnectHandler
  /** From the end of the handshake to the end of the request, in milliseconds. */
  readonly requestTimeoutMs: number
}

export interface Listener {
  readonly name: string
  readonly address: { readonly host: string; readonly port: number }
  /** Stops accepting and tells HTTP/2 clients to go elsewhere; what lives goes on. */
  drain(): void
  /** Cuts everything that is left and resolves when the port is free. */
  close(): Promise<void>
}

/** Listens; rejects with the system's error (EADDRINUSE, EACCES, EADDRNOTAVAIL) where it cannot. */
export async function startConnectListener(options: ConnectListenerOptions): Promise<Listener> {
  const h2 = new Set<H2Connection>()
  let draining = false
  const acceptor = createAcceptor({
    ...options,
    alpnProtocols: ['h2', 'http/1.1'],
    onConnection: (connection) => {
      if (connection.tls.alpnProtocol !== 'h2') {
        return serveH1(connection, options.handler, options.requestTimeoutMs)
      }
      const served = serveH2(connection, options.handler, options.requestTimeoutMs)
      h2.add(served)
      connection.raw.once('close', () => h2.delete(served))
      if (draining) served.goAway()
    },
  })
  await listen(acceptor, options)
  const { address, port } = acceptor.server.address() as AddressInfo
  return {
    name: options.config.name,
    address: { host: address, port },
    drain() {
      draining = true
      acceptor.server.close()
      for (const connection of h2) connection.goAway()
    },
    async close() {
      const closed = new Promise<void>((resolve) => acceptor.server.close(() => resolve()))
      for (const socket of acceptor.sockets) socket.resetAndDestroy()
      await closed
    },
  }
}

async function listen(acceptor: Acceptor, options: ConnectListenerOptions): Promise<void> {
  const { host, port } = options.config.address
  await new Promise<void>((resolve, reject) => {
    acceptor.server.once('error', reject)
    acceptor.server.listen({ host, port, backlog: 1024 }, () => {
      acceptor.server.off('error', reject)
      resolve()
    })
  })
}
