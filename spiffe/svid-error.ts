// Why a certificate is no X.509-SVID that can be believed.

export type SvidErrorCode =
  | 'malformed'
  | 'no-uri'
  | 'multiple-uris'
  | 'malformed-id'
  | 'no-path'
  | 'is-ca'
  | 'key-usage'
  | 'extended-key-usage'
  | 'weak-key'
  | 'weak-signature'
  | 'trust-domain-unknown'
  | 'untrusted'
  | 'chain-expired'
  | 'not-yet-valid'
  | 'expired'

export class SvidError extends Error {
  readonly code: SvidErrorCode

  constructor(code: SvidErrorCode, message: string) {
    super(message)
    this.name = 'SvidError'
    this.code = code
  }
}
