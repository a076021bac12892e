// What each protocol that begins in plaintext and turns to TLS in the middle has to offer, one file a protocol. Bytes of
// either side are untrusted; every state machine here is bounded, and none ever falls back to plaintext.
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { ReasonCode } from '../../audit/reasons.ts'

export const START_TLS_NAMES = ['postgres', 'mysql', 'smtp', 'imap', 'pop3', 'ldap'] as const
export type StartTlsName = (typeof START_TLS_NAMES)[number]

export interface StartTls {
  readonly name: StartTlsName
  /**
   * The gateway's own way up (`tls: originate`): speaks plaintext on `raw` until the server has agreed to begin TLS and not
   * a byte further. Rejects with an UpstreamError of an `upstream-starttls-…` or `connect-…` code. `raw` is the caller's to reset.
   */
  upgrade(raw: Socket, signal: AbortSignal): Promise<Upgraded>
  /** The client's own way up (`tls: passthrough`): judges the plaintext that may pass before the client's ClientHello. */
  preamble(): Preamble
  /**
   * How a refusal is told in the protocol's own words, on listeners that have no other answer. Asked with nothing first, then
   * with all that the client has sent so far; null = not yet, say more. It never says more than `message`.
   */
  refusal(received: Buffer, message: string): Buffer | null
}

export interface Upgraded {
  /** TLS over the same socket, as a client that speaks the protocol in plaintext expects it: greeting replayed, upgrade hidden. */
  adapt(tls: Duplex): Duplex
}

/** A state machine over both directions, fed in the order in which bytes come. After a verdict other than `plain` it is over. */
export interface Preamble {
  fromClient(bytes: Buffer): PreambleStep
  fromServer(bytes: Buffer): PreambleStep
}

export interface PreambleStep {
  /** What of the bytes given so far may be passed on now, whole messages alone. */
  readonly toServer: Buffer
  readonly toClient: Buffer
  /** `tls`: the server has agreed; the next byte of the client begins its ClientHello and none was sent before. */
  readonly next: 'plain' | 'tls' | { readonly code: ReasonCode; readonly detail: string }
}
