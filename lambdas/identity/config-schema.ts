// The form of identity.yaml: which keys there are and of what type. What is not available yet is refused by name, so
// that nobody believes in a protection that is only configured.
import * as z from 'zod'
import { parseDuration } from '../../common/duration.ts'

const MAX_TTL_MS = 24 * 3_600_000
const MIN_TTL_MS = 60_000

/** A key that the design knows and this version does not. */
function notYet(what: string) {
  return z.custom<never>(() => false, `not available yet: ${what}`).optional()
}

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

const provider = z
  .strictObject({
    name,
    issuer: z.string(),
    jwksUri: z.string().optional(),
    maxTokenAge: duration(1_000, MAX_TTL_MS, 'of 1s to 24h').optional(),
    reuse: z.enum(['once', 'sameKey', 'untilExpiry']).default('sameKey'),
  })
  .refine(({ reuse, maxTokenAge }) => reuse !== 'untilExpiry' || maxTokenAge !== undefined, {
    path: ['maxTokenAge'],
    message: 'is required where reuse is untilExpiry: without it a stolen token works until it ends',
  })

const registration = z.strictObject({
  name,
  spiffeId: z.string(),
  reserved: z.boolean().default(false),
  match: z.strictObject({
    oidc: z.string().optional(),
    claims: z.record(z.string(), z.string()).optional(),
    aws: notYet('AWS proofs'),
  }),
  x509: z
    .strictObject({
      ttl: duration(MIN_TTL_MS, MAX_TTL_MS, 'of 1m to 24h').default(3_600_000),
      dnsNames: z.array(dnsName).max(16).default([]),
    })
    .default({ ttl: 3_600_000, dnsNames: [] }),
  jwt: notYet('JWT-SVIDs'),
})

export const IDENTITY_SCHEMA = z.strictObject({
  version: z.literal(1),
  trustDomain: z.string(),
  issuer: z.string(),
  audience: z.string().optional(),
  tls: z.strictObject({ certificate: fileReference, key: fileReference }).optional(),
  authority: z.strictObject({
    files: z.strictObject({ directory: z.string().min(1) }),
    secretsManager: notYet('a CA in Secrets Manager'),
  }),
  proofs: z.strictObject({
    aws: notYet('AWS proofs'),
    oidc: z.array(provider).min(1).max(64),
  }),
  registrations: z.array(registration).min(1).max(1000),
  replay: z
    .strictObject({
      store: z.literal('memory', 'expected memory; dynamodb is not available yet').default('memory'),
      dynamodb: notYet('a replay table'),
    })
    .default({ store: 'memory' }),
  issuances: z
    .strictObject({
      store: fileReference.default('issuances.jsonl'),
      dynamodb: notYet('an issuance table'),
    })
    .default({ store: 'issuances.jsonl' }),
})

export type IdentityDocument = z.infer<typeof IDENTITY_SCHEMA>
