// Registrations for IAM roles that wait for ever: what they ask for is shown by one of the two AWS proofs alone, and that
// one is not accepted for their account, or each condition needs another one.
import type { Report } from './config-report.ts'
import type { IdentityDocument, RegistrationDocument } from './config-schema.ts'
import { parseRolePattern, type RoleArn } from './proofs/aws/arn.ts'
import { partitionOf } from '../../common/aws-regions.ts'

type AwsDocument = NonNullable<IdentityDocument['proofs']['aws']>
type AwsMatchDocument = NonNullable<RegistrationDocument['match']['aws']>
type Keys = readonly (string | number)[]

interface Impossible {
  readonly why: string
  readonly remedy?: string
}

/** What is shown by web identity tokens alone, of which a registration asks for these. */
function tokenNeeds(match: AwsMatchDocument, role: RoleArn, spiffeId: string): readonly string[] {
  const claims = [...spiffeId.matchAll(/\{(?:lambda|principalTag)\.[^}]*\}/g)].map(([text]) => text)
  return [
    ...(role.path === '/' ? [] : ['the path']),
    ...(['lambdaFunction', 'organization'] as const).filter((key) => match[key] !== undefined),
    ...(Object.keys(match.principalTags).length === 0 ? [] : ['principalTags']),
    ...claims,
  ]
}

/** Why no token can come; null where one can. */
function noToken(aws: AwsDocument, account: string): string | null {
  if (!aws.webIdentity) return 'proofs.aws does not accept it'
  return aws.accounts[account]?.issuer === undefined ? `the account ${account} has no issuer` : null
}

/** Why no signature can come; null where one can. */
function noSignature(aws: AwsDocument, partition: string): string | null {
  if (aws.sigv4 === undefined) return 'proofs.aws does not accept SigV4'
  if (aws.sigv4.regions.some((region) => partitionOf(region) === partition)) return null
  return `no region of sigv4.regions is in the partition ${partition}`
}

function findImpossible(match: AwsMatchDocument, aws: AwsDocument, role: RoleArn, spiffeId: string) {
  const needs = tokenNeeds(match, role, spiffeId)
  const because = needs.join(', ')
  const token = noToken(aws, role.account)
  const signature = noSignature(aws, role.partition)
  if (match.roleId !== undefined && needs.length > 0) {
    return {
      why: `roleId is shown by SigV4 alone, and ${because} by web identity alone`,
      remedy: 'remove one of them',
    }
  }
  if (match.roleId !== undefined)
    return signature === null ? null : { why: `roleId needs SigV4, and ${signature}` }
  if (needs.length > 0) {
    return token === null
      ? null
      : { why: `it needs web identity, and ${token}`, remedy: `because of ${because}` }
  }
  if (token === null) return null
  if (role.name.includes('*') && !match.anyPath) {
    return {
      why: `with a * in its name it needs web identity, and ${token}`,
      remedy: 'or say anyPath: true, where roles of every path are meant',
    }
  }
  return signature === null ? null : { why: `it needs one of the two proofs: ${token}, and ${signature}` }
}

/** Reports where neither AWS proof can meet a registration. */
export function lintReach(
  registration: RegistrationDocument,
  document: IdentityDocument,
  keys: Keys,
  report: Report,
): void {
  const { aws: match } = registration.match
  const { aws } = document.proofs
  const role = parseRolePattern(match?.role ?? '')
  if (match === undefined || aws === undefined || role === null) return
  const found: Impossible | null = findImpossible(match, aws, role, registration.spiffeId)
  if (found === null) return
  report([...keys, 'match', 'aws', 'role'], `can never match: ${found.why}`, found.remedy)
}
