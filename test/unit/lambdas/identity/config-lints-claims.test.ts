// Rules on claims that no token meets or every token meets, and claims that no SPIFFE ID can hold (attacks 35, 39).
import { describe, expect, test } from 'vitest'
import { warningsOf } from './lints.ts'

const TENANT = '0f0e0d0c-0b0a-4900-8800-070605040302'
const OIDC = [
  '{name: github, issuer: "https://token.actions.githubusercontent.com"}',
  '{name: ghes, issuer: "https://github.acme.example/_services/token"}',
  '{name: gitlab, issuer: "https://gitlab.com"}',
  '{name: eks, issuer: "https://oidc.eks.eu-west-1.amazonaws.com/id/0123456789ABCDEF"}',
  `{name: entra, issuer: "https://login.microsoftonline.com/${TENANT}/v2.0", audience: 1b2c3d4e-0000-4000-8000-000000000001}`,
  '{name: partner, trustDomain: partner.example, bundle: "https://bundle.partner.example"}',
  '{name: plain, issuer: "https://issuer.example"}',
]

const rule = (oidc: string, claims: string, path = 'x') =>
  `spiffeId: "spiffe://example.org/${path}", match: {oidc: ${oidc}, claims: {${claims}}}`
const warned = (registration: string) => warningsOf({ oidc: OIDC, registrations: [registration] })

describe('attack 35: a claim that can never be put into an ID', () => {
  test.each<[string, string, string, string]>([
    ['github', 'repository_id: "1"', 'repository', 'repository_id'],
    ['github', 'repository_id: "1"', 'sub', 'repository_id'],
    ['github', 'repository_id: "1"', 'ref', 'environment'],
    ['github', 'repository_id: "1"', 'job_workflow_ref', 'repository_id'],
    ['ghes', 'repository_id: "1"', 'repository', 'repository_id'],
    ['gitlab', 'project_id: "1"', 'project_path', 'project_id'],
    ['gitlab', 'project_id: "1"', 'sub', 'project_id'],
    ['eks', '"kubernetes.io:namespace": a', 'sub', 'kubernetes.io:namespace'],
    ['partner', 'path.1of1: a', 'sub', 'path.1of2'],
    ['plain', 'sub: a', 'iss', 'leave it out'],
  ])('of %s with %s: {%s}', (provider, claims, claim, remedy) => {
    const lines = warned(rule(provider, claims, `x/{${claim}}`)).filter((line) =>
      line.includes('can never be put'),
    )
    expect(lines).toEqual([
      expect.stringContaining(`spiffeId: {${claim}} can never be put into an ID: it always holds a / or a :`),
    ])
    expect(lines[0]).toContain(remedy)
  })

  test.each<[string, string, string]>([
    ['github', 'repository_id: "1"', '{repository_id}/{environment}'],
    ['plain', 'sub: a', '{sub}'],
    ['plain', 'sub: a', '{repository}'],
    ['eks', '"kubernetes.io:namespace": a', '{kubernetes.io:serviceaccount:name}'],
  ])('but not of %s with %s: %s', (provider, claims, path) => {
    expect(warned(rule(provider, claims, path)).filter((line) => line.includes('can never be put'))).toEqual(
      [],
    )
  })
})

test('attack 32: a name in a template that somebody else may have tomorrow', () => {
  expect(warned(rule('github', 'repository_id: "1"', '{actor}'))).toEqual([
    expect.stringMatching(/spiffeId: \{actor\} may mean somebody else tomorrow \(use .*actor_id/),
  ])
  expect(warned(rule('plain', 'sub: a', '{email}'))).toEqual([
    expect.stringMatching(/spiffeId: \{email\} may mean somebody else tomorrow \(use sub/),
  ])
})

test('a rule on another issuer than its provider has', () => {
  expect(warned(rule('plain', 'iss: "https://other.example", sub: a'))).toContainEqual(
    expect.stringMatching(
      /claims\.iss: can never match: every token of plain says https:\/\/issuer\.example/,
    ),
  )
  const same = warned(rule('plain', 'iss: "https://issuer.example", sub: a'))
  expect(same.filter((line) => line.includes('can never match'))).toEqual([])
})

describe('attack 39: a rule that everybody of an Entra tenant meets', () => {
  test.each<[string, string, boolean]>([
    ['the tenant alone', `tid: ${TENANT}`, true],
    ['the tenant and the version', `tid: ${TENANT}, ver: "2.0"`, true],
    ['the tenant and an object', `tid: ${TENANT}, oid: 5e6f7a8b-0000-4000-8000-000000000002`, false],
    ['the tenant and a role', `tid: ${TENANT}, roles: svid`, false],
    ['a client', 'azp: 5e6f7a8b-0000-4000-8000-000000000002', false],
  ])('%s', (_name, claims, expected) => {
    const lines = warned(rule('entra', claims)).filter((line) => line.includes('everybody of the tenant'))
    expect(lines).toHaveLength(expected ? 1 : 0)
  })

  test('is said of no other issuer, whose tid may be anything', () => {
    expect(warned(rule('plain', 'tid: a'))).toEqual([])
  })
})
