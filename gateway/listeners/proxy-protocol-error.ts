// Why a PROXY protocol header is refused. No message repeats a byte of the peer's.

export type ProxyHeaderErrorCode =
  | 'signature'
  | 'version'
  | 'command'
  | 'family'
  | 'too-short'
  | 'too-long'
  | 'tlv'
  | 'crc32c-length'
  | 'crc32c-twice'
  | 'crc32c-mismatch'
  | 'vpc-endpoint-malformed'
  | 'vpc-endpoint-twice'
  | 'second-header'

export interface RefusedHeader {
  readonly state: 'refused'
  readonly code: ProxyHeaderErrorCode
  readonly message: string
}

/** Carries a refusal to the one place that turns it into a value; never leaves the parser. */
export class ProxyHeaderFault extends Error {
  readonly code: ProxyHeaderErrorCode

  constructor(code: ProxyHeaderErrorCode, message: string) {
    super(message)
    this.code = code
  }
}

export function refused(code: ProxyHeaderErrorCode, message: string): RefusedHeader {
  return { state: 'refused', code, message }
}
