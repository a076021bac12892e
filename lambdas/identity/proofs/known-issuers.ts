// What is known of the issuers that most installations trust: which claims name a caller for good, which ones change or
// are chosen by the caller, and whether strangers have tokens of the same issuer. For the linter, and for the address of
// Google's keys; verification itself treats all issuers alike.

export interface KnownIssuer {
  readonly name: string
  /** Anybody can get a token of it for any audience: a rule must name an owner. */
  readonly shared: boolean
  /** Claims that, alone or with others, say whose token it is. */
  readonly owners: readonly string[]
  /** Claims whose value may mean another party tomorrow, with the lasting claim to use instead. */
  readonly mutable: Readonly<Record<string, string>>
  /** A claim that must be bound too, because `sub` alone does not tell clients apart. */
  readonly required?: string
  /** Where its keys are, when not on its own origin. */
  readonly jwksUri?: string
}

interface Entry extends KnownIssuer {
  readonly issuer: RegExp
}

/** Names of people and things that their owners change; true of every issuer. */
const COMMON = {
  email: 'sub',
  name: 'sub',
  preferred_username: 'sub',
  login: 'sub',
}

const ISSUERS: readonly Entry[] = [
  {
    name: 'GitHub Actions',
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
      'job_workflow_ref',
    ],
    mutable: {
      repository: 'repository_id',
      repository_owner: 'repository_owner_id',
      enterprise: 'enterprise_id',
      actor: 'actor_id',
      head_ref: 'ref and ref_protected',
      base_ref: 'ref and ref_protected',
      workflow: 'job_workflow_ref with repository_id',
      workflow_ref: 'job_workflow_ref with repository_id',
      job_workflow_ref: 'repository_id beside it',
      sub: 'repository_id beside it',
    },
  },
  {
    name: 'GitLab.com',
    issuer: /^https:\/\/gitlab\.com$/,
    shared: true,
    owners: ['sub', 'project_id', 'project_path', 'namespace_id', 'namespace_path', 'ci_config_ref_uri'],
    mutable: {
      project_path: 'project_id',
      namespace_path: 'namespace_id',
      ci_config_ref_uri: 'project_id beside it',
      user_login: 'user_id',
      user_email: 'user_id',
      sub: 'project_id beside it',
    },
  },
  {
    name: 'Google',
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
    mutable: { email: 'sub', hd: 'sub' },
    jwksUri: 'https://www.googleapis.com/oauth2/v3/certs',
  },
  {
    name: 'Okta custom authorization server',
    issuer: /^https:\/\/[^/]+\/oauth2\/[^/]+$/,
    shared: false,
    owners: [],
    mutable: {},
    // With client credentials `sub` is an expression that an Okta administrator may change; `cid` is the client.
    required: 'cid',
  },
  {
    name: 'Entra ID',
    issuer: /^https:\/\/(?:login\.microsoftonline\.com\/[^/]+\/v2\.0|sts\.windows\.net\/[^/]+\/)$/,
    shared: false,
    owners: [],
    mutable: { upn: 'oid', unique_name: 'oid', app_displayname: 'azp' },
  },
]

/** What is known of an issuer, or null. */
export function knownIssuer(issuer: string): KnownIssuer | null {
  return ISSUERS.find((entry) => entry.issuer.test(issuer)) ?? null
}

/** The claim to use instead of one that may change its meaning, or null where it may be used. */
export function lastingClaim(issuer: string, claim: string): string | null {
  const known = knownIssuer(issuer)?.mutable ?? {}
  if (Object.hasOwn(known, claim)) return known[claim] ?? null
  return Object.hasOwn(COMMON, claim) ? COMMON[claim as keyof typeof COMMON] : null
}
