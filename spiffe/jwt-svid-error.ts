// Why a token is no JWT-SVID that can be believed.

export type JwtSvidErrorCode =
  | 'too-large'
  | 'malformed'
  | 'header-refused'
  | 'algorithm-refused'
  | 'claims-malformed'
  | 'malformed-id'
  | 'no-path'
  | 'trust-domain-unknown'
  | 'key-unknown'
  | 'key-unfit'
  | 'weak-key'
  | 'untrusted'
  | 'audience'
  | 'not-yet-valid'
  | 'expired'
  | 'lives-too-long'

/** The message repeats nothing of the token, which is a credential. */
export class JwtSvidError extends Error {
  readonly code: JwtSvidErrorCode

  constructor(code: JwtSvidErrorCode, message: string, options: { readonly cause?: unknown } = {}) {
    super(message, options)
    this.name = 'JwtSvidError'
    this.code = code
  }
}
