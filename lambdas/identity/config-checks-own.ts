// An authority that takes its own SVIDs as proof makes every identity permanent: each SVID would be the proof for the
// next. Two ways lead there, by a provider that is the authority itself and by JWT-SVIDs that are made for it.
import type { Report } from './config-report.ts'
import type { IdentityDocument } from './config-schema.ts'

const withoutSlash = (url: string): string => url.replace(/\/$/, '')

/** Reports what would let the authority's own SVIDs in. */
export function checkOwnSvids(document: IdentityDocument, report: Report): void {
  for (const [index, { issuer }] of document.proofs.oidc.entries()) {
    // By a slash more it would be another text and the same authority.
    if (issuer === undefined || withoutSlash(issuer) !== withoutSlash(document.issuer)) continue
    const message = 'is this authority, which does not take its own SVIDs as proof'
    report(['proofs', 'oidc', index, 'issuer'], message, 'name another issuer')
  }
  const own = [document.audience ?? document.issuer, document.issuer]
  for (const [index, { jwt }] of document.registrations.entries()) {
    for (const [position, audience] of jwt.audiences.entries()) {
      if (!own.some((name) => audience === name || audience.startsWith(`${name}#`))) continue
      report(
        ['registrations', index, 'jwt', 'audiences', position],
        "is this authority's own audience: a JWT-SVID for it could be shown here as a proof",
        'name the audience of another service',
      )
    }
  }
}
