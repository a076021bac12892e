// What the linter of identity.yaml knows of issuers: names that may be somebody else's tomorrow, and rules that every
// stranger meets (attacks 32, 33, 39).
import { describe, expect, test } from 'vitest'
import { formatFault } from '../../../../common/fault.ts'
import { readIdentityConfig } from '../../../../lambdas/identity/config.ts'
import { readIdentityEnvironment } from '../../../../lambdas/identity/environment.ts'

const ISSUERS = {
  github: 'https://token.actions.githubusercontent.com',
  acme: 'https://token.actions.githubusercontent.com/acme',
  residency: 'https://token.actions.acme.ghe.com',
  ghes: 'https://github.acme.example/_services/token',
  gitlab: 'https://gitlab.com',
  selfmanaged: 'https://gitlab.acme.example',
  google: 'https://accounts.google.com',
  okta: 'https://acme.okta.com/oauth2/default',
  entra: 'https://login.microsoftonline.com/0f0e0d0c-0b0a-4900-8800-070605040302/v2.0',
  plain: 'https://issuer.example',
} as const
type Issuer = keyof typeof ISSUERS

function read(issuer: Issuer, claims: string, spiffeId = 'spiffe://example.org/x') {
  const text = `version: 1
trustDomain: example.org
issuer: https://identity.example.org
authority: {files: {directory: ca}}
proofs: {oidc: [{name: it, issuer: "${ISSUERS[issuer]}"}]}
registrations:
  - {name: one, spiffeId: "${spiffeId}", match: {oidc: it, claims: {${claims}}}}
`
  const environment = readIdentityEnvironment({})
  const result = readIdentityConfig({ file: 'identity.yaml', text, environment })
  return {
    faults: result.ok ? '' : result.faults.map(formatFault).join('\n'),
    warnings: result.ok ? result.warnings.map(formatFault).join('\n') : 'not read',
  }
}

const WORKFLOW = 'job_workflow_ref: acme/w/.github/workflows/deploy.yml@refs/heads/main'

describe('a rule that names no owner is a fault', () => {
  test.each<[string, Issuer, string]>([
    ['attacks 32, 39: a public workflow, which everybody may call', 'github', WORKFLOW],
    ['attacks 32, 39: the same with a protected branch', 'github', `${WORKFLOW}, ref_protected: "true"`],
    ['attacks 32, 39: the same by the issuer of an enterprise', 'acme', WORKFLOW],
    ['attack 39: an environment', 'github', 'environment: production'],
    ['attack 39: an id of whoever started it', 'github', 'actor_id: "9"'],
    ['attack 39: a branch of GitLab', 'gitlab', 'ref: main, ref_protected: "true"'],
    ['attack 39: a verified address of Google', 'google', 'email_verified: true'],
  ])('%s', (_name, issuer, claims) => {
    expect(read(issuer, claims).faults).toMatch(/match\.claims: matches everybody/)
  })

  test.each<[string, Issuer, string]>([
    ['a workflow of one repository', 'github', `${WORKFLOW}, repository_id: "7"`],
    ['a workflow of one owner', 'github', `${WORKFLOW}, repository_owner_id: "7"`],
    ['a workflow of an installation of its own', 'ghes', WORKFLOW],
    ['a workflow where data have their residency', 'residency', WORKFLOW],
  ])('but not %s', (_name, issuer, claims) => {
    expect(read(issuer, claims).faults).toBe('')
  })
})

describe('a name that may be somebody else tomorrow', () => {
  test.each<[string, Issuer, string, string]>([
    ['attack 32: a repository', 'github', 'repository: acme/app', 'repository'],
    [
      'attack 32: a repository, beside the id of its actor',
      'github',
      'repository: acme/app, actor_id: "9"',
      'repository',
    ],
    [
      'attack 32: a repository, beside the id of a run',
      'github',
      'repository: acme/app, run_id: "1"',
      'repository',
    ],
    [
      'attack 32: an actor, beside the id of the repository',
      'github',
      'actor: mona, repository_id: "7"',
      'actor',
    ],
    [
      'attack 32: the branch of a pull request, in the repository itself',
      'github',
      'repository_id: "7", head_ref: main',
      'head_ref',
    ],
    ['attack 32: a repository of GitHub Enterprise Server', 'ghes', 'repository: acme/app', 'repository'],
    ['attack 32: a workflow of GitHub Enterprise Server', 'ghes', WORKFLOW, 'job_workflow_ref'],
    ['attack 32: a repository on ghe.com', 'residency', 'repository: acme/app', 'repository'],
    ['attack 33: a project', 'gitlab', 'project_path: acme/app', 'project_path'],
    [
      'attack 33: a project, beside the id of a user',
      'gitlab',
      'project_path: a/b, user_id: "1"',
      'project_path',
    ],
    [
      'attack 33: a user, beside the id of the project',
      'gitlab',
      'user_login: a, project_id: "7"',
      'user_login',
    ],
    ['attack 33: a project of a GitLab of its own', 'selfmanaged', 'project_path: acme/app', 'project_path'],
    ['attack 33: a group of a GitLab of its own', 'selfmanaged', 'namespace_path: acme', 'namespace_path'],
    ['a sub there', 'selfmanaged', 'namespace_path: acme, sub: "project_path:acme/app"', 'sub'],
    ['an address of Google', 'google', 'email: a@acme.example', 'email'],
    ['a domain of Google', 'google', 'hd: acme.example', 'hd'],
    ['an address, beside any id', 'plain', 'email: a@acme.example, tenant_id: "7"', 'email'],
    ['a name of Entra, beside the id of a tenant', 'entra', 'upn: a@acme.example, tenant_id: "7"', 'upn'],
    ['an address of Okta', 'okta', 'email: a@acme.example', 'email'],
  ])('is warned of: %s', (_name, issuer, claims, claim) => {
    const { warnings } = read(issuer, claims)
    expect(warnings).toContain(`match.claims.${claim}: ${claim} may mean somebody else tomorrow`)
  })

  test.each<[string, Issuer, string]>([
    ['a repository with its id', 'github', 'repository: acme/app, repository_id: "7"'],
    ['a repository with the id of its owner', 'github', 'repository: acme/app, repository_owner_id: "7"'],
    ['an enterprise with its id', 'acme', 'enterprise: acme, enterprise_id: "2"'],
    ['an actor with its id', 'github', 'actor: mona, actor_id: "9", repository_id: "7"'],
    ['a repository of an installation of its own with its id', 'ghes', 'repository: a/b, repository_id: "7"'],
    ['a workflow on ghe.com with the id of the owner', 'residency', `${WORKFLOW}, repository_owner_id: "7"`],
    ['a project with its id', 'gitlab', 'project_path: acme/app, project_id: "7"'],
    ['a project with the id of its group', 'selfmanaged', 'project_path: acme/app, namespace_id: "7"'],
    ['an address of Google with its sub', 'google', 'email: a@acme.example, sub: "117"'],
    ['a name of Entra with its oid', 'entra', 'upn: a@acme.example, oid: x'],
    ['an address of Okta with its client', 'okta', 'email: a@acme.example, cid: 0oa1'],
    ['an address with its sub', 'plain', 'email: a@acme.example, sub: x'],
    ['a repository of an issuer that is no GitHub', 'plain', 'repository: acme/app'],
  ])('is not warned of: %s', (_name, issuer, claims) => {
    expect(read(issuer, claims).warnings).not.toContain('somebody else tomorrow')
  })

  test.each<[string, Issuer, string]>([
    ['attack 32: of GitHub Enterprise Server', 'ghes', 'repository'],
    ['attack 33: of a GitLab of its own', 'selfmanaged', 'project_path'],
  ])('is warned of in a template, %s', (_name, issuer, claim) => {
    const { warnings } = read(issuer, 'ref_protected: "true"', `spiffe://example.org/{${claim}}`)
    expect(warnings).toContain(`spiffeId: {${claim}} may mean somebody else tomorrow`)
  })
})

test.each<[string, Issuer, string]>([
  ['attack 33: GitHub Enterprise Server', 'ghes', 'repository_id: "7", ref_protected: true'],
  ['attack 33: ghe.com', 'residency', 'repository_id: "7", ref_protected: true'],
  [
    'attack 33: a GitLab of its own',
    'selfmanaged',
    'project_path: a/b, project_id: "7", ref_protected: true',
  ],
])('%s writes booleans as text', (_name, issuer, claims) => {
  expect(read(issuer, claims).warnings).toContain('ref_protected: can never match')
})
