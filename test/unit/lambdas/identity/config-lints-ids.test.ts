// Two registrations whose templates spell one ID, and names of Sallyport's own parts in other hands (attacks 36, 39, 40).
import { describe, expect, test } from 'vitest'
import { ACCOUNT_ISSUER, warningsOf } from './lints.ts'

const OIDC = [
  '{name: github, issuer: "https://token.actions.githubusercontent.com"}',
  '{name: gitlab, issuer: "https://gitlab.com"}',
  '{name: plain, issuer: "https://issuer.example"}',
]
const AWS = `{webIdentity: true, sigv4: {regions: [eu-west-1]}, accounts: {"111122223333": {issuer: "${ACCOUNT_ISSUER}"}, "444455556666": {}}, principalTags: [team]}`

const id = (path: string) => `spiffeId: "spiffe://example.org/${path}"`
const github = (path: string, claims = 'repository_owner_id: "1"') =>
  `${id(path)}, match: {oidc: github, claims: {${claims}}}`
const gitlab = (path: string, claims = 'namespace_id: "2"') =>
  `${id(path)}, match: {oidc: gitlab, claims: {${claims}}}`
const plain = (path: string, claims = 'sub: x') => `${id(path)}, match: {oidc: plain, claims: {${claims}}}`
const role = (path: string, name: string, account = '111122223333', more = '') =>
  `${id(path)}, match: {aws: {role: "arn:aws:iam::${account}:role/${name}"${more}}}`

const shared = (...registrations: readonly string[]) =>
  warningsOf({ aws: AWS, oidc: OIDC, registrations }).filter((line) => line.includes('may get an ID that'))

describe('attack 36: two registrations may give one ID to two callers', () => {
  test.each<[string, string, string]>([
    ['by numbers of two platforms', github('ci/{repository_id}'), gitlab('ci/{project_id}')],
    ['by one template for two issuers', github('ci/{sub}'), gitlab('ci/{sub}')],
    ['by a claim that spells what the other writes out', github('ci/{environment}'), gitlab('ci/admin')],
    ['by a claim with text around it', github('ci/env-{environment}'), gitlab('ci/env-prod')],
    ['by two claims with text around them', github('ci/a{environment}'), gitlab('ci/{project_id}b')],
    ['by two claims of one issuer', plain('x/{team}', 'sub: a'), plain('x/{group}', 'sub: b')],
    ['by a claim in the first segment', plain('{team}/api'), github('ci/{environment}')],
    [
      'by a segment more in the middle of the same',
      plain('{team}/{name}', 'sub: a'),
      plain('x/{name}', 'sub: b'),
    ],
    [
      'by role names of two accounts',
      role('svc/{role}', 'app-*', '111122223333'),
      role('svc/{role}', 'app-*', '444455556666', ', anyPath: true'),
    ],
    ['by a role name that spells it', role('svc/{role}', 'pay-*'), plain('svc/pay-admin')],
    ['by a tag that spells it', role('svc/{principalTag.team}', 'api', '111122223333'), plain('svc/admin')],
  ])('%s', (_name, one, other) => {
    for (const pair of [
      [one, other],
      [other, one],
    ]) {
      expect(shared(...pair)).toEqual([
        expect.stringMatching(
          /^i\.yaml:10: registrations\[1\]\.spiffeId: a caller may get an ID that a gives to another one \(/,
        ),
      ])
    }
  })

  test('and is told how to keep them apart', () => {
    expect(shared(github('ci/{repository_id}'), gitlab('ci/{project_id}'))[0]).toContain(
      '(begin each with a segment of its own, such as /github/ and /gitlab/)',
    )
    const roles = shared(
      role('svc/{role}', 'app-*'),
      role('svc/{role}', 'app-*', '444455556666', ', anyPath: true'),
    )
    expect(roles[0]).toContain('(put {account} into both)')
  })

  test.each<[string, string, string]>([
    ['segments of their own', github('github/{repository_id}'), gitlab('gitlab/{project_id}')],
    ['another number of segments', github('ci/{repository_id}'), gitlab('ci/{project_id}/x')],
    ['text around claims that differs', github('ci/a-{environment}'), gitlab('ci/b-{project_id}')],
    ['text behind claims that differs', github('ci/{environment}-a'), gitlab('ci/{project_id}-b')],
    ['a claim that would have to be empty', github('ci/x{environment}'), gitlab('ci/x')],
    ['text before and behind that would have to overlap', github('ci/ab{environment}bc'), gitlab('ci/abc')],
    [
      'the account in the ID',
      role('{account}/{role}', 'app-*'),
      role('{account}/{role}', 'app-*', '444455556666', ', anyPath: true'),
    ],
    ['a role that is another', role('svc/{role}', 'pay-*'), plain('svc/bill-admin')],
    [
      'a claim that the rule fixes',
      github('ci/{environment}', 'repository_id: "1", environment: prod'),
      gitlab('ci/dev'),
    ],
    [
      'a tag that the rule fixes',
      role('svc/{principalTag.team}', 'api', '111122223333', ', principalTags: {team: a}'),
      plain('svc/b'),
    ],
    ['the very ID, written out in both', github('payments/api'), role('payments/api', 'payments-api')],
    [
      'the very ID, by a claim that the rule fixes',
      github('ci/{environment}', 'repository_id: "1", environment: prod'),
      gitlab('ci/prod'),
    ],
    [
      'one template for two rules of one issuer',
      github('ci/{repository_id}', 'repository_owner_id: "1", environment: prod'),
      github('ci/{repository_id}', 'repository_owner_id: "1", environment: dev'),
    ],
    ['one template for two rules of one account', role('svc/{role}', 'pay-*'), role('svc/{role}', 'bill-*')],
    [
      'IDs that only a reserved registration gives',
      plain('{team}/{name}'),
      `${plain('sallyport/gateway')}, reserved: true`,
    ],
  ])('not with %s', (_name, one, other) => {
    expect(shared(one, other)).toEqual([])
    expect(shared(other, one)).toEqual([])
  })
})

const about = (text: RegExp, ...registrations: readonly string[]) =>
  warningsOf({ aws: AWS, oidc: OIDC, registrations }).filter((line) => text.test(line))

describe("attack 40: Sallyport's own parts", () => {
  const own = (path: string, dnsNames = '') =>
    `${plain(path)}, reserved: true, x509: {dnsNames: [${dnsNames}]}`

  test('a claim that chooses among their IDs', () => {
    const warned = about(/own parts/, own('sallyport/{part}'))
    expect(warned).toEqual([expect.stringMatching(/registrations\[0\]\.spiffeId: a claim chooses among/)])
    expect(about(/own parts/, own('sallyport/gateway'))).toEqual([])
  })

  test.each<[string, readonly string[], RegExp | null]>([
    [
      'a workload with the name of the gateway',
      [own('sallyport/gateway', 'gw.internal'), `${plain('x')}, x509: {dnsNames: [x.internal, gw.internal]}`],
      /registrations\[1\]\.x509\.dnsNames\[1\]: is a name of a: whoever/,
    ],
    [
      'the same in another order',
      [`${plain('x')}, x509: {dnsNames: [gw.internal]}`, own('sallyport/gateway', 'gw.internal')],
      /registrations\[0\]\.x509\.dnsNames\[0\]: is a name of b: whoever/,
    ],
    [
      'two own parts with one name',
      [own('sallyport/gateway', 'gw.internal'), own('sallyport/admin', 'gw.internal')],
      /registrations\[1\]\.x509\.dnsNames\[0\]: is a name of a: whoever/,
    ],
    [
      'one part by two rules',
      [own('sallyport/gateway', 'gw.internal'), own('sallyport/gateway', 'gw.internal')],
      null,
    ],
    [
      'two workloads with one name',
      [`${plain('x')}, x509: {dnsNames: [x.internal]}`, `${plain('y')}, x509: {dnsNames: [x.internal]}`],
      null,
    ],
  ])('%s', (_name, registrations, expected) => {
    const warned = about(/dnsNames/, ...registrations)
    expect(warned).toEqual(expected === null ? [] : [expect.stringMatching(expected)])
  })
})
