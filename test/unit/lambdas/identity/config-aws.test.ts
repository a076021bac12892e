// identity.yaml with AWS proofs: registrations that could never match, and what the linter says (attacks 10, 16, 32, 39).
import { describe, expect, test } from 'vitest'
import { formatFault } from '../../../../common/fault.ts'
import { readIdentityConfig } from '../../../../lambdas/identity/config.ts'
import { readIdentityEnvironment } from '../../../../lambdas/identity/environment.ts'

const ISSUER = 'https://0a1b2c3d-0000-4000-8000-000000000000.tokens.sts.global.api.aws'
const BOTH = `{webIdentity: true, sigv4: {regions: [eu-west-1]}, accounts: {"111122223333": {issuer: "${ISSUER}"}}, principalTags: [team]}`
const SIGV4 = '{sigv4: {regions: [eu-west-1]}, accounts: {"111122223333": {}}}'

function read(aws: string, registrations: string, oidc = '') {
  const text = `version: 1
trustDomain: example.org
issuer: https://identity.example.org
authority: {files: {directory: ca}}
proofs:
  aws: ${aws}
  oidc: [${oidc}]
registrations:
${registrations}
`
  return readIdentityConfig({ file: 'identity.yaml', text, environment: readIdentityEnvironment({}) })
}

function one(match: string, spiffeId = 'spiffe://example.org/x', name = 'one'): string {
  return `  - {name: ${name}, spiffeId: "${spiffeId}", match: ${match}}`
}

function faultsOf(...input: Parameters<typeof read>): string {
  const result = read(...input)
  return result.ok ? '' : result.faults.map(formatFault).join('\n')
}

function warningsOf(...input: Parameters<typeof read>): string {
  const result = read(...input)
  if (!result.ok) throw new Error(result.faults.map(formatFault).join('\n'))
  return result.warnings.map(formatFault).join('\n')
}

const role = (name: string, more = '') => `{aws: {role: "arn:aws:iam::111122223333:role/${name}"${more}}}`

test('one plain role: no fault, no warning, and its values', () => {
  expect(warningsOf(BOTH, one(role('payments-api')))).toBe('')
  const result = read(BOTH, one(role('team/payments-*', ', principalTags: {team: a}')))
  if (!result.ok) throw new Error('refused')
  expect(result.value.registrations[0]?.match.aws).toMatchObject({
    role: { partition: 'aws', account: '111122223333', path: '/team/', name: 'payments-*' },
    anyPath: false,
    principalTags: { team: 'a' },
  })
  const anyPath = read(BOTH, one(role('payments-*', ', anyPath: true')))
  expect(anyPath).toMatchObject({ value: { registrations: [{ match: { aws: { anyPath: true } } }] } })
  expect(result.value.providers).toMatchObject([{ kind: 'aws', issuer: ISSUER, account: '111122223333' }])
})

describe('what can never match is a fault', () => {
  test.each<[string, string, string, RegExp]>([
    [
      'attack 10: a path where web identity is off',
      SIGV4,
      role('team/api'),
      /match\.aws\.role: the path is seen by web identity alone/,
    ],
    [
      'attack 10: any path, and a path',
      BOTH,
      role('team/api-*', ', anyPath: true'),
      /match\.aws\.anyPath: contradicts the path \/team\/ of role/,
    ],
    [
      'a function where web identity is off',
      SIGV4,
      role('api', ', lambdaFunction: "arn:aws:lambda:eu-west-1:111122223333:function:f"'),
      /lambdaFunction: is seen by web identity alone/,
    ],
    [
      'an organization where web identity is off',
      SIGV4,
      role('api', ', organization: o-0123456789'),
      /organization: is seen by web identity alone/,
    ],
    [
      'a role id where SigV4 is off',
      BOTH.replace('sigv4: {regions: [eu-west-1]}, ', ''),
      role('api', ', roleId: AROAAAAAAAAAAAAAAAAAA'),
      /roleId: is seen by SigV4 alone/,
    ],
    [
      'an account that is not listed',
      BOTH,
      '{aws: {role: "arn:aws:iam::999999999999:role/api"}}',
      /role: the account 999999999999 is not listed/,
    ],
    [
      'attack 13: a user',
      BOTH,
      '{aws: {role: "arn:aws:iam::111122223333:user/api"}}',
      /role: expected arn:aws:iam/,
    ],
    [
      'attack 13: root',
      BOTH,
      '{aws: {role: "arn:aws:iam::111122223333:root"}}',
      /role: expected arn:aws:iam/,
    ],
    [
      'attack 9: a session name',
      BOTH,
      '{aws: {role: "arn:aws:sts::111122223333:assumed-role/api/x"}}',
      /role: expected arn:aws:iam/,
    ],
    [
      'attack 16: a tag that is not allowed',
      BOTH,
      role('api', ', principalTags: {owner: a}'),
      /principalTags\.owner: is not one of/,
    ],
    ['attack 16: request tags', BOTH, role('api', ', requestTags: {team: a}'), /requestTags: unknown key/],
    [
      'claims beside a role',
      BOTH,
      '{aws: {role: "arn:aws:iam::111122223333:role/api"}, claims: {team: a}}',
      /match\.claims: goes with oidc/,
    ],
    [
      'a provider beside a role',
      BOTH,
      '{oidc: x, aws: {role: "arn:aws:iam::111122223333:role/api"}}',
      /exactly one of them/,
    ],
  ])('%s', (_name, aws, match, expected) => {
    expect(faultsOf(aws, one(match))).toMatch(expected)
  })

  test('attack 16: a tag in a template that is not allowed', () => {
    expect(faultsOf(BOTH, one(role('api'), 'spiffe://example.org/{principalTag.owner}'))).toMatch(
      /spiffeId: an AWS proof has no \{principalTag\.owner\} \(known: account, role, .*principalTag\.team\)/,
    )
  })

  test.each(['repository', 'sub', 'lambda.arn', 'principalTag', 'session', 'toString'])(
    'attack 37: a claim in a template that no AWS proof has: {%s}',
    (claim) => {
      expect(faultsOf(BOTH, one(role('api'), `spiffe://example.org/{${claim}}`))).toContain(
        `spiffeId: an AWS proof has no {${claim}} (known: account, role, lambda.region, lambda.name, principalTag.team)`,
      )
    },
  )

  test('attack 40: a reserved path without the mark', () => {
    expect(faultsOf(BOTH, one(role('api'), 'spiffe://example.org/sallyport/gateway'))).toContain(
      'reserved: true',
    )
  })
})

const GITHUB = '{name: github, issuer: "https://token.actions.githubusercontent.com"}'
const OKTA = '{name: okta, issuer: "https://dev-1.okta.com/oauth2/default"}'
const PLAIN = '{name: plain, issuer: "https://issuer.example"}'

describe('the linter', () => {
  test.each<[string, string, RegExp]>([
    ['a wildcard', role('payments-*'), /role: whoever may create roles in the account chooses who matches/],
    ['every role', role('*'), /role: matches every role of the account/],
    ['one ID for several roles', role('payments-*'), /spiffeId: several roles get one and the same ID/],
    [
      'attack 32: a repository by name',
      '{oidc: github, claims: {repository: acme/app}}',
      /claims\.repository: repository may mean somebody else tomorrow \(match repository_id\)/,
    ],
    [
      'attack 32: the old and the new sub',
      '{oidc: github, claims: {sub: "repo:acme/app:ref:refs/heads/main"}}',
      /claims\.sub: .*repository_id beside it/,
    ],
    [
      'attack 32: a branch of a fork',
      '{oidc: github, claims: {repository_owner: acme, head_ref: main}}',
      /claims\.head_ref: .*ref_protected/,
    ],
    [
      'attack 33: a boolean that is text there',
      '{oidc: github, claims: {repository_owner_id: "1", ref_protected: true}}',
      /ref_protected: can never match/,
    ],
    [
      'attack 31: Okta without its client',
      '{oidc: okta, claims: {sub: a}}',
      /claims: without cid other clients/,
    ],
    ['a wildcard that is none', '{oidc: plain, claims: {sub: "a*"}}', /claims\.sub: \* is no wildcard here/],
    [
      'an address',
      '{oidc: plain, claims: {email: a@example.org}}',
      /claims\.email: email may mean somebody else tomorrow/,
    ],
    [
      'a claim that every token has',
      '{oidc: plain, claims: {aud: x, sub: a}}',
      /claims\.aud: is checked for every token/,
    ],
  ])('warns of %s', (_name, match, expected) => {
    expect(warningsOf(BOTH, one(match), [GITHUB, OKTA, PLAIN].join(', '))).toMatch(expected)
  })

  test.each<[string, string]>([
    [
      'attack 32: ids beside names',
      '{oidc: github, claims: {repository_id: "7", job_workflow_ref: acme/w/.github/w.yml@main}}',
    ],
    [
      'attack 33: protected refs of an owner',
      '{oidc: github, claims: {repository_owner_id: "1", ref_protected: "true"}}',
    ],
    ['attack 31: an Okta client', '{oidc: okta, claims: {cid: 0oa1}}'],
  ])('says nothing of %s', (_name, match) => {
    expect(warningsOf(BOTH, one(match), [GITHUB, OKTA, PLAIN].join(', '))).toBe('')
  })

  test('warns of two registrations that one caller can meet', () => {
    const both = `${one(role('payments-api'))}\n${one(role('payments-*', ', principalTags: {team: a}'), 'spiffe://example.org/{role}', 'two')}`
    expect(warningsOf(BOTH, both)).toMatch(/registrations\[1\]\.match: a caller may match one too/)
    const apart = `${one(role('payments-api'))}\n${one(role('orders-api'), 'spiffe://example.org/y', 'two')}`
    expect(warningsOf(BOTH, apart)).toBe('')
  })

  const noIssuer = BOTH.replace(`{issuer: "${ISSUER}"}`, '{}')
  test.each<[string, string, string, RegExp]>([
    ['a path', noIssuer, role('team/api'), /role: can never match: it needs web identity, and the account/],
    ['an organization', noIssuer, role('api', ', organization: o-0123456789'), /role: can never match: it/],
    [
      'attack 10: a wildcard',
      noIssuer,
      role('api-*'),
      /role: can never match: with a \* .* the account 111122223333 has no issuer \(or say anyPath: true/,
    ],
    [
      'attack 10: a wildcard where web identity is off',
      SIGV4,
      role('api-*'),
      /role: can never match: with a \* .*, and proofs\.aws does not accept it/,
    ],
    [
      'attack 10: a wildcard where web identity is off, though the account has an issuer',
      SIGV4.replace('{}', `{issuer: "${ISSUER}"}`),
      role('api-*'),
      /role: can never match: with a \* .*, and proofs\.aws does not accept it/,
    ],
  ])(
    'warns of a rule that waits for a token that its account cannot give: %s',
    (_name, aws, match, expected) => {
      expect(warningsOf(aws, one(match))).toMatch(expected)
    },
  )

  test.each<[string, string, string]>([
    ['a wildcard for any path', SIGV4, role('api-*', ', anyPath: true')],
    ['a wildcard where tokens come', BOTH, role('api-*')],
    ['a whole name', noIssuer, role('api')],
  ])('says of no such rule that it can never match: %s', (_name, aws, match) => {
    expect(warningsOf(aws, one(match))).not.toContain('never match')
  })
})
