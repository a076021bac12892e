// The form of identity.yaml: which keys there are and of what type.
import * as z from './schema-library.ts'
import { parseDuration } from '../../common/duration.ts'

const MAX_TTL_MS = 24 * 3_600_000
const MIN_TTL_MS = 60_000
/** A JWT-SVID is a bearer token; an hour is as long as AWS's own may live. */
export const MAX_JWT_TTL_MS = 3_600_000
/** One that stands in `HTTPS_PROXY` for a working day, where the registration says that this is meant. */
const MAX_BEARER_TTL_MS = 12 * 3_600_000
const HOUR_MS = 3_600_000
const MINUTES_5_MS = 300_000
const DEFAULT_PER_MINUTE = 600

const name = z
  .string()
  .check(z.regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'expected lower-case letters, digits and hyphens, at most 63'))

function duration(min: number, max: number, expected: string) {
  const toMs = z.transform((text: string, context) => {
    const ms = parseDuration(text)
    if (ms !== null && ms >= min && ms <= max) return ms
    context.issues.push({
      code: 'custom',
      message: `expected a duration ${expected}, such as 15m`,
      input: text,
    })
    return z.NEVER
  })
  return z.pipe(z.string(), toMs)
}

/** `file:path`; the path without its prefix. The loader shows what was found where that cannot be a key. */
const fileReference = z.pipe(
  z.string(),
  z.transform((text: string, context) => {
    if (text.startsWith('file:') && text.length > 5) return text.slice(5)
    context.issues.push({ code: 'custom', message: 'expected file: and a path', input: text })
    return z.NEVER
  }),
)

/** RFC 1123 host name, lower case; no wildcard, which a SPIFFE workload has no use for. */
const DNS_NAME =
  /^(?=.{1,253}$)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*$/

export const dnsName = z.string().check(z.regex(DNS_NAME, 'expected a DNS name in lower case'))

/** Secrets Manager: letters, digits and `/_+=.@-`; an ARN has colons too. */
export const secretId = z
  .string()
  .check(z.regex(/^[A-Za-z0-9/_+=.@:-]{1,2048}$/, 'expected the ARN or the name of a secret'))
export const tableName = z
  .string()
  .check(z.regex(/^[A-Za-z0-9_.:/-]{3,1024}$/, 'expected the name or the ARN of a DynamoDB table'))

const reuse = z.enum(['once', 'sameKey', 'untilExpiry'])
const maxTokenAge = duration(1_000, MAX_TTL_MS, 'of 1s to 24h')

const provider = z
  .strictObject({
    name: name.check(z.refine((text) => text !== 'aws', 'aws is the name of the AWS proofs: choose another')),
    issuer: z.optional(z.string()),
    audience: z.optional(z.string()),
    jwksUri: z.optional(z.string()),
    jwks: z.optional(fileReference),
    trustDomain: z.optional(z.string()),
    bundle: z.optional(z.string()),
    maxTokenAge: z.optional(maxTokenAge),
    reuse: z._default(reuse, 'sameKey'),
  })
  .check(
    z.refine((value) => value.reuse !== 'untilExpiry' || value.maxTokenAge !== undefined, {
      path: ['maxTokenAge'],
      message: 'is required where reuse is untilExpiry: without it a stolen token works until it ends',
    }),
  )

const aws = z.strictObject({
  webIdentity: z._default(z.boolean(), false),
  sigv4: z.optional(
    z.strictObject({
      regions: z.array(z.string()).check(z.minLength(1), z.maxLength(64)),
      stsEndpoint: z.optional(z.string()),
    }),
  ),
  accounts: z.record(
    z.string().check(z.regex(/^\d{12}$/, 'expected an account id of twelve digits, in quotes')),
    z.strictObject({ issuer: z.optional(z.string()) }),
  ),
  principalTags: z._default(
    z.array(z.string().check(z.minLength(1), z.maxLength(128))).check(z.maxLength(50)),
    [],
  ),
  maxTokenAge: z.optional(maxTokenAge),
  reuse: z._default(z.enum(['once', 'sameKey']), 'sameKey'),
})

const awsMatch = z.strictObject({
  role: z.string(),
  anyPath: z._default(z.boolean(), false),
  roleId: z.optional(
    z.string().check(z.regex(/^AROA[A-Z0-9]{8,124}$/, 'expected the unique id of a role, AROA…')),
  ),
  principalTags: z._default(z.record(z.string(), z.string()), {}),
  lambdaFunction: z.optional(z.string()),
  organization: z.optional(
    z.string().check(z.regex(/^o-[a-z0-9]{10,32}$/, 'expected an organization id, o-…')),
  ),
})

const perMinute = z.int().check(z.minimum(1), z.maximum(1_000_000))

const registration = z.strictObject({
  name,
  spiffeId: z.string(),
  reserved: z._default(z.boolean(), false),
  bearer: z._default(z.boolean(), false),
  match: z.strictObject({
    oidc: z.optional(z.string()),
    claims: z.optional(z.record(z.string(), z.union([z.string(), z.boolean()]))),
    aws: z.optional(awsMatch),
    keyBound: z._default(z.boolean(), false),
  }),
  x509: z._default(
    z.strictObject({
      ttl: z._default(duration(MIN_TTL_MS, MAX_TTL_MS, 'of 1m to 24h'), HOUR_MS),
      dnsNames: z._default(z.array(dnsName).check(z.maxLength(16)), []),
    }),
    { ttl: HOUR_MS, dnsNames: [] },
  ),
  jwt: z._default(
    z.strictObject({
      audiences: z
        .array(z.string().check(z.regex(/^[\x21-\x7e]{1,1000}$/)))
        .check(z.minLength(1), z.maxLength(64)),
      ttl: z._default(
        duration(MIN_TTL_MS, MAX_BEARER_TTL_MS, 'of 1m to 1h, with bearer: true to 12h'),
        MINUTES_5_MS,
      ),
    }),
    { audiences: [], ttl: MINUTES_5_MS },
  ),
  limits: z._default(z.strictObject({ perMinute: z._default(perMinute, DEFAULT_PER_MINUTE) }), {
    perMinute: DEFAULT_PER_MINUTE,
  }),
})

export const IDENTITY_SCHEMA = z.strictObject({
  version: z.literal(1),
  trustDomain: z.string(),
  issuer: z.string(),
  audience: z.optional(z.string()),
  tls: z.optional(z.strictObject({ certificate: fileReference, key: fileReference })),
  authority: z.strictObject({
    files: z.optional(z.strictObject({ directory: z.string().check(z.minLength(1)) })),
    secretsManager: z.optional(z.strictObject({ issuing: secretId })),
  }),
  proofs: z.strictObject({
    aws: z.optional(aws),
    oidc: z._default(z.array(provider).check(z.maxLength(64)), []),
  }),
  registrations: z.array(registration).check(z.minLength(1), z.maxLength(1000)),
  replay: z._default(
    z.strictObject({
      store: z.optional(z.literal('memory', 'expected memory, or the key dynamodb beside')),
      dynamodb: z.optional(z.strictObject({ table: tableName })),
    }),
    {},
  ),
  issuances: z._default(
    z.strictObject({
      store: z.optional(fileReference),
      dynamodb: z.optional(z.strictObject({ table: tableName })),
    }),
    {},
  ),
  limits: z._default(z.strictObject({ perSourcePerMinute: z._default(perMinute, DEFAULT_PER_MINUTE) }), {
    perSourcePerMinute: DEFAULT_PER_MINUTE,
  }),
})

export type IdentityDocument = z.infer<typeof IDENTITY_SCHEMA>
export type ProviderDocument = IdentityDocument['proofs']['oidc'][number]
export type RegistrationDocument = IdentityDocument['registrations'][number]
