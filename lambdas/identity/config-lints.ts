// What is allowed in identity.yaml and yet hardly meant: `sallyport config check` says it as warnings, and so does the
// authority when it starts.
import type { Fault } from '../../common/fault.ts'
import type { IdentityConfig } from './config.ts'
import { lintAws } from './config-lints-aws.ts'
import { type CheckOptions, createReport, type Report } from './config-report.ts'
import type { IdentityDocument, RegistrationDocument } from './config-schema.ts'
import { knownIssuer, lastingClaim } from './proofs/known-issuers.ts'
import { canOverlap } from './registrations/overlap.ts'

type Keys = readonly (string | number)[]

function issuerOf(registration: RegistrationDocument, document: IdentityDocument): string {
  const { oidc } = registration.match
  return document.proofs.oidc.find(({ name }) => name === oidc)?.issuer ?? ''
}

/** A lasting claim beside it makes a name harmless: then both must hold. */
function lintMutable(registration: RegistrationDocument, issuer: string, keys: Keys, report: Report): void {
  const matched = Object.keys(registration.match.claims ?? {})
  const lasting = matched.some((name) => name.endsWith('_id') || name === 'oid' || name === 'cid')
  for (const name of matched) {
    const better = lasting ? null : lastingClaim(issuer, name)
    if (better === null) continue
    report([...keys, 'match', 'claims', name], `${name} may mean somebody else tomorrow`, `match ${better}`)
  }
  for (const [, name = ''] of registration.spiffeId.matchAll(/\{([^}]*)\}/g)) {
    const better = lastingClaim(issuer, name)
    if (better === null || matched.includes(name)) continue
    report([...keys, 'spiffeId'], `{${name}} may mean somebody else tomorrow`, `use ${better}`)
  }
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
  if (knownIssuer(issuer)?.shared !== true) return
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
    const issuer = issuerOf(registration, document)
    lintMutable(registration, issuer, keys, report)
    lintIssuer(registration, issuer, keys, report)
    lintAws(registration, document, keys, report)
  }
  lintOverlaps(config, report)
  return faults
}
