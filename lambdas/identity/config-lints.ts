// What is allowed in identity.yaml and yet hardly meant: `sallyport config check` says it as warnings, and so does the
// authority when it starts.
import type { Fault } from '../../common/fault.ts'
import type { IdentityConfig } from './config.ts'
import { lintAws } from './config-lints-aws.ts'
import { lintClaims } from './config-lints-claims.ts'
import { lintIds } from './config-lints-ids.ts'
import { type CheckOptions, createReport, type Report } from './config-report.ts'
import type { IdentityDocument, RegistrationDocument } from './config-schema.ts'
import { knownIssuer, platformOf } from './proofs/known-issuers.ts'
import { mutableClaim } from './proofs/mutable-claims.ts'
import { canOverlap } from './registrations/overlap.ts'

type Keys = readonly (string | number)[]

function providerOf({ match }: RegistrationDocument, document: IdentityDocument) {
  return document.proofs.oidc.find(({ name }) => name === match.oidc)
}

function placeholders({ spiffeId }: RegistrationDocument): readonly string[] {
  return [...spiffeId.matchAll(/\{([^}]*)\}/g)].map(([, name = '']) => name)
}

/** A lasting id of the same thing beside it makes a name harmless: then both must hold. */
function lintMutable(registration: RegistrationDocument, issuer: string, keys: Keys, report: Report): void {
  const matched = Object.keys(registration.match.claims ?? {})
  const used = placeholders(registration)
  const platform = platformOf(issuer, [...matched, ...used])
  for (const name of matched) {
    const found = mutableClaim(platform, name)
    if (found === null || found.ids.some((id) => matched.includes(id))) continue
    const message = `${name} may mean somebody else tomorrow`
    report([...keys, 'match', 'claims', name], message, `match ${found.better}`)
  }
  for (const name of used) {
    const found = mutableClaim(platform, name)
    if (found === null || matched.includes(name)) continue
    report([...keys, 'spiffeId'], `{${name}} may mean somebody else tomorrow`, `use ${found.better}`)
  }
}

function lintBearer({ bearer, jwt }: RegistrationDocument, keys: Keys, report: Report): void {
  if (!bearer) return
  const minutes = Math.round(jwt.ttl / 60_000)
  report(
    [...keys, 'bearer'],
    `whoever reads one of its tokens is this workload, for up to ${minutes} minutes`,
    'keep them short where the caller can fetch new ones; they can be revoked by their id',
  )
}

function lintIssuer(registration: RegistrationDocument, issuer: string, keys: Keys, report: Report): void {
  const { claims = {} } = registration.match
  const required = knownIssuer(issuer)?.required
  if (required !== undefined && !Object.hasOwn(claims, required)) {
    report(
      [...keys, 'match', 'claims'],
      `without ${required} other clients of the issuer may match`,
      `add ${required}`,
    )
  }
  for (const name of ['iss', 'aud', 'exp', 'iat', 'nbf']) {
    if (Object.hasOwn(claims, name)) {
      report(
        [...keys, 'match', 'claims', name],
        'is checked for every token and tells no caller from another',
      )
    }
  }
  for (const [name, value] of Object.entries(claims)) {
    if (typeof value === 'string' && value.includes('*')) {
      report([...keys, 'match', 'claims', name], '* is no wildcard here: the claim must hold this very text')
    }
  }
  // Both write booleans as text; the rule would wait for ever.
  const platform = platformOf(issuer, Object.keys(claims))
  if (platform !== 'GitHub' && platform !== 'GitLab') return
  for (const [name, value] of Object.entries(claims)) {
    if (typeof value === 'boolean' && name.endsWith('_protected')) {
      report(
        [...keys, 'match', 'claims', name],
        'can never match: this issuer writes it as text',
        `say "${value}"`,
      )
    }
  }
}

function lintOverlaps(config: Pick<IdentityConfig, 'registrations'>, report: Report): void {
  for (const [index, one] of config.registrations.entries()) {
    for (const other of config.registrations.slice(0, index)) {
      if (!canOverlap(one.match, other.match)) continue
      report(
        ['registrations', index, 'match'],
        `a caller may match ${other.name} too, and must then name one of the two`,
      )
    }
  }
}

/** The warnings of a document that has no fault. */
export function lintDocument(
  document: IdentityDocument,
  config: Pick<IdentityConfig, 'registrations'>,
  options: CheckOptions,
): readonly Fault[] {
  const { faults, report } = createReport(options)
  for (const [index, registration] of document.registrations.entries()) {
    const keys = ['registrations', index] as const
    const provider = providerOf(registration, document)
    const issuer = provider?.issuer ?? ''
    lintMutable(registration, issuer, keys, report)
    lintIssuer(registration, issuer, keys, report)
    lintClaims(registration, provider, keys, report)
    lintAws(registration, document, keys, report)
    lintBearer(registration, keys, report)
  }
  lintOverlaps(config, report)
  lintIds(config.registrations, report)
  return faults
}
