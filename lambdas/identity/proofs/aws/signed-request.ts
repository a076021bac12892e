// The GetCallerIdentity request that a caller signed, built again here from the few values that only he can know. What
// is sent to STS is a function of those values and of our own: method, path, body, host and header names are never the
// caller's (https://words.filippo.io/dispatches/reconstruct-vs-validate/). A signature made for another audience or key
// is simply wrong for this request, so STS itself compares them.
import { createHash } from 'node:crypto'
import { CALL_AUDIENCE, CALL_BODY, CALL_CONTENT_TYPE, CALL_KEY } from '../../../../common/signed-call.ts'
import * as z from '../../schema-library.ts'
import { STS_ENDPOINTS, stsHost } from '../../../../common/aws-regions.ts'

/** Headers that some signers add by themselves: `@smithy/signature-v4` the first, aws-sdk-go-v2 the second. */
const EXTRA = ['x-amz-content-sha256', 'content-length'] as const

/** The `aws` object of a request's body (design §5.4). A closed schema: there is no header map to smuggle into. */
export const SIGV4_PROOF = z.strictObject({
  accessKeyId: z.string().check(z.regex(/^(?:AKIA|ASIA)[A-Z0-9]{16}$/, 'expected an access key id')),
  sessionToken: z.optional(
    z.string().check(z.maxLength(16 * 1024), z.regex(/^[\x21-\x7e]+$/, 'expected printable ASCII')),
  ),
  region: z.string().check(z.maxLength(32)),
  date: z.string().check(z.regex(/^\d{8}T\d{6}Z$/, 'expected a time such as 20261124T120000Z')),
  signature: z.string().check(z.regex(/^[0-9a-f]{64}$/, 'expected 64 lower-case hexadecimal digits')),
  endpoint: z.optional(z.enum(STS_ENDPOINTS)),
  signed: z.optional(z.array(z.enum(EXTRA)).check(z.maxLength(EXTRA.length))),
})
export type SigV4Fields = z.infer<typeof SIGV4_PROOF>

export interface SignedRequest {
  readonly host: string
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

export interface SignedValues {
  /** The authority's audience. */
  readonly audience: string
  /** `x509:<digest>` or `jwt:<digest>`, computed here from what was asked for. */
  readonly binding: string
}

function extraHeaders(signed: SigV4Fields['signed']): Record<string, string> {
  const values = {
    'content-length': String(Buffer.byteLength(CALL_BODY)),
    'x-amz-content-sha256': createHash('sha256').update(CALL_BODY).digest('hex'),
  }
  return Object.fromEntries((signed ?? []).map((name) => [name, values[name]]))
}

/** The request as STS must get it, or null where the region has no such host. */
export function buildSignedRequest(fields: SigV4Fields, values: SignedValues): SignedRequest | null {
  const host = stsHost(fields.region, fields.endpoint ?? null)
  if (host === null) return null
  const signed: Record<string, string> = {
    'content-type': CALL_CONTENT_TYPE,
    host,
    'x-amz-date': fields.date,
    [CALL_AUDIENCE]: values.audience,
    [CALL_KEY]: values.binding,
    ...(fields.sessionToken === undefined ? {} : { 'x-amz-security-token': fields.sessionToken }),
    ...extraHeaders(fields.signed),
  }
  const scope = `${fields.date.slice(0, 8)}/${fields.region}/sts/aws4_request`
  const names = Object.keys(signed).sort().join(';')
  return {
    host,
    body: CALL_BODY,
    headers: {
      'content-length': String(Buffer.byteLength(CALL_BODY)),
      ...signed,
      accept: 'application/json',
      authorization: `AWS4-HMAC-SHA256 Credential=${fields.accessKeyId}/${scope}, SignedHeaders=${names}, Signature=${fields.signature}`,
    },
  }
}
