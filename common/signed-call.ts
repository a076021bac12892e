// The GetCallerIdentity request that proves an IAM role to the authority: the caller signs it, the authority builds the same
// request again and sends it to STS. What both must agree on stands here.

export const CALL_BODY = 'Action=GetCallerIdentity&Version=2011-06-15'
export const CALL_CONTENT_TYPE = 'application/x-www-form-urlencoded; charset=utf-8'
/** Signed with the rest: whom the proof is for, and `x509:` or `jwt:` and the digest of the key that it is for. */
export const CALL_AUDIENCE = 'x-sallyport-audience'
export const CALL_KEY = 'x-sallyport-key'

/** What of a signed call only its signer can know; the `aws` object of a request's body (design §5.4). */
export interface SignedCall {
  readonly accessKeyId: string
  readonly sessionToken?: string
  readonly region: string
  /** `20261124T120000Z`. */
  readonly date: string
  /** 64 lower-case hexadecimal digits. */
  readonly signature: string
}
