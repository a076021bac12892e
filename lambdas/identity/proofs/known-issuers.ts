// What is known of the issuers that most installations trust: whether strangers have tokens of the same issuer, and which
// claims then name an owner. For configuration and its linter, for `explain`, and for the address of Google's keys;
// verification itself treats all issuers alike.

export type Platform = 'GitHub' | 'GitLab' | 'Google' | 'Okta' | 'Entra'

export interface KnownIssuer {
  readonly name: string
  readonly platform: Platform
  /** Anybody can get a token of it for any audience: a rule must name an owner. */
  readonly shared: boolean
  /**
   * Claims that, alone or with others, say whose token it is. `job_workflow_ref` is none: everybody may call a public
   * reusable workflow.
   */
  readonly owners: readonly string[]
  /** A claim that must be bound too, because `sub` alone does not tell clients apart. */
  readonly required?: string
  /** Where its keys are, when not on its own origin. */
  readonly jwksUri?: string
}

interface Entry extends KnownIssuer {
  readonly issuer: RegExp
}

/** An installation of its own, whose tokens all belong to one company. */
const OWN = { shared: false, owners: [] } as const

const ISSUERS: readonly Entry[] = [
  {
    name: 'GitHub Actions',
    platform: 'GitHub',
    issuer: /^https:\/\/token\.actions\.githubusercontent\.com(?:\/|$)/,
    shared: true,
    // `sub` holds names in the old format and names with ids in the new one (default for repositories made, renamed or
    // moved since 2026-07-15); both begin with the owner.
    owners: [
      'sub',
      'repository',
      'repository_id',
      'repository_owner',
      'repository_owner_id',
      'enterprise',
      'enterprise_id',
    ],
  },
  {
    name: 'GitHub Enterprise Cloud with data residency',
    platform: 'GitHub',
    issuer: /^https:\/\/[a-z0-9.-]+\.ghe\.com(?:\/|$)/,
    ...OWN,
  },
  {
    name: 'GitHub Enterprise Server',
    platform: 'GitHub',
    issuer: /^https:\/\/[^/]+\/_services\/token(?:\/|$)/,
    ...OWN,
  },
  {
    name: 'GitLab.com',
    platform: 'GitLab',
    issuer: /^https:\/\/gitlab\.com$/,
    shared: true,
    owners: ['sub', 'project_id', 'project_path', 'namespace_id', 'namespace_path', 'ci_config_ref_uri'],
  },
  {
    name: 'Google',
    platform: 'Google',
    issuer: /^https:\/\/accounts\.google\.com$/,
    shared: true,
    owners: [
      'sub',
      'email',
      'azp',
      'hd',
      'google:compute_engine:project_id',
      'google:compute_engine:instance_id',
    ],
    jwksUri: 'https://www.googleapis.com/oauth2/v3/certs',
  },
  {
    name: 'Okta custom authorization server',
    platform: 'Okta',
    issuer: /^https:\/\/[^/]+\/oauth2\/[^/]+$/,
    ...OWN,
    // With client credentials `sub` is an expression that an Okta administrator may change; `cid` is the client.
    required: 'cid',
  },
  {
    name: 'Entra ID',
    platform: 'Entra',
    issuer: /^https:\/\/(?:login\.microsoftonline\.com\/[^/]+\/v2\.0|sts\.windows\.net\/[^/]+\/)$/,
    ...OWN,
  },
]

/** What is known of an issuer, or null. */
export function knownIssuer(issuer: string): KnownIssuer | null {
  return ISSUERS.find((entry) => entry.issuer.test(issuer)) ?? null
}

/** By its issuer, or, for a GitLab that may have any name, by claims that GitLab alone has; null where neither tells. */
export function platformOf(issuer: string, claims: readonly string[]): Platform | null {
  const known = knownIssuer(issuer)
  if (known !== null) return known.platform
  return claims.some((name) => name === 'project_path' || name === 'namespace_path') ? 'GitLab' : null
}
