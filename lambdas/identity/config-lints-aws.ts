// What is allowed in a match for IAM roles and yet hardly meant: wildcards, and what they leave open.
import { lintReach } from './config-lints-reach.ts'
import type { Report } from './config-report.ts'
import type { IdentityDocument, RegistrationDocument } from './config-schema.ts'
import { parseFunctionPattern, parseRolePattern } from './proofs/aws/arn.ts'

type AwsMatchDocument = NonNullable<RegistrationDocument['match']['aws']>
type Keys = readonly (string | number)[]

const EVERYTHING = /^\*+$/

function lintRole(match: AwsMatchDocument, spiffeId: string, keys: Keys, report: Report): void {
  const role = parseRolePattern(match.role)
  if (role === null || !match.role.includes('*')) return
  const at = [...keys, 'match', 'aws', 'role']
  // A function with a * in its name is whatever somebody calls so: it narrows nothing.
  const narrowed =
    match.lambdaFunction?.includes('*') === false ||
    match.roleId !== undefined ||
    Object.keys(match.principalTags).length > 0
  const every = EVERYTHING.test(role.name)
  if (every && !narrowed) {
    const whose = role.path === '/' ? 'of the account' : `under ${role.path}`
    report(at, `matches every role ${whose}`, 'name roles, or tags')
  } else report(at, 'whoever may create roles in the account chooses who matches the *', 'name each role')
  if (!every && !/\{(?:role|lambda\.name|principalTag\.)/.test(spiffeId)) {
    report([...keys, 'spiffeId'], 'several roles get one and the same ID', 'put {role} into it')
  }
}

function lintFunction(match: AwsMatchDocument, spiffeId: string, keys: Keys, report: Report): void {
  const named = /\{lambda\.(?:name|region)\}/.exec(spiffeId)?.[0]
  if (match.lambdaFunction === undefined) {
    if (named === undefined) return
    const message = `a caller that is no Lambda function gets no ID, for want of ${named}`
    report([...keys, 'spiffeId'], message, 'name the function by lambdaFunction, or leave it out')
    return
  }
  const found = parseFunctionPattern(match.lambdaFunction)
  if (found?.name.includes('*') !== true) return
  const at = [...keys, 'match', 'aws', 'lambdaFunction']
  if (EVERYTHING.test(found.name)) {
    report(at, `matches every function of the account in ${found.region}`, 'name the function')
  } else {
    const message = 'whoever may create functions in the account chooses who matches the *'
    report(at, message, 'name each function')
  }
  if (!spiffeId.includes('{lambda.name}')) {
    const message = 'several functions get one and the same ID'
    report([...keys, 'spiffeId'], message, 'put {lambda.name} into it')
  }
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
  lintRole(match, registration.spiffeId, keys, report)
  lintFunction(match, registration.spiffeId, keys, report)
  lintReach(registration, document, keys, report)
}
