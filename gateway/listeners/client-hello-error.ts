// Why what a client sent is no ClientHello, or none that the gateway acts on. No message repeats a byte of the peer's.

export type ClientHelloErrorCode =
  // What comes is not TLS, as its first byte shows.
  | 'plain-text'
  | 'proxy-header'
  | 'sslv2'
  // Records (RFC 8446 §5.1).
  | 'alert'
  | 'application-data'
  | 'record-type'
  | 'record-version'
  | 'record-empty'
  | 'record-too-long'
  | 'too-many-bytes'
  // The handshake message (§4, §4.1.2).
  | 'handshake-type'
  | 'too-long'
  | 'trailing-bytes'
  | 'malformed'
  | 'version'
  | 'session-id'
  | 'cipher-suites'
  | 'compression'
  | 'extension-twice'
  // Extensions.
  | 'server-name-list-empty'
  | 'server-name-type'
  | 'server-name-twice'
  | 'server-name-empty'
  | 'server-name-too-long'
  | 'server-name-nul'
  | 'server-name-not-ascii'
  | 'server-name-trailing-dot'
  | 'server-name-address'
  | 'server-name-invalid'
  | 'alpn'
  | 'supported-versions'

const NOT_TLS: ReadonlySet<ClientHelloErrorCode> = new Set([
  'plain-text',
  'proxy-header',
  'sslv2',
  'record-type',
])

/** Whether what came is another protocol, and not TLS that is wrong. */
export function isNotTls(code: ClientHelloErrorCode): boolean {
  return NOT_TLS.has(code)
}

/** Carries a refusal to the one place that turns it into a value; never leaves the parser. */
export class ClientHelloFault extends Error {
  readonly code: ClientHelloErrorCode

  constructor(code: ClientHelloErrorCode, message: string) {
    super(message)
    this.code = code
  }
}
