// What is allowed in a match for IAM roles and yet hardly meant: wildcards, and rules that nobody can meet.
import type { Report } from './config-report.ts'
import type { IdentityDocument, RegistrationDocument } from './config-schema.ts'
import { parseRolePattern } from './proofs/aws/arn.ts'

type AwsMatchDocument = NonNullable<RegistrationDocument['match']['aws']>
type Keys = readonly (string | number)[]

function lintWildcard(match: AwsMatchDocument, spiffeId: string, keys: Keys, report: Report): void {
  if (!match.role.includes('*')) return
  const at = [...keys, 'match', 'aws', 'role']
  const narrowed =
    match.lambdaFunction !== undefined ||
    match.roleId !== undefined ||
    Object.keys(match.principalTags).length > 0
  const name = match.role.slice(match.role.lastIndexOf('/') + 1)
  if (name === '*' && !narrowed) report(at, 'matches every role of the account', 'name roles, or tags')
  else report(at, 'whoever may create roles in the account chooses who matches the *', 'name each role')
  if (name !== '*' && !/\{(?:role|lambda\.name|principalTag\.)/.test(spiffeId)) {
    report([...keys, 'spiffeId'], 'several roles get one and the same ID', 'put {role} into it')
  }
}

/** Why web identity tokens alone could meet the match; null where SigV4 could too. */
function needOfToken(match: AwsMatchDocument): { readonly need: string; readonly remedy?: string } | null {
  const role = parseRolePattern(match.role)
  if (role === null) return null
  if (role.path !== '/' || match.lambdaFunction !== undefined || match.organization !== undefined) {
    return { need: 'it needs web identity' }
  }
  if (match.anyPath || !role.name.includes('*')) return null
  return {
    need: 'with a * in its name it needs web identity',
    remedy: 'or say anyPath: true, where roles of every path are meant',
  }
}

function lintReach(match: AwsMatchDocument, document: IdentityDocument, keys: Keys, report: Report): void {
  const { aws } = document.proofs
  const found = needOfToken(match)
  const account = parseRolePattern(match.role)?.account ?? ''
  if (found === null || aws === undefined || !Object.hasOwn(aws.accounts, account)) return
  if (aws.webIdentity && aws.accounts[account]?.issuer !== undefined) return
  const why = aws.webIdentity ? `the account ${account} has no issuer` : 'proofs.aws does not accept it'
  report([...keys, 'match', 'aws', 'role'], `can never match: ${found.need}, and ${why}`, found.remedy)
}

/** Reports what a registration for IAM roles hardly means. */
export function lintAws(
  registration: RegistrationDocument,
  document: IdentityDocument,
  keys: Keys,
  report: Report,
): void {
  const match = registration.match.aws
  if (match === undefined) return
  lintWildcard(match, registration.spiffeId, keys, report)
  lintReach(match, document, keys, report)
}
