// Proof by AWS's outbound web identity token, through the whole app (attacks 15 to 18, 31).
import { describe, expect, test } from 'vitest'
import type { Registration } from '../../../../lambdas/identity/registrations/registration.ts'
import { parseFunctionPattern, parseRolePattern } from '../../../../lambdas/identity/proofs/aws/arn.ts'
import type { AwsMatch } from '../../../../lambdas/identity/registrations/match.ts'
import { createFakeIssuer, fetchOf } from '../../../fakes/oidc-issuer.ts'
import { AUDIENCE, createCsr, createTestAuthority, provider, registration } from './support.ts'

const ACCOUNT = '111122223333'
const ISSUER = 'https://0a1b2c3d-0000-4000-8000-000000000000.tokens.sts.global.api.aws'
const PARTNER = 'https://api.partner.example'
const OTHER = 'https://9f9f9f9f-0000-4000-8000-000000000000.tokens.sts.global.api.aws'

function match(role: string, more: Partial<AwsMatch> = {}): AwsMatch {
  const parsed = parseRolePattern(`arn:aws:iam::${ACCOUNT}:role/${role}`)
  if (parsed === null) throw new Error(role)
  return {
    role: parsed,
    anyPath: false,
    roleId: null,
    principalTags: {},
    lambdaFunction: null,
    organization: null,
    ...more,
  }
}

interface Details {
  readonly [name: string]: unknown
}

async function setUp(registrations: readonly Registration[] = [registration({ aws: match('team/api') })]) {
  const issuer = await createFakeIssuer(ISSUER, { algorithm: 'ES384' })
  const stranger = await createFakeIssuer(OTHER, { algorithm: 'ES384' })
  const authority = await createTestAuthority({
    providers: [provider({ kind: 'aws', name: 'aws', issuer: ISSUER, account: ACCOUNT })],
    aws: { accounts: new Set([ACCOUNT]), sigv4: null, principalTags: ['team'] },
    registrations,
    fetch: fetchOf(issuer, stranger),
  })
  const claims = (details: Details = {}, more: Details = {}) => {
    const seconds = Math.floor(authority.clock.now().getTime() / 1000)
    return {
      iss: ISSUER,
      aud: AUDIENCE,
      sub: `arn:aws:iam::${ACCOUNT}:role/team/api`,
      iat: seconds,
      exp: seconds + 300,
      jti: crypto.randomUUID(),
      'https://sts.amazonaws.com/': {
        aws_account: ACCOUNT,
        source_region: 'eu-west-1',
        org_id: 'o-0123456789',
        ou_path: ['o-0123456789/r-1/ou-1/'],
        principal_id: `arn:aws:iam::${ACCOUNT}:role/team/api`,
        principal_tags: { team: 'payments', owner: 'mallory' },
        original_session_exp: new Date((seconds + 1800) * 1000).toISOString(),
        request_tags: { team: 'admin' },
        ...details,
      },
      ...more,
    }
  }
  const post = async (details?: Details, more?: Details) =>
    authority.post({ csr: await createCsr() }, await issuer.sign(claims(details, more)))
  const postJwt = async (details?: Details) =>
    authority.app.request('/v1/svid/jwt', {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        authorization: `Bearer ${await issuer.sign(claims(details))}`,
      },
      body: JSON.stringify({ audience: PARTNER }),
    })
  return { authority, issuer, stranger, claims, post, postJwt }
}

test('a role with its path gets its SVID, which ends with the session', async () => {
  const { authority, post } = await setUp()
  const answer = await post()
  expect(answer.status).toBe(201)
  const { expiresAt } = (await answer.json()) as { expiresAt: string }
  expect(Date.parse(expiresAt) - authority.clock.now().getTime()).toBe(1_800_000)
  expect(authority.issuances[0]?.proof).toMatchObject({
    issuer: ISSUER,
    subject: `arn:aws:iam::${ACCOUNT}:role/team/api`,
  })
})

test('attack 18: an SVID never outlives the session, whatever it has left', async () => {
  for (const left of [301, 900, 3_599, 3_600, 40_000]) {
    const { authority, post } = await setUp()
    const now = authority.clock.now().getTime()
    const answer = await post({ original_session_exp: new Date(now + left * 1000).toISOString() })
    const { expiresAt } = (await answer.json()) as { expiresAt: string }
    expect(Date.parse(expiresAt)).toBe(now + Math.min(left, 3_600) * 1000)
  }
})

test('attack 18: under five minutes left: refused, with the hint to refresh the credentials', async () => {
  const { authority, post } = await setUp()
  const end = new Date(authority.clock.now().getTime() + 299_000).toISOString()
  const answer = await post({ original_session_exp: end })
  expect(answer.status).toBe(401)
  expect(await answer.json()).toMatchObject({
    code: 'credentials-expiring',
    title: expect.stringContaining('refresh'),
  })
  expect(authority.issuances).toEqual([])
})

test.each<[string, number, number]>([
  ['attack 18: under five minutes left: no JWT-SVID either', 299, 401],
  ['attack 18: with five minutes left a JWT-SVID, for no longer than they last', 300, 201],
  ['with more left a JWT-SVID for its own time', 4_000, 201],
])('%s', async (_name, left, status) => {
  const jwt = registration({ aws: match('team/api'), audiences: [PARTNER], jwtTtlSeconds: 3_600 })
  const { authority, postJwt } = await setUp([jwt])
  const now = authority.clock.now().getTime()
  const answer = await postJwt({ original_session_exp: new Date(now + left * 1000).toISOString() })
  expect(answer.status).toBe(status)
  expect(authority.issuances).toHaveLength(status === 201 ? 1 : 0)
  const body = (await answer.json()) as { expiresAt?: string; code?: string }
  if (status === 201) expect(Date.parse(body.expiresAt ?? '')).toBe(now + Math.min(left, 3_600) * 1000)
  else expect(body.code).toBe('credentials-expiring')
})

test.each<[string, number]>([
  ['at once', 0],
  ['a second after its issue', 1],
  ['four minutes after its issue', 240],
])('a token without original_session_exp, shown %s: the SVID ends with the token', async (_name, wait) => {
  const { authority, issuer, claims } = await setUp()
  const token = await issuer.sign(claims({ original_session_exp: undefined }))
  authority.clock.advance(wait * 1000)
  const answer = await authority.post({ csr: await createCsr() }, token)
  expect(answer.status).toBe(201)
  const { expiresAt } = (await answer.json()) as { expiresAt: string }
  expect(Date.parse(expiresAt) - authority.clock.now().getTime()).toBe((300 - wait) * 1000)
})

test('attack 18: four minutes before the session ends a token is refused, though it is new itself', async () => {
  const { authority, issuer, claims } = await setUp()
  const ends = new Date(authority.clock.now().getTime() + 480_000).toISOString()
  authority.clock.advance(240_000)
  const token = await issuer.sign(claims({ original_session_exp: ends }))
  expect((await authority.post({ csr: await createCsr() }, token)).status).toBe(401)
  expect(authority.log.at(-1)).toMatchObject({ code: 'credentials-expiring' })
})

test.each<[string, (seconds: number) => unknown]>([
  ['as a number', (seconds) => seconds],
  ['as RFC 3339', (seconds) => new Date(seconds * 1000).toISOString()],
  ['without fractions', (seconds) => new Date(seconds * 1000).toISOString().replace('.000', '')],
  ['with an offset', (seconds) => new Date((seconds + 3600) * 1000).toISOString().replace('Z', '+01:00')],
])('the end of the session is read %s', async (_name, write) => {
  const { authority, post } = await setUp()
  const seconds = authority.clock.now().getTime() / 1000 + 900
  const answer = await post({ original_session_exp: write(seconds) })
  const { expiresAt } = (await answer.json()) as { expiresAt: string }
  expect(Date.parse(expiresAt)).toBe(seconds * 1000)
})

describe('what is refused', () => {
  test.each<[string, Details, Details, string]>([
    ['attack 17: aws_account of another account', { aws_account: '999999999999' }, {}, 'aws-account-unknown'],
    [
      'attack 17: sub of another account',
      {},
      { sub: 'arn:aws:iam::999999999999:role/team/api' },
      'aws-account-unknown',
    ],
    [
      'attack 17: both of another account, by this issuer',
      { aws_account: '999999999999' },
      { sub: 'arn:aws:iam::999999999999:role/team/api' },
      'aws-account-unknown',
    ],
    ['attack 13: root', {}, { sub: `arn:aws:iam::${ACCOUNT}:root` }, 'aws-principal-refused'],
    ['attack 13: a user', {}, { sub: `arn:aws:iam::${ACCOUNT}:user/team/api` }, 'aws-principal-refused'],
    [
      'attack 13: an assumed role',
      {},
      { sub: `arn:aws:sts::${ACCOUNT}:assumed-role/api/s` },
      'aws-principal-refused',
    ],
    ['no details', {}, { 'https://sts.amazonaws.com/': undefined }, 'claims-malformed'],
    ['details that are text', {}, { 'https://sts.amazonaws.com/': 'x' }, 'claims-malformed'],
    ['a session end that is no time', { original_session_exp: 'soon' }, {}, 'claims-malformed'],
    ['a session end without zone', { original_session_exp: '2026-11-24T14:00:00' }, {}, 'claims-malformed'],
    ['a session end that is a year', { original_session_exp: '2027' }, {}, 'claims-malformed'],
    ['a session end in words', { original_session_exp: '24 Nov 2027 14:00 UTC' }, {}, 'claims-malformed'],
    ['a session end in February', { original_session_exp: '2027-02-30T14:00:00Z' }, {}, 'claims-malformed'],
    ['a session end in milliseconds', { original_session_exp: 1_795_528_800_000 }, {}, 'claims-malformed'],
    ['a session end before there was time', { original_session_exp: -1 }, {}, 'claims-malformed'],
    ['attack 31: two audiences', {}, { aud: [AUDIENCE, 'https://other.example'] }, 'audience-mismatch'],
    [
      'attack 31: an audience that begins with ours',
      {},
      { aud: `${AUDIENCE}.evil.example` },
      'audience-mismatch',
    ],
    ['another role', {}, { sub: `arn:aws:iam::${ACCOUNT}:role/api` }, 'registration-none'],
  ])('%s', async (_name, details, more, code) => {
    const { authority, post } = await setUp()
    expect([401, 403]).toContain((await post(details, more)).status)
    expect(authority.log.at(-1)).toMatchObject({ event: 'svid.refused', code })
  })

  test('attack 15: the issuer of an account that is not listed, without a single call', async () => {
    const { authority, issuer, stranger, claims } = await setUp()
    const token = await stranger.sign(claims({}, { iss: OTHER }))
    expect((await authority.post({ csr: await createCsr() }, token)).status).toBe(401)
    expect(issuer.total + stranger.total).toBe(0)
  })

  test('attack 19: an algorithm that AWS does not sign with', async () => {
    const issuer = await createFakeIssuer(ISSUER, { algorithm: 'ES256' })
    const { authority, claims } = await setUp()
    const other = await createTestAuthority({
      providers: [provider({ kind: 'aws', name: 'aws', issuer: ISSUER, account: ACCOUNT })],
      registrations: [registration({ aws: match('team/api') })],
      fetch: fetchOf(issuer),
    })
    expect(authority.clock.now()).toEqual(other.clock.now())
    expect((await other.post({ csr: await createCsr() }, await issuer.sign(claims()))).status).toBe(401)
    expect(other.log.at(-1)).toMatchObject({ code: 'algorithm-refused' })
  })
})

describe('tags and functions', () => {
  test('attack 16: only an allow-listed principal tag is there to be used, and request tags never', async () => {
    const use = (claim: string) => [
      registration({ aws: match('team/api'), spiffeId: `spiffe://example.org/{${claim}}` }),
    ]
    const good = await setUp(use('principalTag.team'))
    expect(await (await good.post()).json()).toMatchObject({ spiffeId: 'spiffe://example.org/payments' })
    for (const claim of ['principalTag.owner', 'request_tags', 'requestTag.team', 'team']) {
      const { authority, post } = await setUp(use(claim))
      expect((await post()).status).toBe(403)
      expect(authority.log.at(-1)).toMatchObject({ code: 'registration-unusable' })
    }
  })

  test('a Lambda function is an identity of its own, though it shares its role', async () => {
    const arn = (name: string) => `arn:aws:lambda:eu-west-1:${ACCOUNT}:function:${name}`
    const one = [
      registration({
        aws: match('team/api', { lambdaFunction: parseFunctionPattern(arn('pay-*')) }),
        spiffeId: 'spiffe://example.org/fn/{lambda.name}',
      }),
    ]
    const { post } = await setUp(one)
    const answer = await post({ lambda_source_function_arn: `${arn('pay-in')}:7` })
    expect(await answer.json()).toMatchObject({ spiffeId: 'spiffe://example.org/fn/pay-in' })
    expect((await post({ lambda_source_function_arn: arn('orders') })).status).toBe(403)
    expect((await post()).status).toBe(403)
  })

  // The function of another account, in a token of ours: the two contradict, so it is no function at all.
  const elsewhere = 'arn:aws:lambda:eu-west-1:999999999999:function:pay-in'
  test.each<[string, Registration]>([
    [
      'attack 17: does not match a rule, not even one for that account',
      registration({ aws: match('team/api', { lambdaFunction: parseFunctionPattern(elsewhere) }) }),
    ],
    [
      'attack 17: does not fill a template',
      registration({ aws: match('team/api'), spiffeId: 'spiffe://example.org/fn/{lambda.name}' }),
    ],
  ])('a function of another account %s', async (_name, rule) => {
    const { authority, post } = await setUp([rule])
    expect((await post({ lambda_source_function_arn: elsewhere })).status).toBe(403)
    expect(authority.issuances).toEqual([])
  })
})
