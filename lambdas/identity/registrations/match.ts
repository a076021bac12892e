// Whether a proof meets what a registration asks for. The answer is the list of what is missing, so that choosing and
// explaining can never disagree.
import { type FunctionArn, fitsGlob, parseFunctionArn, type RoleArn } from '../proofs/aws/arn.ts'
import type { AwsPrincipal, ClaimValue, Proof } from '../proofs/proof.ts'

export interface AwsMatch {
  /** `*` in path and name stands for characters of one segment. */
  readonly role: RoleArn
  /** The role may be under any path; then `role` has none. */
  readonly anyPath: boolean
  readonly roleId: string | null
  readonly principalTags: Readonly<Record<string, string>>
  readonly lambdaFunction: FunctionArn | null
  readonly organization: string | null
}

export interface OidcMatch {
  /** The provider's name. */
  readonly provider: string
  /** All must hold, byte by byte; a list holds a text that is one of its own. Never empty. */
  readonly claims: Readonly<Record<string, string | boolean>>
}

export interface Match {
  readonly oidc: OidcMatch | null
  readonly aws: AwsMatch | null
  /** The proof must have been made for the key, or the audience, that is asked for. */
  readonly keyBound: boolean
}

function holds(value: ClaimValue | undefined, wanted: string | boolean): boolean {
  if (value === undefined) return false
  return typeof value === 'object' ? typeof wanted === 'string' && value.includes(wanted) : value === wanted
}

function fitsPath(pattern: string, path: string): boolean {
  const wanted = pattern.split('/')
  const found = path.split('/')
  return wanted.length === found.length && wanted.every((part, index) => fitsGlob(part, found[index] ?? ''))
}

function fitsRole({ role: pattern, anyPath }: AwsMatch, aws: AwsPrincipal): boolean {
  if (pattern.partition !== aws.partition || pattern.account !== aws.account) return false
  if (!fitsGlob(pattern.name, aws.role)) return false
  if (anyPath && pattern.path === '/') return true
  // SigV4 shows no path. A whole name stands for one role of the account wherever it is.
  return aws.path === null ? pattern.path === '/' : fitsPath(pattern.path, aws.path)
}

/**
 * Whoever may create roles under /team/ alone could name one so that it fits a `*`, and a proof that shows no path would
 * not show the difference. So such a proof needs the word of the registration.
 */
function knowsPath({ role: pattern, anyPath }: AwsMatch, aws: AwsPrincipal): boolean {
  return anyPath || aws.path !== null || !pattern.name.includes('*')
}

function fitsFunction(pattern: FunctionArn, text: string | null): boolean {
  const found = parseFunctionArn(text ?? '')
  if (found === null || found.partition !== pattern.partition || found.region !== pattern.region) return false
  return found.account === pattern.account && fitsGlob(pattern.name, found.name)
}

function missingOfAws(match: AwsMatch, proof: Proof): readonly string[] {
  const { aws } = proof
  if (aws === null) return ['aws']
  const tags = Object.entries(match.principalTags).filter(
    ([name, text]) => proof.claims.get(`principalTag.${name}`) !== text,
  )
  const role = fitsRole(match, aws)
  const conditions: readonly (readonly [string, boolean])[] = [
    ['role', role],
    ['anyPath', !role || knowsPath(match, aws)],
    ['roleId', match.roleId === null || match.roleId === aws.roleId],
    ['organization', match.organization === null || match.organization === aws.organization],
    [
      'lambdaFunction',
      match.lambdaFunction === null || fitsFunction(match.lambdaFunction, aws.lambdaFunction),
    ],
  ]
  const unmet = conditions.filter(([, met]) => !met).map(([name]) => name)
  return [...unmet, ...tags.map(([name]) => `principalTags.${name}`)]
}

function missingOfOidc(match: OidcMatch, proof: Proof): readonly string[] {
  if (proof.aws !== null || proof.provider !== match.provider) return ['provider']
  return Object.entries(match.claims)
    .filter(([name, wanted]) => !holds(proof.claims.get(name), wanted))
    .map(([name]) => `claims.${name}`)
}

/** Whether the registration is about proofs of this kind and provider at all. */
export function isAbout(match: Match, proof: Proof): boolean {
  return match.oidc === null
    ? proof.aws !== null
    : proof.aws === null && proof.provider === match.oidc.provider
}

/** The conditions that the proof does not meet, by name and never by value; empty where it matches. */
export function missingConditions(match: Match, proof: Proof): readonly string[] {
  const missing = [
    ...(match.aws === null ? [] : missingOfAws(match.aws, proof)),
    ...(match.oidc === null ? [] : missingOfOidc(match.oidc, proof)),
    ...(match.keyBound && proof.binding === null ? ['keyBound'] : []),
  ]
  // A registration that asks for nothing matches nobody; the configuration has none such.
  return match.aws === null && match.oidc === null ? ['match'] : missing
}
