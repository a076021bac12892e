// What a schema cannot say about identity.yaml: names that must exist, URLs, templates, and the identities that only
// Sallyport's own parts may have.
import type { Fault } from '../../common/fault.ts'
import { formatKeyPath, type KeyPath } from '../../common/schema-faults.ts'
import { parseTrustDomain } from '../../spiffe/id.ts'
import type { IdentityDocument } from './config-schema.ts'
import { findAudienceFault, findUrlFault } from './config-urls.ts'
import type { IdentityEnvironment } from './environment.ts'
import { messageOf } from './log.ts'
import { RESERVED_SEGMENT } from './registrations/registration.ts'
import { parseTemplate, type SpiffeIdTemplate } from './registrations/template.ts'

export interface CheckOptions {
  readonly file: string
  readonly environment: IdentityEnvironment
  readonly lineOf: (keys: KeyPath) => number | null
}

type Report = (keys: KeyPath, message: string, remedy?: string) => void

function checkTop(document: IdentityDocument, dev: boolean, report: Report): void {
  try {
    parseTrustDomain(document.trustDomain)
  } catch (error) {
    report(['trustDomain'], messageOf(error))
  }
  const issuer = findUrlFault(document.issuer, { dev })
  if (issuer !== null) report(['issuer'], issuer)
  const audience = document.audience === undefined ? null : findAudienceFault(document.audience)
  if (audience !== null) report(['audience'], audience)
}

/** Reports each value that stands more than once. */
function checkUnique(values: readonly string[], keyOf: (index: number) => KeyPath, report: Report): void {
  for (const [index, value] of values.entries()) {
    if (values.indexOf(value) < index) report(keyOf(index), `${value} stands here twice`)
  }
}

function checkProviders(document: IdentityDocument, dev: boolean, report: Report): void {
  const providers = document.proofs.oidc
  for (const [index, provider] of providers.entries()) {
    const issuer = findUrlFault(provider.issuer, { dev })
    if (issuer !== null) report(['proofs', 'oidc', index, 'issuer'], issuer)
    if (provider.jwksUri === undefined) continue
    const keys = findUrlFault(provider.jwksUri, { dev, query: true })
    if (keys !== null) report(['proofs', 'oidc', index, 'jwksUri'], keys)
  }
  checkUnique(
    providers.map(({ name }) => name),
    (index) => ['proofs', 'oidc', index, 'name'],
    report,
  )
  // Two providers of one issuer would make `reuse` and `maxTokenAge` a matter of order.
  checkUnique(
    providers.map(({ issuer }) => issuer),
    (index) => ['proofs', 'oidc', index, 'issuer'],
    report,
  )
}

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

function checkTemplate(document: IdentityDocument, index: number, report: Report): void {
  const registration = document.registrations[index]
  if (registration === undefined) return
  const keys = ['registrations', index] as const
  try {
    const template = parseTemplate(registration.spiffeId)
    if (!registration.spiffeId.startsWith(`spiffe://${document.trustDomain}/`)) {
      report([...keys, 'spiffeId'], `is not in the trust domain ${document.trustDomain}`)
    }
    checkReserved(template, registration.reserved, keys, report)
  } catch (error) {
    report([...keys, 'spiffeId'], messageOf(error))
  }
}

function checkMatch(document: IdentityDocument, index: number, report: Report): void {
  const match = document.registrations[index]?.match
  if (match === undefined) return
  const keys = ['registrations', index, 'match'] as const
  const known = document.proofs.oidc.map(({ name }) => name)
  if (match.oidc === undefined) {
    report([...keys], 'oidc is missing', 'name the provider under proofs.oidc whose tokens match')
  } else if (!known.includes(match.oidc)) {
    report([...keys, 'oidc'], `there is no provider ${match.oidc}`, `known: ${known.join(', ')}`)
  }
  if (Object.keys(match.claims ?? {}).length === 0) {
    report(
      [...keys],
      'claims is missing or empty: every token of the issuer would match',
      'name at least one claim',
    )
  }
}

/** All faults of a document that has the right form. */
export function checkDocument(document: IdentityDocument, options: CheckOptions): readonly Fault[] {
  const faults: Fault[] = []
  const report: Report = (keys, message, remedy) => {
    const line = options.lineOf(keys)
    faults.push({ file: options.file, line, key: formatKeyPath(keys), message, remedy: remedy ?? null })
  }
  checkTop(document, options.environment.dev, report)
  checkProviders(document, options.environment.dev, report)
  for (const index of document.registrations.keys()) {
    checkTemplate(document, index, report)
    checkMatch(document, index, report)
  }
  checkUnique(
    document.registrations.map(({ name }) => name),
    (index) => ['registrations', index, 'name'],
    report,
  )
  return faults
}
