// The checks of identity.yaml that are about proofs: issuers, accounts, regions.
import { parseTrustDomain } from '../../spiffe/id.ts'
import { checkUnique, type Report } from './config-report.ts'
import type { IdentityDocument, ProviderDocument } from './config-schema.ts'
import { findAudienceFault, findUrlFault } from './config-urls.ts'
import { messageOf } from './log.ts'
import { KNOWN_REGIONS, partitionOf } from '../../common/aws-regions.ts'

/** IAM User Guide, "Outbound identity federation": one issuer for each account. */
const AWS_ISSUER = /^https:\/\/[0-9a-f-]{36}\.tokens\.sts\.global\.api\.aws$/
const GUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

type At = (key: string) => readonly (string | number)[]

function checkSpiffe(
  provider: ProviderDocument,
  document: IdentityDocument,
  at: At,
  dev: boolean,
  report: Report,
) {
  try {
    parseTrustDomain(provider.trustDomain ?? '')
  } catch (error) {
    report(at('trustDomain'), messageOf(error))
  }
  if (provider.trustDomain === document.trustDomain) {
    report(
      at('trustDomain'),
      'an authority does not take its own SVIDs as proof',
      'name another trust domain',
    )
  }
  for (const key of ['issuer', 'jwksUri', 'jwks'] as const) {
    if (provider[key] !== undefined)
      report(at(key), 'goes with an OIDC issuer, not with trustDomain', 'remove it')
  }
  const { bundle } = provider
  if (bundle === undefined)
    report(at('bundle'), 'missing; expected the https URL of its bundle, or file:path')
  else if (!bundle.startsWith('file:')) {
    const fault = findUrlFault(bundle, { dev, query: true })
    if (fault !== null) report(at('bundle'), fault)
  }
}

/** Issuers of which no token could ever be told from a stranger's. */
function findIssuerFault(issuer: string): string | null {
  if (/^https:\/\/login\.microsoftonline\.com\/(?:common|organizations|consumers)\//.test(issuer)) {
    return 'tokens of every tenant come from there: name your own tenant id'
  }
  if (/^https:\/\/[^/]+\.okta(?:preview|-emea)?\.com$/.test(issuer)) {
    return 'the access tokens of an Okta org server are for Okta alone: use a custom authorization server'
  }
  return null
}

function checkOidc(provider: ProviderDocument, at: At, dev: boolean, report: Report): void {
  if (provider.bundle !== undefined) report(at('bundle'), 'goes with trustDomain', 'remove it')
  if (provider.issuer === undefined) {
    report(at('issuer'), 'missing; expected the URL that its tokens name as iss', 'add it, or trustDomain')
    return
  }
  const issuer = findUrlFault(provider.issuer, { dev }) ?? findIssuerFault(provider.issuer)
  if (issuer !== null) report(at('issuer'), issuer)
  if (provider.jwksUri === undefined) return
  if (provider.jwks !== undefined) report(at('jwks'), 'expected either jwks or jwksUri')
  const keys = findUrlFault(provider.jwksUri, { dev, query: true })
  if (keys !== null) report(at('jwksUri'), keys)
}

function checkAudience(provider: ProviderDocument, at: At, report: Report): void {
  const { audience } = provider
  // Entra puts the client id of the API into `aud`, and its ids are nobody else's.
  if (audience === undefined || GUID.test(audience)) return
  const fault = findAudienceFault(audience)
  if (fault !== null) report(at('audience'), fault)
}

function checkAws(document: IdentityDocument, dev: boolean, report: Report): void {
  const { aws } = document.proofs
  if (aws === undefined) return
  const keys = ['proofs', 'aws'] as const
  if (!aws.webIdentity && aws.sigv4 === undefined) {
    report([...keys], 'accepts no proof: neither webIdentity nor sigv4', 'say webIdentity: true, or sigv4')
  }
  if (Object.keys(aws.accounts).length === 0)
    report([...keys, 'accounts'], 'no account is listed', 'list one')
  for (const [index, region] of (aws.sigv4?.regions ?? []).entries()) {
    if (partitionOf(region) === null) {
      const known = KNOWN_REGIONS.filter((name) => name.slice(0, 2) === region.slice(0, 2))
      const remedy =
        known.length === 0 ? 'name an AWS region such as eu-west-1' : `known: ${known.join(', ')}`
      report([...keys, 'sigv4', 'regions', index], `there is no region ${region}`, remedy)
    }
  }
  const endpoint = aws.sigv4?.stsEndpoint
  if (endpoint !== undefined && !dev) {
    report([...keys, 'sigv4', 'stsEndpoint'], 'is for development: it needs SALLYPORT_DEV=1', 'remove it')
  } else if (
    endpoint !== undefined &&
    !/^http:\/\/(?:127\.0\.0\.1|localhost|\[::1\])(?::\d+)?\/?$/.test(endpoint)
  ) {
    report([...keys, 'sigv4', 'stsEndpoint'], 'expected http on loopback, such as http://127.0.0.1:4566')
  }
  checkAccounts(aws, dev, report)
}

function checkAccounts(
  aws: NonNullable<IdentityDocument['proofs']['aws']>,
  dev: boolean,
  report: Report,
): void {
  for (const [account, { issuer }] of Object.entries(aws.accounts)) {
    const keys = ['proofs', 'aws', 'accounts', account, 'issuer'] as const
    if (issuer === undefined) {
      if (aws.webIdentity && aws.sigv4 === undefined) {
        report(
          keys,
          'missing; expected the issuer of the account, from iam:GetOutboundWebIdentityFederationInfo',
        )
      }
    } else if (!(AWS_ISSUER.test(issuer) || (dev && findUrlFault(issuer, { dev }) === null))) {
      report(keys, `expected https://<uuid>.tokens.sts.global.api.aws, found ${issuer}`)
    }
  }
}

/** Reports what is wrong under `proofs`. */
export function checkProviders(document: IdentityDocument, dev: boolean, report: Report): void {
  const { oidc, aws } = document.proofs
  if (oidc.length === 0 && aws === undefined) {
    report(['proofs'], 'no proof is accepted', 'name aws, or a provider under oidc')
  }
  for (const [index, provider] of oidc.entries()) {
    const at: At = (key) => ['proofs', 'oidc', index, key]
    if (provider.trustDomain === undefined) checkOidc(provider, at, dev, report)
    else checkSpiffe(provider, document, at, dev, report)
    checkAudience(provider, at, report)
  }
  checkUnique(
    oidc.map(({ name }) => name),
    (index) => ['proofs', 'oidc', index, 'name'],
    report,
  )
  // Two providers of one issuer would make `reuse` and `maxTokenAge` a matter of order.
  const accounts = Object.entries(aws?.accounts ?? {})
  checkUnique(
    [...oidc.map(({ issuer }) => issuer ?? ''), ...accounts.map(([, { issuer }]) => issuer ?? '')],
    (index) =>
      index < oidc.length
        ? ['proofs', 'oidc', index, 'issuer']
        : ['proofs', 'aws', 'accounts', accounts[index - oidc.length]?.[0] ?? '', 'issuer'],
    report,
  )
  checkUnique(
    oidc.map(({ trustDomain }) => trustDomain ?? ''),
    (index) => ['proofs', 'oidc', index, 'trustDomain'],
    report,
  )
  checkAws(document, dev, report)
}
