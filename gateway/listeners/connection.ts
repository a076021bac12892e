// A downstream connection whose TLS stands, as the protocols behind the listeners see it.
import type net from 'node:net'
import type tls from 'node:tls'
import type { SourceFacts } from '../audit/events.ts'
import type { ReasonCode } from '../audit/reasons.ts'
import type { Tunnel } from '../sessions/tunnel.ts'
import type { Closing } from './closing.ts'
import type { Identity } from './identify.ts'

/** What of a connection stands in each of its records. */
export interface ConnectionFacts {
  readonly id: string
  readonly source: SourceFacts
  /** Null where there was no handshake. */
  readonly handshakeMs: number | null
}

export interface ClientConnection extends ConnectionFacts {
  readonly raw: net.Socket
  readonly tls: tls.TLSSocket
  /** By `performance.now()`: when the request must be there. */
  readonly deadlineAt: number
  /** Of the listener: who has asked for nothing yet is to be told of at once, with its record. */
  readonly closing: Closing
  /** By the certificate; judged afresh at each call, since time, trust and bundles change while a connection lives. */
  identity(): Identity
  /** Who a request's `Proxy-Authorization` shows; null where the listener takes no tokens. */
  readonly byToken: ((proxyAuthorization: string | null) => Promise<Identity>) | null
}

/** Milliseconds until the request must be there; at least one, for a timer. */
export function requestTimeout({ deadlineAt }: Pick<ClientConnection, 'deadlineAt'>): number {
  return Math.max(1, deadlineAt - performance.now())
}

/**
 * Who asks: by the certificate where one was shown, so that a token beside it changes nothing; else by the token, where
 * the listener takes one.
 */
export function callerOf(
  connection: ClientConnection,
  proxyAuthorization: string | null,
): Identity | Promise<Identity> {
  const identity = connection.identity()
  if (connection.byToken === null || identity.ok || identity.code !== 'client-token-missing') return identity
  return connection.byToken(proxyAuthorization)
}

/** What the protocols need of the gateway behind them: every connection and request ends as one record. */
export interface RequestHandler {
  /** A well-formed request: accepted or refused later, through the tunnel. */
  tunnel(connection: ConnectionFacts, tunnel: Tunnel): void
  /** A request that cannot be one; returns what to tell: an identity that is refused comes before a bad request. */
  refusedRequest(
    connection: ClientConnection,
    code: ReasonCode,
    detail: string,
  ): { readonly id: string; readonly code: ReasonCode }
  /** A connection that ended, or was ended, before any request. */
  noRequest(connection: ClientConnection, code: ReasonCode, detail: string | null): void
}
