// What a schema cannot say about identity.yaml: names that must exist, URLs, and which keys go together.
import type { Fault } from '../../common/fault.ts'
import { parseTrustDomain } from '../../spiffe/id.ts'
import { checkOwnSvids } from './config-checks-own.ts'
import { checkProviders } from './config-checks-proofs.ts'
import { checkRegistrations } from './config-checks-registrations.ts'
import { type CheckOptions, createReport, type Report } from './config-report.ts'
import type { IdentityDocument } from './config-schema.ts'
import { findAudienceFault, findOwnIssuerFault } from './config-urls.ts'
import { messageOf } from './log.ts'

function checkTop(document: IdentityDocument, dev: boolean, report: Report): void {
  try {
    parseTrustDomain(document.trustDomain)
  } catch (error) {
    report(['trustDomain'], messageOf(error))
  }
  const issuer = findOwnIssuerFault(document.issuer, { dev })
  if (issuer !== null) report(['issuer'], issuer)
  const audience = document.audience === undefined ? null : findAudienceFault(document.audience)
  if (audience !== null) report(['audience'], audience)
}

/** Where two places are named, nobody could tell from the file which one is used. */
function checkStores({ authority, replay, issuances }: IdentityDocument, report: Report): void {
  if ((authority.files === undefined) === (authority.secretsManager === undefined)) {
    report(['authority'], 'expected either files or secretsManager')
  } else if (authority.secretsManager !== undefined && replay.dynamodb === undefined) {
    report(
      ['replay'],
      'memory is for one process: each instance that reads the issuing secret would take a used proof once more',
      'name dynamodb: {table: …}, or set SALLYPORT_REPLAY_TABLE',
    )
  }
  if (replay.store !== undefined && replay.dynamodb !== undefined) {
    report(['replay'], 'expected either store or dynamodb')
  }
  if (issuances.store !== undefined && issuances.dynamodb !== undefined) {
    report(['issuances'], 'expected either store or dynamodb')
  }
}

/** All faults of a document that has the right form. */
export function checkDocument(document: IdentityDocument, options: CheckOptions): readonly Fault[] {
  const { faults, report } = createReport(options)
  checkTop(document, options.environment.dev, report)
  checkStores(document, report)
  checkProviders(document, options.environment.dev, report)
  checkRegistrations(document, report)
  checkOwnSvids(document, report)
  return faults
}
