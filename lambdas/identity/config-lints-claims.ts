// What is allowed of claims and yet hardly meant: rules that no token can meet, rules that every token meets, and claims
// whose values no SPIFFE ID can hold.
import type { Report } from './config-report.ts'
import type { ProviderDocument, RegistrationDocument } from './config-schema.ts'
import { platformOf } from './proofs/known-issuers.ts'

type Keys = readonly (string | number)[]

/** Claims that always hold `/` or `:`, with what to use instead. */
const UNFIT = {
  GitHub: {
    sub: 'repository_id',
    repository: 'repository_id',
    ref: 'environment, and match the ref',
    workflow_ref: 'repository_id',
    job_workflow_ref: 'repository_id',
  },
  GitLab: { sub: 'project_id', project_path: 'project_id', ci_config_ref_uri: 'project_id' },
  EKS: { sub: 'kubernetes.io:namespace and kubernetes.io:serviceaccount:name' },
  SPIFFE: { sub: 'path.1of2 and so on' },
} as const satisfies Record<string, Readonly<Record<string, string>>>

/** The same in every token of one Entra tenant. */
const OF_THE_TENANT: ReadonlySet<string> = new Set(['iss', 'aud', 'tid', 'ver', 'idp'])

function unfitOf(provider: ProviderDocument, claims: readonly string[]): Readonly<Record<string, string>> {
  if (provider.trustDomain !== undefined) return UNFIT.SPIFFE
  const { issuer = '' } = provider
  if (/^https:\/\/oidc\.eks\.[a-z0-9-]+\.amazonaws\.com(?:\.cn)?\//.test(issuer)) return UNFIT.EKS
  const platform = platformOf(issuer, claims)
  return platform === 'GitHub' || platform === 'GitLab' ? UNFIT[platform] : {}
}

/** Reports what a registration for tokens hardly means. */
export function lintClaims(
  registration: RegistrationDocument,
  provider: ProviderDocument | undefined,
  keys: Keys,
  report: Report,
): void {
  if (provider === undefined) return
  const { claims = {} } = registration.match
  const at = [...keys, 'match', 'claims']
  const names = Object.keys(claims)
  const { issuer } = provider
  if (issuer !== undefined && Object.hasOwn(claims, 'iss') && claims.iss !== issuer) {
    report([...at, 'iss'], `can never match: every token of ${provider.name} says ${issuer}`, 'remove it')
  }
  const used = [...registration.spiffeId.matchAll(/\{([^}]*)\}/g)].map(([, name = '']) => name)
  const unfit = unfitOf(provider, [...names, ...used])
  for (const name of used.filter((claim) => claim === 'iss' || Object.hasOwn(unfit, claim))) {
    const message = `{${name}} can never be put into an ID: it always holds a / or a :`
    report([...keys, 'spiffeId'], message, name === 'iss' ? 'leave it out' : `use ${unfit[name]}`)
  }
  if (platformOf(issuer ?? '', names) === 'Entra' && names.every((name) => OF_THE_TENANT.has(name))) {
    report(at, 'matches everybody of the tenant', 'match oid, azp or roles')
  }
}
