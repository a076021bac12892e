// Claims whose value may mean another party tomorrow, with the lasting id to match instead. For the linter alone.
import type { Platform } from './known-issuers.ts'

export interface MutableClaim {
  /** For people: what to match instead, or beside it. */
  readonly better: string
  /**
   * Beside one of these the claim is harmless, since they stay. They are ids of the same thing: that of an actor says
   * nothing of a repository.
   */
  readonly ids: readonly string[]
}

type MutableClaims = Readonly<Record<string, MutableClaim>>

/** The claim, and the ids of what it belongs to. */
function beside(better: string, ids: readonly string[]): MutableClaim {
  return { better, ids }
}

const GITHUB = ['repository_id', 'repository_owner_id', 'enterprise_id']
const GITLAB = ['project_id', 'namespace_id']
/** Of a pull request, which a stranger may open: no id makes it the owner's word. */
const BRANCH = beside('ref and ref_protected', [])

const OF_PLATFORM: Readonly<Record<Platform, MutableClaims>> = {
  GitHub: {
    repository: beside('repository_id', GITHUB),
    repository_owner: beside('repository_owner_id', GITHUB),
    enterprise: beside('enterprise_id', GITHUB),
    workflow: beside('job_workflow_ref with repository_id', GITHUB),
    workflow_ref: beside('job_workflow_ref with repository_id', GITHUB),
    job_workflow_ref: beside('repository_id beside it', GITHUB),
    sub: beside('repository_id beside it', GITHUB),
    actor: beside('actor_id', ['actor_id']),
    head_ref: BRANCH,
    base_ref: BRANCH,
  },
  GitLab: {
    project_path: beside('project_id', GITLAB),
    namespace_path: beside('namespace_id', GITLAB),
    ci_config_ref_uri: beside('project_id beside it', GITLAB),
    sub: beside('project_id beside it', GITLAB),
    user_login: beside('user_id', ['user_id']),
    user_email: beside('user_id', ['user_id']),
  },
  Google: { hd: beside('sub', ['sub']) },
  Okta: {},
  Entra: {
    upn: beside('oid', ['oid', 'sub']),
    unique_name: beside('oid', ['oid', 'sub']),
    app_displayname: beside('azp', ['azp', 'appid', 'oid']),
  },
}

/** Names that people have and change, at every issuer. */
const NAMES = new Set(['email', 'name', 'preferred_username', 'login'])
/** What lasts of a person or client; Okta's `sub` is an expression that an administrator may change. */
const LASTING: Readonly<Record<Platform, readonly string[]>> = {
  GitHub: ['sub'],
  GitLab: ['sub'],
  Google: ['sub'],
  Okta: ['uid', 'cid'],
  Entra: ['oid', 'sub'],
}

/** What is known of a claim that may change its meaning; null where it may be used. */
export function mutableClaim(platform: Platform | null, claim: string): MutableClaim | null {
  const own = platform === null ? {} : OF_PLATFORM[platform]
  if (Object.hasOwn(own, claim)) return own[claim] ?? null
  if (!NAMES.has(claim)) return null
  const ids = platform === null ? ['sub'] : LASTING[platform]
  return { better: ids[0] ?? 'sub', ids }
}
