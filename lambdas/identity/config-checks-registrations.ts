// The checks of identity.yaml that are about registrations: templates, reserved IDs, and rules that nobody or everybody
// would meet.
import { nearest } from '../../common/nearest.ts'
import type { KeyPath } from '../../common/schema-faults.ts'
import { checkUnique, type Report } from './config-report.ts'
import { MAX_JWT_TTL_MS, type IdentityDocument, type RegistrationDocument } from './config-schema.ts'
import { messageOf } from './log.ts'
import { parseFunctionPattern, parseRolePattern, type RoleArn } from './proofs/aws/arn.ts'
import { knownIssuer } from './proofs/known-issuers.ts'
import { RESERVED_SEGMENT } from './registrations/registration.ts'
import { parseTemplate, type SpiffeIdTemplate } from './registrations/template.ts'

function checkReserved(template: SpiffeIdTemplate, reserved: boolean, keys: KeyPath, report: Report): void {
  const own = template.firstSegment === RESERVED_SEGMENT
  if (own && !reserved) {
    report(
      [...keys, 'spiffeId'],
      `/${RESERVED_SEGMENT}/ is for Sallyport's own parts`,
      'choose another path, or say reserved: true where this is one of them',
    )
  }
  if (!own && reserved) {
    report([...keys, 'reserved'], `true is for a spiffeId under /${RESERVED_SEGMENT}/ alone`, 'remove it')
  }
}

function checkAwsClaims(
  template: SpiffeIdTemplate,
  document: IdentityDocument,
  keys: KeyPath,
  report: Report,
) {
  const tags = (document.proofs.aws?.principalTags ?? []).map((name) => `principalTag.${name}`)
  const known = ['account', 'role', 'lambda.region', 'lambda.name', ...tags]
  for (const claim of template.claims) {
    if (!known.includes(claim)) {
      report([...keys, 'spiffeId'], `an AWS proof has no {${claim}}`, `known: ${known.join(', ')}`)
    }
  }
}

function checkTemplate(
  registration: RegistrationDocument,
  document: IdentityDocument,
  keys: KeyPath,
  report: Report,
) {
  try {
    const template = parseTemplate(registration.spiffeId)
    if (!registration.spiffeId.startsWith(`spiffe://${document.trustDomain}/`)) {
      report([...keys, 'spiffeId'], `is not in the trust domain ${document.trustDomain}`)
    }
    checkReserved(template, registration.reserved, keys, report)
    if (registration.match.aws !== undefined) checkAwsClaims(template, document, keys, report)
  } catch (error) {
    report([...keys, 'spiffeId'], messageOf(error))
  }
}

function checkOidcMatch(
  match: RegistrationDocument['match'],
  document: IdentityDocument,
  keys: KeyPath,
  report: Report,
) {
  const known = document.proofs.oidc.map(({ name }) => name)
  const provider = document.proofs.oidc.find(({ name }) => name === match.oidc)
  if (provider === undefined) {
    const near = nearest(match.oidc ?? '', known)?.word
    const remedy = near === undefined ? 'add it under proofs.oidc' : `known: ${known.join(', ')}`
    report([...keys, 'oidc'], `there is no provider ${match.oidc}`, remedy)
  }
  const names = Object.keys(match.claims ?? {})
  if (names.length === 0) {
    report(
      [...keys],
      'claims is missing or empty: every token of the issuer would match',
      'name at least one claim',
    )
    return
  }
  const issuer = knownIssuer(provider?.issuer ?? '')
  if (issuer?.shared === true && !names.some((name) => issuer.owners.includes(name))) {
    report(
      [...keys, 'claims'],
      `matches everybody: anyone in the world can get such a token of ${issuer.name}`,
      `name the owner, by one of ${issuer.owners.join(', ')}`,
    )
  }
}

function checkFunction(text: string, role: RoleArn | null, keys: KeyPath, report: Report): void {
  const found = parseFunctionPattern(text)
  if (found === null) {
    report([...keys, 'lambdaFunction'], 'expected arn:aws:lambda:<region>:<account>:function:<name>')
  } else if (role !== null && (found.account !== role.account || found.partition !== role.partition)) {
    const message = `can never match: a function runs as a role of its own account, which ${found.account} is not`
    report([...keys, 'lambdaFunction'], message, `name a function of ${role.account}`)
  }
}

function checkAwsMatch(
  match: NonNullable<RegistrationDocument['match']['aws']>,
  document: IdentityDocument,
  keys: KeyPath,
  report: Report,
) {
  const { aws } = document.proofs
  if (aws === undefined) report(keys, 'there is no proofs.aws, so nobody can match', 'add proofs.aws')
  const role = parseRolePattern(match.role)
  if (role === null) {
    report([...keys, 'role'], `expected arn:aws:iam::<account>:role/[path/]<name>, found ${match.role}`)
  } else if (aws !== undefined && !Object.hasOwn(aws.accounts, role.account)) {
    report([...keys, 'role'], `the account ${role.account} is not listed`, 'add it to proofs.aws.accounts')
  }
  if (match.anyPath && role !== null && role.path !== '/') {
    report([...keys, 'anyPath'], `contradicts the path ${role.path} of role`, 'name the role without a path')
  }
  // These three are seen in web identity tokens alone; without them the rule would wait for ever.
  const webIdentity = aws === undefined || aws.webIdentity
  const missing = 'is seen by web identity alone, which proofs.aws does not accept'
  if (role !== null && role.path !== '/' && !webIdentity) report([...keys, 'role'], `the path ${missing}`)
  for (const key of ['lambdaFunction', 'organization'] as const) {
    if (match[key] !== undefined && !webIdentity) report([...keys, key], missing)
  }
  if (match.roleId !== undefined && aws !== undefined && aws.sigv4 === undefined) {
    report([...keys, 'roleId'], 'is seen by SigV4 alone, which proofs.aws does not accept')
  }
  if (match.lambdaFunction !== undefined) checkFunction(match.lambdaFunction, role, keys, report)
  for (const tag of Object.keys(match.principalTags)) {
    if (aws?.principalTags.includes(tag) === true) continue
    report([...keys, 'principalTags', tag], 'is not one of proofs.aws.principalTags', 'list it there')
  }
}

function checkMatch(
  registration: RegistrationDocument,
  document: IdentityDocument,
  keys: KeyPath,
  report: Report,
) {
  const { match } = registration
  if ((match.oidc === undefined) === (match.aws === undefined)) {
    report(
      [...keys],
      'oidc is missing, or aws: exactly one of them',
      'name the provider whose tokens match, or an IAM role',
    )
    return
  }
  if (match.aws !== undefined) {
    if (match.claims !== undefined) report([...keys, 'claims'], 'goes with oidc', 'use principalTags')
    checkAwsMatch(match.aws, document, [...keys, 'aws'], report)
  } else checkOidcMatch(match, document, keys, report)
}

/** A token that lives for hours must be asked for by name. */
function checkBearer({ bearer, jwt }: RegistrationDocument, keys: KeyPath, report: Report): void {
  if (bearer && jwt.audiences.length === 0) {
    report([...keys, 'bearer'], 'is about JWT-SVIDs, and jwt.audiences lists none', 'add jwt, or remove it')
  }
  if (!bearer && jwt.ttl > MAX_JWT_TTL_MS) {
    report(
      [...keys, 'jwt', 'ttl'],
      'more than 1h is for tokens that stand in an HTTPS_PROXY',
      'say bearer: true, or make it shorter',
    )
  }
}

/** Reports what is wrong under `registrations`. */
export function checkRegistrations(document: IdentityDocument, report: Report): void {
  for (const [index, registration] of document.registrations.entries()) {
    const keys = ['registrations', index] as const
    checkTemplate(registration, document, keys, report)
    checkMatch(registration, document, [...keys, 'match'], report)
    checkBearer(registration, keys, report)
  }
  checkUnique(
    document.registrations.map(({ name }) => name),
    (index) => ['registrations', index, 'name'],
    report,
  )
}
