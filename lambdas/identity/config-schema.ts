// The form of identity.yaml: which keys there are and of what type.
import * as z from 'zod'
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
  .regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'expected lower-case letters, digits and hyphens, at most 63')

function duration(min: number, max: number, expected: string) {
  return z.string().transform((text, context) => {
    const ms = parseDuration(text)
    if (ms !== null && ms >= min && ms <= max) return ms
    context.addIssue({ code: 'custom', message: `expected a duration ${expected}, such as 15m` })
    return z.NEVER
  })
}

/** `file:path`; the path without its prefix. The loader shows what was found where that cannot be a key. */
const fileReference = z.string().transform((text, context) => {
  if (text.startsWith('file:') && text.length > 5) return text.slice(5)
  context.addIssue({ code: 'custom', message: 'expected file: and a path' })
  return z.NEVER
})

/** RFC 1123 host name, lower case; no wildcard, which a SPIFFE workload has no use for. */
const DNS_NAME =
  /^(?=.{1,253}$)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*$/

export const dnsName = z.string().regex(DNS_NAME, 'expected a DNS name in lower case')

/** Secrets Manager: letters, digits and `/_+=.@-`; an ARN has colons too. */
export const secretId = z
  .string()
  .regex(/^[A-Za-z0-9/_+=.@:-]{1,2048}$/, 'expected the ARN or the name of a secret')
export const tableName = z
  .string()
  .regex(/^[A-Za-z0-9_.:/-]{3,1024}$/, 'expected the name or the ARN of a DynamoDB table')

const reuse = z.enum(['once', 'sameKey', 'untilExpiry'])
const maxTokenAge = duration(1_000, MAX_TTL_MS, 'of 1s to 24h')

const provider = z
  .strictObject({
    name: name.refine((text) => text !== 'aws', 'aws is the name of the AWS proofs: choose another'),
    issuer: z.string().optional(),
    audience: z.string().optional(),
    jwksUri: z.string().optional(),
    jwks: fileReference.optional(),
    trustDomain: z.string().optional(),
    bundle: z.string().optional(),
    maxTokenAge: maxTokenAge.optional(),
    reuse: reuse.default('sameKey'),
  })
  .refine((value) => value.reuse !== 'untilExpiry' || value.maxTokenAge !== undefined, {
    path: ['maxTokenAge'],
    message: 'is required where reuse is untilExpiry: without it a stolen token works until it ends',
  })

const aws = z.strictObject({
  webIdentity: z.boolean().default(false),
  sigv4: z
    .strictObject({
      regions: z.array(z.string()).min(1).max(64),
      stsEndpoint: z.string().optional(),
    })
    .optional(),
  accounts: z.record(
    z.string().regex(/^\d{12}$/, 'expected an account id of twelve digits, in quotes'),
    z.strictObject({ issuer: z.string().optional() }),
  ),
  principalTags: z.array(z.string().min(1).max(128)).max(50).default([]),
  maxTokenAge: maxTokenAge.optional(),
  reuse: z.enum(['once', 'sameKey']).default('sameKey'),
})

const awsMatch = z.strictObject({
  role: z.string(),
  anyPath: z.boolean().default(false),
  roleId: z
    .string()
    .regex(/^AROA[A-Z0-9]{8,124}$/, 'expected the unique id of a role, AROA…')
    .optional(),
  principalTags: z.record(z.string(), z.string()).default({}),
  lambdaFunction: z.string().optional(),
  organization: z
    .string()
    .regex(/^o-[a-z0-9]{10,32}$/, 'expected an organization id, o-…')
    .optional(),
})

const registration = z.strictObject({
  name,
  spiffeId: z.string(),
  reserved: z.boolean().default(false),
  bearer: z.boolean().default(false),
  match: z.strictObject({
    oidc: z.string().optional(),
    claims: z.record(z.string(), z.union([z.string(), z.boolean()])).optional(),
    aws: awsMatch.optional(),
    keyBound: z.boolean().default(false),
  }),
  x509: z
    .strictObject({
      ttl: duration(MIN_TTL_MS, MAX_TTL_MS, 'of 1m to 24h').default(HOUR_MS),
      dnsNames: z.array(dnsName).max(16).default([]),
    })
    .default({ ttl: HOUR_MS, dnsNames: [] }),
  jwt: z
    .strictObject({
      audiences: z
        .array(z.string().regex(/^[\x21-\x7e]{1,1000}$/))
        .min(1)
        .max(64),
      ttl: duration(MIN_TTL_MS, MAX_BEARER_TTL_MS, 'of 1m to 1h, with bearer: true to 12h').default(
        MINUTES_5_MS,
      ),
    })
    .default({ audiences: [], ttl: MINUTES_5_MS }),
  limits: z
    .strictObject({ perMinute: z.int().min(1).max(1_000_000).default(DEFAULT_PER_MINUTE) })
    .default({ perMinute: DEFAULT_PER_MINUTE }),
})

export const IDENTITY_SCHEMA = z.strictObject({
  version: z.literal(1),
  trustDomain: z.string(),
  issuer: z.string(),
  audience: z.string().optional(),
  tls: z.strictObject({ certificate: fileReference, key: fileReference }).optional(),
  authority: z.strictObject({
    files: z.strictObject({ directory: z.string().min(1) }).optional(),
    secretsManager: z.strictObject({ issuing: secretId }).optional(),
  }),
  proofs: z.strictObject({ aws: aws.optional(), oidc: z.array(provider).max(64).default([]) }),
  registrations: z.array(registration).min(1).max(1000),
  replay: z
    .strictObject({
      store: z.literal('memory', 'expected memory, or the key dynamodb beside').optional(),
      dynamodb: z.strictObject({ table: tableName }).optional(),
    })
    .default({}),
  issuances: z
    .strictObject({
      store: fileReference.optional(),
      dynamodb: z.strictObject({ table: tableName }).optional(),
    })
    .default({}),
  limits: z
    .strictObject({ perSourcePerMinute: z.int().min(1).max(1_000_000).default(DEFAULT_PER_MINUTE) })
    .default({ perSourcePerMinute: DEFAULT_PER_MINUTE }),
})

export type IdentityDocument = z.infer<typeof IDENTITY_SCHEMA>
export type ProviderDocument = IdentityDocument['proofs']['oidc'][number]
export type RegistrationDocument = IdentityDocument['registrations'][number]
