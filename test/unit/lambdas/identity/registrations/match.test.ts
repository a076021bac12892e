// Whether a proof meets a registration (attacks 9, 10, 11, 12, 13), and whether two registrations can meet one proof.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { fitsGlob, parseRolePattern } from '../../../../../lambdas/identity/proofs/aws/arn.ts'
import type { AwsPrincipal, ClaimValue, Proof } from '../../../../../lambdas/identity/proofs/proof.ts'
import {
  type AwsMatch,
  isAbout,
  missingConditions,
} from '../../../../../lambdas/identity/registrations/match.ts'
import { canOverlap, globsMeet } from '../../../../../lambdas/identity/registrations/overlap.ts'

const PRINCIPAL: AwsPrincipal = {
  partition: 'aws',
  account: '111122223333',
  role: 'payments-api',
  path: null,
  roleId: 'AROAAAAAAAAAAAAAAAAAA',
  lambdaFunction: null,
  organization: null,
  sessionEnds: null,
}

function awsProof(more: Partial<AwsPrincipal> = {}, claims: Record<string, ClaimValue> = {}): Proof {
  return { ...proof(claims), kind: 'aws-sigv4', provider: 'aws', aws: { ...PRINCIPAL, ...more } }
}

function proof(claims: Record<string, ClaimValue>, binding: string | null = null): Proof {
  return {
    kind: 'oidc',
    provider: 'main',
    issuer: 'https://issuer.example',
    subject: 's',
    tokenId: 't',
    claims: new Map(Object.entries(claims)),
    issuedAt: new Date(0),
    expiresAt: new Date(1),
    reuse: 'sameKey',
    endsAt: null,
    binding,
    aws: null,
  }
}

function awsMatch(role: string, more: Partial<AwsMatch> = {}) {
  const parsed = parseRolePattern(`arn:${role}`)
  if (parsed === null) throw new Error(`no pattern: ${role}`)
  const aws = {
    role: parsed,
    anyPath: false,
    roleId: null,
    principalTags: {},
    lambdaFunction: null,
    organization: null,
    ...more,
  }
  return { oidc: null, aws, keyBound: false }
}

const own = 'aws:iam::111122223333:role'

describe('an IAM role', () => {
  test.each<[string, string, Partial<AwsPrincipal>, readonly string[]]>([
    ['by its name', `${own}/payments-api`, {}, []],
    ['by a web identity that shows no path', `${own}/payments-api`, { path: '/', roleId: null }, []],
    ['attack 9: not by a session name', `${own}/*-admin`, {}, ['role']],
    ['by a wildcard in the name, with the path shown', `${own}/payments-*`, { path: '/' }, []],
    ['attack 10: not by a wildcard where the path is not shown', `${own}/payments-*`, {}, ['anyPath']],
    ['attack 10: nor by one of a path', `${own}/payments-*`, { path: '/team/' }, ['role']],
    ['attack 38: not in other case', `${own}/Payments-Api`, {}, ['role']],
    ['attack 10: never with a path by SigV4', `${own}/team/payments-api`, {}, ['role']],
    ['attack 10: a path with a wildcard neither', `${own}/*/payments-api`, {}, ['role']],
    ['with its path by web identity', `${own}/team/payments-api`, { path: '/team/' }, []],
    ['attack 10: not without the path it has', `${own}/payments-api`, { path: '/team/' }, ['role']],
    ['a wildcard stays in its segment of the path', `${own}/*/payments-api`, { path: '/a/b/' }, ['role']],
    ['a wildcard in a segment of the path', `${own}/t*/payments-api`, { path: '/team/' }, []],
    ['attack 11: not in another account', 'aws:iam::999999999999:role/payments-api', {}, ['role']],
    ['attack 13: not in another partition', 'aws-cn:iam::111122223333:role/payments-api', {}, ['role']],
  ])('%s', (_name, pattern, principal, missing) => {
    expect(missingConditions(awsMatch(pattern), awsProof(principal))).toEqual(missing)
  })

  test.each<[string, string, Partial<AwsPrincipal>, readonly string[]]>([
    ['attack 10: a wildcard where no path is shown', `${own}/payments-*`, {}, []],
    ['attack 10: a wildcard and any path', `${own}/payments-*`, { path: '/team/' }, []],
    ['a whole name and any path', `${own}/payments-api`, { path: '/team/' }, []],
    ['attack 9: no session name', `${own}/*-admin`, {}, ['role']],
    ['attack 11: no other account', 'aws:iam::999999999999:role/*', {}, ['role']],
    ['a path of its own is no longer any', `${own}/team/payments-*`, {}, ['role']],
  ])('with anyPath: %s', (_name, pattern, principal, missing) => {
    expect(missingConditions(awsMatch(pattern, { anyPath: true }), awsProof(principal))).toEqual(missing)
  })

  test.each<[string, Partial<AwsMatch>, Proof, readonly string[]]>([
    [
      'attack 12: the role that was made anew has another id',
      { roleId: 'AROABBBBBBBBBBBBBBBBB' },
      awsProof(),
      ['roleId'],
    ],
    ['attack 12: the very role', { roleId: 'AROAAAAAAAAAAAAAAAAAA' }, awsProof(), []],
    [
      'an id that the proof does not show',
      { roleId: 'AROAAAAAAAAAAAAAAAAAA' },
      awsProof({ roleId: null }),
      ['roleId'],
    ],
    [
      'another organization',
      { organization: 'o-0123456789' },
      awsProof({ organization: 'o-9999999999' }),
      ['organization'],
    ],
    ['a tag', { principalTags: { team: 'a' } }, awsProof({}, { 'principalTag.team': 'a' }), []],
    [
      'another tag',
      { principalTags: { team: 'a' } },
      awsProof({}, { 'principalTag.team': 'b' }),
      ['principalTags.team'],
    ],
    [
      'a function',
      { lambdaFunction: { partition: 'aws', region: 'eu-west-1', account: '111122223333', name: 'pay-*' } },
      awsProof({ lambdaFunction: 'arn:aws:lambda:eu-west-1:111122223333:function:pay-in' }),
      [],
    ],
    [
      'a function of another region',
      { lambdaFunction: { partition: 'aws', region: 'eu-west-1', account: '111122223333', name: 'pay-in' } },
      awsProof({ lambdaFunction: 'arn:aws:lambda:us-east-1:111122223333:function:pay-in' }),
      ['lambdaFunction'],
    ],
    [
      'no function',
      { lambdaFunction: { partition: 'aws', region: 'eu-west-1', account: '111122223333', name: '*' } },
      awsProof(),
      ['lambdaFunction'],
    ],
  ])('%s', (_name, more, found, missing) => {
    expect(missingConditions(awsMatch(`${own}/payments-api`, more), found)).toEqual(missing)
  })

  test('and a token of an issuer never stand in for each other', () => {
    const oidc = { oidc: { provider: 'aws', claims: { role: 'payments-api' } }, aws: null, keyBound: false }
    const claims = { role: 'payments-api', account: '111122223333' }
    expect(missingConditions(oidc, awsProof({}, claims))).toEqual(['provider'])
    expect(isAbout(oidc, awsProof({}, claims))).toBe(false)
    expect(missingConditions(awsMatch(`${own}/payments-api`), { ...proof(claims), provider: 'aws' })).toEqual(
      ['aws'],
    )
  })
})

describe('claims', () => {
  const match = (claims: Record<string, string | boolean>, keyBound = false) => ({
    oidc: { provider: 'main', claims },
    aws: null,
    keyBound,
  })
  test.each<[string, Record<string, string | boolean>, Record<string, ClaimValue>, readonly string[]]>([
    ['text', { a: 'x' }, { a: 'x' }, []],
    ['a boolean', { a: true }, { a: true }, []],
    ['attack 33: "true" is not true', { a: true }, { a: 'true' }, ['claims.a']],
    ['attack 33: true is not "true"', { a: 'true' }, { a: true }, ['claims.a']],
    ['one of a list', { scp: 'svid' }, { scp: ['read', 'svid'] }, []],
    ['not one of a list', { scp: 'svi' }, { scp: ['read', 'svid'] }, ['claims.scp']],
    ['attack 37: a claim that is not there', { a: 'x', b: 'y' }, { a: 'x' }, ['claims.b']],
    ['attack 38: another case', { a: 'x' }, { a: 'X' }, ['claims.a']],
    ['a name of an inherited member', { constructor: 'x' }, {}, ['claims.constructor']],
  ])('%s', (_name, wanted, found, missing) => {
    expect(missingConditions(match(wanted), proof(found))).toEqual(missing)
  })

  test('a key-bound registration takes no proof that is for any key', () => {
    expect(missingConditions(match({ a: 'x' }, true), proof({ a: 'x' }))).toEqual(['keyBound'])
    expect(missingConditions(match({ a: 'x' }, true), proof({ a: 'x' }, 'x509:abc'))).toEqual([])
  })

  test('a registration that asks for nothing matches nobody', () => {
    expect(missingConditions({ oidc: null, aws: null, keyBound: false }, proof({}))).toEqual(['match'])
  })
})

describe('overlap', () => {
  const glob = fc.string({ unit: fc.constantFrom('a', 'b', '*'), maxLength: 6 })
  const text = fc.string({ unit: fc.constantFrom('a', 'b'), maxLength: 6 })

  test('globs that a text fits both of meet', () => {
    fc.assert(
      fc.property(glob, glob, text, (one, other, found) => {
        if (fitsGlob(one, found) && fitsGlob(other, found)) expect(globsMeet(one, other)).toBe(true)
      }),
    )
    expect(globsMeet('a*', 'b*')).toBe(false)
    expect(globsMeet('a*b', 'ab')).toBe(true)
    expect(globsMeet('', '*')).toBe(true)
  })

  const claims = (wanted: Record<string, string | boolean>, provider = 'p') => ({
    oidc: { provider, claims: wanted },
    aws: null,
    keyBound: false,
  })

  test.each([
    ...['sub', 'iss', 'cid', 'azp', 'oid', 'tid', 'ref', 'ref_protected', 'environment', 'repository'],
    ...['repository_owner', 'project_id', 'client_id', 'kubernetes.io:namespace', 'path.1of2'],
  ])('two texts of %s, of which a token has one, keep registrations apart', (name) => {
    expect(canOverlap(claims({ [name]: 'x' }), claims({ [name]: 'y' }))).toBe(false)
    expect(canOverlap(claims({ [name]: 'x' }), claims({ [name]: 'x' }))).toBe(true)
  })

  test.each(['scp', 'roles', 'groups', 'amr', 'aud', 'entitlements', 'reference', 'subject', 'toString'])(
    'attack 39: two texts of %s, which may be a list, do not',
    (name) => {
      const [one, other] = [{ [name]: 'x' }, { [name]: 'y' }]
      expect(canOverlap(claims(one), claims(other))).toBe(true)
      // One token, as such an issuer makes it, that both take.
      const token = proof({ [name]: ['x', 'y'] })
      for (const match of [claims(one, 'main'), claims(other, 'main')]) {
        expect(missingConditions(match, token)).toEqual([])
      }
    },
  )

  test('a claim that is true is neither false nor a text', () => {
    for (const other of [false, 'true']) {
      expect(canOverlap(claims({ admin: true }), claims({ admin: other }))).toBe(false)
      expect(canOverlap(claims({ admin: other }), claims({ admin: true }))).toBe(false)
    }
  })

  test('another provider, or AWS, is another caller', () => {
    expect(canOverlap(claims({ a: 'x' }), claims({ a: 'x' }, 'q'))).toBe(false)
    expect(canOverlap(claims({ a: 'x' }), awsMatch(`${own}/x`))).toBe(false)
  })

  const pay = { partition: 'aws', region: 'eu-west-1', account: '111122223333', name: 'pay-*' }
  test.each<[string, Partial<AwsMatch>, Partial<AwsMatch>, boolean]>([
    [
      'functions of other names',
      { lambdaFunction: pay },
      { lambdaFunction: { ...pay, name: 'bill' } },
      false,
    ],
    [
      'functions whose names meet',
      { lambdaFunction: pay },
      { lambdaFunction: { ...pay, name: '*-in' } },
      true,
    ],
    ['a function and any caller', { lambdaFunction: pay }, {}, true],
    [
      'functions of other regions',
      { lambdaFunction: pay },
      { lambdaFunction: { ...pay, region: 'us-east-1' } },
      false,
    ],
    ['other tags', { principalTags: { team: 'a' } }, { principalTags: { team: 'b' } }, false],
    ['tags of other names', { principalTags: { team: 'a' } }, { principalTags: { stage: 'b' } }, true],
    ['other role ids', { roleId: 'AROAAAAAAAAAAAAAAAAAA' }, { roleId: 'AROABBBBBBBBBBBBBBBBB' }, false],
    ['other organizations', { organization: 'o-0123456789' }, { organization: 'o-9999999999' }, false],
  ])('of one role, %s', (_name, one, other, expected) => {
    const match = (more: Partial<AwsMatch>) => awsMatch(`${own}/api`, more)
    expect(canOverlap(match(one), match(other))).toBe(expected)
    expect(canOverlap(match(other), match(one))).toBe(expected)
  })

  test.each<[string, string, string, boolean]>([
    ['any path meets a path', `${own}/api-*`, `${own}/team/api-x`, true],
    ['any path does not meet another name', `${own}/api-*`, `${own}/team/web`, false],
  ])('%s', (_name, one, other, meets) => {
    expect(canOverlap(awsMatch(one, { anyPath: true }), awsMatch(other))).toBe(meets)
    expect(canOverlap(awsMatch(other), awsMatch(one, { anyPath: true }))).toBe(meets)
    expect(canOverlap(awsMatch(one), awsMatch(other))).toBe(false)
  })
})
