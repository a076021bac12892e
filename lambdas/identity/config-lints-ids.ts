// What is allowed of SPIFFE IDs and DNS names and yet hardly meant: two callers with one name, and names of Sallyport's
// own parts in other hands.
import type { Report } from './config-report.ts'
import type { Registration } from './registrations/registration.ts'
import { givenIds, mayShareId } from './registrations/template-meets.ts'

/** Two accounts may have a role of the same name, and two issuers a project of the same number. */
function remedyOf(one: Registration, other: Registration): string {
  const sameRoles = one.match.aws !== null && one.spiffeId.text === other.spiffeId.text
  return sameRoles
    ? 'put {account} into both'
    : 'begin each with a segment of its own, such as /github/ and /gitlab/'
}

function lintShared(registrations: readonly Registration[], report: Report): void {
  const given = registrations.map(givenIds)
  for (const [index, one] of given.entries()) {
    for (const other of given.slice(0, index)) {
      if (!mayShareId(one, other)) continue
      const message = `a caller may get an ID that ${other.registration.name} gives to another one`
      const remedy = remedyOf(one.registration, other.registration)
      report(['registrations', index, 'spiffeId'], message, remedy)
    }
  }
}

function lintOwnParts(registrations: readonly Registration[], report: Report): void {
  for (const [index, { reserved, spiffeId }] of registrations.entries()) {
    if (!reserved || spiffeId.claims.length === 0) continue
    const message = "a claim chooses among the IDs of Sallyport's own parts"
    report(['registrations', index, 'spiffeId'], message, 'write each ID out in a registration of its own')
  }
  for (const [index, one] of registrations.entries()) {
    for (const [position, name] of one.x509.dnsNames.entries()) {
      const owner = registrations.find(
        (other, place) =>
          other.reserved &&
          other.spiffeId.text !== one.spiffeId.text &&
          // Of two that are reserved the later one is told.
          (!one.reserved || place < index) &&
          other.x509.dnsNames.includes(name),
      )
      if (owner === undefined) continue
      report(
        ['registrations', index, 'x509', 'dnsNames', position],
        `is a name of ${owner.name}: whoever gets this certificate can stand in for it`,
        'give each names of its own',
      )
    }
  }
}

/** Reports what registrations hardly mean by the names that they give. */
export function lintIds(registrations: readonly Registration[], report: Report): void {
  lintShared(registrations, report)
  lintOwnParts(registrations, report)
}
