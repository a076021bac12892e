// What each protocol that begins in plaintext and turns to TLS in the middle has to offer, one file a protocol. Bytes of
// either side are untrusted; every state machine here is bounded, and none ever falls back to plaintext.
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { ReasonCode } from '../../audit/reasons.ts'
import type { Destination } from '../../config/types.ts'

export const START_TLS_NAMES = ['postgres', 'mysql', 'smtp', 'imap', 'pop3', 'ldap'] as const
export type StartTlsName = (typeof START_TLS_NAMES)[number]

/** One for the whole process: what it keeps between sessions (PostgreSQL's cancel keys) lives in it. */
export interface StartTls {
  readonly name: StartTlsName
  /**
   * The gateway's own way up (`tls: originate`): speaks plaintext on `raw` until the server has agreed to begin TLS and not
   * a byte further; what is left unread then ends the attempt. Rejects with an UpstreamError of an `upstream-starttls-…`
   * code. `raw` is the caller's to reset, and so is the time: `signal` is only for what would go on behind it.
   */
  upgrade(raw: Socket, destination: Destination, signal: AbortSignal): Promise<Upgraded>
  /** The client's own way up (`tls: passthrough`): judges the plaintext that may pass before the client's ClientHello. */
  preamble(): Preamble
  /** How a refusal is told in the protocol's own words, on listeners that have no other answer. */
  refusal(words: RefusalWords): Refusing
}

export interface Upgraded {
  /** TLS over the same socket, as a client that speaks the protocol in plaintext expects it: greeting replayed, upgrade hidden. */
  adapt(tls: Duplex, context: AdaptContext): Duplex
}

/** What a session's own connection is, for protocols in which one session reaches for another. */
export interface AdaptContext {
  readonly destination: Destination
  readonly host: string
  readonly port: number
  /** `203.0.113.9:5432`, `[2001:db8::1]:5432`: the endpoint that was dialled. */
  readonly address: string
  /** For whoever else has to know of the process id and secret; what it returns is called when the session is over. */
  readonly onCancelKey: (key: Buffer) => () => void
  /**
   * Another connection by the same rules (upgrade, name, pins, this workload's client certificate), to an IP address to
   * which this destination was dialled before. It has a budget of its own and is the caller's to destroy.
   * `by` takes the place of the protocol's own upgrade. Rejects with an UpstreamError.
   */
  reopen(address: string, by?: StartTls['upgrade']): Promise<Reopened>
}

export interface Reopened {
  /** Paused, with an `error` listener. */
  readonly stream: Duplex
  /** Resets the raw socket. */
  reset(): void
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
  /**
   * `tls` from the server's bytes: it has agreed, the next byte of the client begins its ClientHello and none was sent
   * before. `tls` from the client's: it began at once, and the bytes just given are the beginning of its ClientHello,
   * unless `hello` says which.
   */
  readonly next: 'plain' | 'tls' | { readonly code: ReasonCode; readonly detail: string }
  /** With `tls` from the client's bytes: those that came behind its request, where that is not answered (MySQL). */
  readonly hello?: Buffer
}

export interface RefusalWords {
  /** Whether asking again as who one is would change nothing (a 5xx of SMTP), or the service could not be reached (a 4xx). */
  readonly kind: 'denied' | 'unavailable'
  /** One line of printable ASCII, at most 200 characters. A refusal says this and no more. */
  readonly text: string
}

/** Fed with nothing first, then with each of the client's chunks; it has to bound what it keeps of them. */
export interface Refusing {
  /** What to write now, and whether that was the refusal: then the gateway ends its side. Asked no more after that. */
  answer(bytes: Buffer): { readonly reply: Buffer; readonly over: boolean }
}
