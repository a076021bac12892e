// Proof by AWS's outbound web identity token (sts:GetWebIdentityToken): a JWT of the issuer of one account, whose `sub`
// is the IAM role's ARN with its path. Any AWS account has such an issuer, so issuer, account and role are held against
// each other. `request_tags` are the caller's own words and are never read.
// Source: IAM User Guide, "Federating AWS identities to external services", and STS API reference.
import { once } from '../../../../common/once.ts'
import * as z from '../../schema-library.ts'
import { MAX_TIME, type TokenFacts } from '../claims.ts'
import { type AwsPrincipal, type ClaimValue, type OidcProvider, type Proof, ProofError } from '../proof.ts'
import { parseRfc3339 } from '../../../../common/rfc3339.ts'
import type { CompactToken } from '../token.ts'
import { parseFunctionArn, parseRoleArn, type RoleArn } from './arn.ts'

/** What GetWebIdentityToken signs with. */
const ALGORITHMS: ReadonlySet<string> = new Set(['RS256', 'ES384'])
const NAMESPACE = 'https://sts.amazonaws.com/'

const detailsSchema = once(() =>
  z.looseObject({
    aws_account: z.string(),
    org_id: z.optional(z.string().check(z.maxLength(64))),
    principal_tags: z.optional(z.record(z.string(), z.string())),
    original_session_exp: z.optional(
      z.union([z.string().check(z.maxLength(64)), z.int().check(z.minimum(0), z.maximum(MAX_TIME))]),
    ),
    lambda_source_function_arn: z.optional(z.string().check(z.maxLength(256))),
  }),
)
type Details = z.infer<ReturnType<typeof detailsSchema>>

function readDetails(token: CompactToken): Details {
  const parsed = detailsSchema().safeParse(token.claims[NAMESPACE])
  if (parsed.success) return parsed.data
  throw new ProofError('claims-malformed', `the claim ${NAMESPACE} is not usable`)
}

function readRole(subject: string, details: Details, provider: OidcProvider): RoleArn {
  const role = parseRoleArn(subject)
  if (role === null) throw new ProofError('aws-principal-refused', 'sub is no IAM role')
  if (role.account !== provider.account || details.aws_account !== provider.account) {
    throw new ProofError('aws-account-unknown', 'issuer, aws_account and sub are not of one account')
  }
  return role
}

/** The end of the credentials behind the token, or null where it does not say. */
function readSessionEnd(details: Details): Date | null {
  const value = details.original_session_exp
  if (value === undefined) return null
  const end = typeof value === 'number' ? new Date(value * 1000) : parseRfc3339(value)
  if (end === null) throw new ProofError('claims-malformed', 'the claim original_session_exp is not usable')
  return end
}

function readClaims(
  role: RoleArn,
  details: Details,
  principalTags: readonly string[],
): ReadonlyMap<string, ClaimValue> {
  const claims = new Map<string, ClaimValue>([
    ['account', role.account],
    ['role', role.name],
  ])
  const source = parseFunctionArn(details.lambda_source_function_arn ?? '')
  if (source !== null && source.account === role.account) {
    claims.set('lambda.region', source.region).set('lambda.name', source.name)
  }
  const tags = details.principal_tags ?? {}
  for (const name of principalTags) {
    const value = Object.hasOwn(tags, name) ? tags[name] : undefined
    if (value !== undefined) claims.set(`principalTag.${name}`, value)
  }
  return claims
}

function readFunction(role: RoleArn, details: Details): string | null {
  const source = parseFunctionArn(details.lambda_source_function_arn ?? '')
  if (source === null || source.account !== role.account) return null
  return `arn:${source.partition}:lambda:${source.region}:${source.account}:function:${source.name}`
}

/**
 * The proof in a token whose signature and times hold.
 * @param principalTags the keys of `principal_tags` that registrations may use
 * @throws ProofError
 */
export function toAwsProof(
  token: CompactToken,
  provider: OidcProvider,
  facts: TokenFacts,
  principalTags: readonly string[],
): Proof {
  if (!ALGORITHMS.has(token.algorithm)) {
    throw new ProofError('algorithm-refused', 'AWS signs with RS256 or ES384')
  }
  const details = readDetails(token)
  const role = readRole(facts.subject, details, provider)
  const sessionEnds = readSessionEnd(details)
  const aws: AwsPrincipal = {
    partition: role.partition,
    account: role.account,
    role: role.name,
    path: role.path,
    roleId: null,
    lambdaFunction: readFunction(role, details),
    organization: details.org_id ?? null,
    sessionEnds,
  }
  return {
    ...facts,
    kind: 'aws-web-identity',
    provider: 'aws',
    issuer: provider.issuer,
    claims: readClaims(role, details, principalTags),
    reuse: provider.reuse,
    // Nothing else is known to bound the SVID where the token does not name its session's end.
    endsAt: sessionEnds ?? facts.expiresAt,
    aws,
  }
}
