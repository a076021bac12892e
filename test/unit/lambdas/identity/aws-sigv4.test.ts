// Proof by a signed GetCallerIdentity, through the whole app and to an STS that verifies signatures (attacks 1 to 14).
import { createHash } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { parseRolePattern } from '../../../../lambdas/identity/proofs/aws/arn.ts'
import { MAX_ANSWER_BYTES } from '../../../../lambdas/identity/proofs/aws/sts.ts'
import type { Registration } from '../../../../lambdas/identity/registrations/registration.ts'
import { failure, success } from '../../../fakes/sts/answers.ts'
import { type FakeSts, type RoleInput, startFakeSts, type StsMisbehaviour } from '../../../fakes/sts/sts.ts'
import { type AwsProofInput, signAwsProof } from '../../../fixtures/aws-proof.ts'
import {
  AUDIENCE,
  createClock,
  createCsr,
  createKeys,
  createTestAuthority,
  type RegistrationInput,
  registration,
} from './support.ts'

const ACCOUNT = '111122223333'
let sts: FakeSts
beforeAll(async () => {
  sts = await startFakeSts({ clock: createClock().now })
})
beforeEach(() => sts.misbehave(null))
afterAll(() => sts[Symbol.asyncDispose]())

function forRole(pattern: string, more: RegistrationInput = {}, anyPath = false): Registration {
  const role = parseRolePattern(pattern)
  if (role === null) throw new Error(pattern)
  const aws = { role, anyPath, roleId: null, principalTags: {}, lambdaFunction: null, organization: null }
  return registration({ aws, ...more })
}

const PLAIN = `arn:aws:iam::${ACCOUNT}:role/payments-api`

async function setUp(registrations: readonly Registration[] = [forRole(PLAIN)], accounts = [ACCOUNT]) {
  const authority = await createTestAuthority({
    providers: [],
    aws: {
      accounts: new Set(accounts),
      sigv4: { regions: ['eu-west-1', 'us-east-1', 'cn-north-1'], stsEndpoint: sts.endpoint },
      principalTags: [],
    },
    registrations,
    app: { fetchTimeoutMs: 500 },
  })
  const keys = await createKeys('P-256')
  const csr = await createCsr({ keys })
  const spki = Buffer.from(await crypto.subtle.exportKey('spki', keys.publicKey))
  const binding = `x509:${createHash('sha256').update(spki).digest('base64url')}`
  const prove = (role: RoleInput = { role: 'payments-api' }, more: Partial<AwsProofInput> = {}) =>
    signAwsProof(sts.addRole(role), { audience: AUDIENCE, binding, date: authority.clock.now(), ...more })
  return { authority, csr, binding, prove }
}

async function expectRefused(
  status: number,
  code: string,
  role?: RoleInput,
  more?: Partial<AwsProofInput>,
  change: object = {},
) {
  const { authority, csr, prove } = await setUp()
  const aws = { ...(await prove(role, more)), ...change }
  const answer = await authority.post({ csr, aws }, null)
  expect(answer.status).toBe(status)
  expect(authority.log.at(-1)).toMatchObject({ event: 'svid.refused', code })
  expect(authority.issuances).toEqual([])
  return answer
}

describe('a good signature', () => {
  test.each([false, true])('gets the SVID of its role, applyChecksum %s', async (applyChecksum) => {
    const { authority, csr, prove } = await setUp()
    const answer = await authority.post({ csr, aws: await prove(undefined, { applyChecksum }) }, null)
    expect(answer.status).toBe(201)
    expect(authority.issuances[0]?.proof).toMatchObject({
      issuer: `arn:aws:sts::${ACCOUNT}`,
      subject: `arn:aws:sts::${ACCOUNT}:assumed-role/payments-api`,
    })
    expect(sts.requests.at(-1)).toMatchObject({
      method: 'POST',
      url: '/',
      body: 'Action=GetCallerIdentity&Version=2011-06-15',
    })
  })

  test('may be shown again for the same key, and for no other', async () => {
    const { authority, csr, prove } = await setUp()
    const aws = await prove()
    for (const again of [csr, csr]) expect((await authority.post({ csr: again, aws }, null)).status).toBe(201)
    expect((await authority.post({ csr: await createCsr(), aws }, null)).status).toBe(401)
  })

  test('attack 3: for a JWT-SVID is bound to the audience', async () => {
    const { authority, prove } = await setUp([forRole(PLAIN, { audiences: ['https://a.example'] })])
    const audience = 'https://a.example'
    const binding = `jwt:${createHash('sha256').update('https://b.example').digest('base64url')}`
    const post = (aws: unknown) =>
      authority.app.request('/v1/svid/jwt', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ audience, aws }),
      })
    expect((await post(await prove(undefined, { binding }))).status).toBe(401)
  })
})

describe('what was signed for something else is refused by STS itself', () => {
  const other = `x509:${'A'.repeat(43)}`
  test.each<[string, Partial<AwsProofInput>]>([
    ['attack 2: another service', { audience: 'https://other.example' }],
    ['attack 3: another key', { binding: other }],
    ['attack 3: a JWT-SVID', { binding: `jwt:${'A'.repeat(43)}` }],
    ['attack 3: another region', { host: 'sts.us-east-1.amazonaws.com' }],
    ['attack 5: the global host', { host: 'sts.amazonaws.com' }],
    ['attack 1: another action', { body: 'Action=AssumeRole&Version=2011-06-15' }],
  ])('%s', async (_name, more) => {
    const answer = await expectRefused(401, 'sts-refused', undefined, more)
    expect(await answer.json()).toMatchObject({ code: 'proof-refused' })
  })

  test.each<[string, object]>([
    ['attack 3: a region that was not signed for', { region: 'us-east-1' }],
    ['attack 3: a date that was not signed', { date: '20261124T120001Z' }],
    ['another session token', { sessionToken: 'other' }],
    ['no session token', { sessionToken: undefined }],
    ['another signature', { signature: 'a'.repeat(64) }],
    ['an extra header that was not signed', { signed: ['content-length'] }],
  ])('%s', async (_name, change) => {
    await expectRefused(401, 'sts-refused', undefined, {}, change)
  })
})

describe('what is refused before STS hears of it', () => {
  test.each<[string, string, object]>([
    ['attack 3: six minutes old', 'aws-date-refused', { date: '20261124T115400Z' }],
    ['attack 3: six minutes ahead', 'aws-date-refused', { date: '20261124T120600Z' }],
    ['a date in month 13', 'aws-date-refused', { date: '20261324T120000Z' }],
    ['attack 5: a region that is not configured', 'aws-region-refused', { region: 'eu-west-2' }],
    ['attack 5: a region that is not', 'aws-region-refused', { region: 'evil.example/' }],
    ['a FIPS host where there is none', 'aws-region-refused', { endpoint: 'fips' }],
  ])('%s', async (_name, code, change) => {
    const before = sts.requests.length
    await expectRefused(401, code, undefined, {}, change)
    expect(sts.requests.length).toBe(before)
  })

  test.each<[string, object]>([
    ['attack 1: a URL', { url: 'https://sts.amazonaws.com/' }],
    ['attack 4: headers', { headers: {} }],
    ['attack 4: a line break', { sessionToken: 'a\r\nX-Evil: 1' }],
  ])('%s', async (_name, change) => {
    const before = sts.requests.length
    await expectRefused(400, 'request-malformed', undefined, {}, change)
    expect(sts.requests.length).toBe(before)
  })

  test('attack 4: a key that stands twice', async () => {
    const { authority, csr, prove } = await setUp()
    const text = JSON.stringify({ csr, aws: await prove() }).replace(
      '"region":',
      '"region":"eu-west-1","region":',
    )
    expect((await authority.post(text, null)).status).toBe(400)
  })

  test('attack 51: a signature beside a token, and neither of both', async () => {
    const { authority, csr, prove } = await setUp()
    expect((await authority.post({ csr, aws: await prove() }, 'a.b.c')).status).toBe(401)
    expect((await authority.post({ csr }, null)).status).toBe(401)
  })
})

describe('whose signature it is', () => {
  const principal = (arn: string, userId = 'AIDAAAAAAAAAAAAAAAAAA') => ({
    role: 'x',
    principal: { arn, userId },
  })
  test.each<[string, RoleInput, string]>([
    [
      'attack 9: a session that is named like the role',
      { role: 'other', session: 'payments-api' },
      'registration-none',
    ],
    [
      'attack 11: the same role of another account',
      { role: 'payments-api', account: '999999999999' },
      'aws-account-unknown',
    ],
    ['attack 13: another partition', { role: 'payments-api', partition: 'aws-cn' }, 'sts-answer-refused'],
    ['attack 13: root', principal(`arn:aws:iam::${ACCOUNT}:root`, ACCOUNT), 'aws-principal-refused'],
    ['attack 13: a user', principal(`arn:aws:iam::${ACCOUNT}:user/payments-api`), 'aws-principal-refused'],
    [
      'attack 13: a federated user',
      principal(`arn:aws:sts::${ACCOUNT}:federated-user/payments-api`),
      'aws-principal-refused',
    ],
    [
      'attack 13: a role itself',
      principal(`arn:aws:iam::${ACCOUNT}:role/payments-api`),
      'aws-principal-refused',
    ],
    [
      'attack 46: an id of another session',
      principal(`arn:aws:sts::${ACCOUNT}:assumed-role/payments-api/aa`, 'AROAAAAAAAAAAAAAAAAAA:bb'),
      'sts-answer-refused',
    ],
    [
      'attack 46: an id of another session that begins alike',
      principal(`arn:aws:sts::${ACCOUNT}:assumed-role/payments-api/aa`, 'AROAAAAAAAAAAAAAAAAAA:aab'),
      'sts-answer-refused',
    ],
    [
      'attack 46: a user id',
      principal(`arn:aws:sts::${ACCOUNT}:assumed-role/payments-api/aa`, 'AIDAAAAAAAAAAAAAAAAAA:aa'),
      'sts-answer-refused',
    ],
  ])('%s', async (_name, role, code) => {
    await expectRefused(code === 'registration-none' ? 403 : 401, code, role)
  })

  test('attack 11: an account that is not that of the role, though both are listed', async () => {
    const other = '444455556666'
    const each = [ACCOUNT, other].map((account) =>
      forRole(`arn:aws:iam::${account}:role/payments-api`, { name: `of-${account}` }),
    )
    const { authority, csr, prove } = await setUp(each, [ACCOUNT, other])
    const arn = `arn:aws:sts::${other}:assumed-role/payments-api/aa`
    const mixed = { role: 'x', principal: { arn, userId: 'AROAAAAAAAAAAAAAAAAAA:aa' } }
    expect((await authority.post({ csr, aws: await prove({ ...mixed, account: other }) }, null)).status).toBe(
      201,
    )
    expect(
      (await authority.post({ csr, aws: await prove({ ...mixed, account: ACCOUNT }) }, null)).status,
    ).toBe(401)
    expect(authority.log.at(-1)).toMatchObject({ code: 'sts-answer-refused' })
  })

  test('attack 9: a wildcard for roles takes no session', async () => {
    const rule = forRole(`arn:aws:iam::${ACCOUNT}:role/*-admin`, {}, true)
    const { authority, csr, prove } = await setUp([rule])
    const aws = await prove({ role: 'reader', session: 'x-admin' })
    expect((await authority.post({ csr, aws }, null)).status).toBe(403)
    const named = await prove({ role: 'x-admin', session: 'reader' })
    expect((await authority.post({ csr, aws: named }, null)).status).toBe(201)
  })

  test('attack 10: a registration whose role has a path takes no SigV4', async () => {
    const { authority, csr, prove } = await setUp([forRole(`arn:aws:iam::${ACCOUNT}:role/team/payments-api`)])
    const aws = await prove({ role: 'payments-api', path: '/team/' })
    expect((await authority.post({ csr, aws }, null)).status).toBe(403)
  })

  test.each<[string, boolean, number]>([
    ['attack 10: a wildcard takes no role of a path that is not shown', false, 403],
    ['attack 10: but where the registration says anyPath', true, 201],
  ])('%s', async (_name, anyPath, status) => {
    const rule = forRole(`arn:aws:iam::${ACCOUNT}:role/payments-*`, {}, anyPath)
    const { authority, csr, prove } = await setUp([rule])
    // Its creator may make roles under /team/ alone, and chose the name.
    const aws = await prove({ role: 'payments-api', path: '/team/' })
    expect((await authority.post({ csr, aws }, null)).status).toBe(status)
  })

  test('attack 10: explain names anyPath, and no pattern', async () => {
    const { authority, csr, prove } = await setUp([forRole(`arn:aws:iam::${ACCOUNT}:role/payments-*`)])
    const answer = await authority.app.request('/v1/explain', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ for: 'x509', csr, aws: await prove() }),
    })
    const text = await answer.text()
    expect(JSON.parse(text)).toMatchObject({ registrations: [{ matches: false, missing: ['anyPath'] }] })
    expect(text).not.toContain('*')
  })

  test('attack 11: two accounts with one role name get two identities, in any order', async () => {
    const accounts = [ACCOUNT, '444455556666']
    const each = accounts.map((account) =>
      forRole(`arn:aws:iam::${account}:role/api`, {
        name: `of-${account}`,
        spiffeId: 'spiffe://example.org/{account}/{role}',
      }),
    )
    const { authority, csr, prove } = await setUp(each, accounts)
    for (const account of [...accounts, ...accounts.toReversed()]) {
      const answer = await authority.post({ csr, aws: await prove({ role: 'api', account }) }, null)
      expect(await answer.json()).toMatchObject({ spiffeId: `spiffe://example.org/${account}/api` })
    }
  })
})

describe('an STS that lies or fails', () => {
  const fields = {
    Account: ACCOUNT,
    Arn: `arn:aws:sts::${ACCOUNT}:assumed-role/payments-api/s`,
    UserId: 'AROAAAAAAAAAAAAAAAAAA:s',
  }
  const good = success(true, 'GetCallerIdentity', fields)
  const text = (body: string, contentType = 'application/json', status = 200): StsMisbehaviour => ({
    kind: 'answer',
    answer: { status, contentType, body },
  })
  const twice = good.body.replace('"Account"', '"Account":"999999999999","Account"')
  test.each<[string, StsMisbehaviour, string]>([
    [
      'attack 7: 301 to another host',
      { kind: 'redirect', status: 301, to: 'https://evil.example/' },
      'sts-unavailable',
    ],
    [
      'attack 7: 307 to http',
      { kind: 'redirect', status: 307, to: 'http://sts.eu-west-1.amazonaws.com/' },
      'sts-unavailable',
    ],
    ['attack 7: 308 to itself', { kind: 'redirect', status: 308, to: '/' }, 'sts-unavailable'],
    [
      'attack 8: XML',
      { kind: 'answer', answer: success(false, 'GetCallerIdentity', fields) },
      'sts-answer-refused',
    ],
    ['attack 8: JSON that is called XML', text(good.body, 'text/xml'), 'sts-answer-refused'],
    [
      'attack 8: XML that is called JSON',
      text(success(false, 'GetCallerIdentity', fields).body),
      'sts-answer-refused',
    ],
    ['attack 8: junk before it', text(`junk${good.body}`), 'sts-answer-refused'],
    ['attack 8: junk behind it', text(`${good.body}junk`), 'sts-answer-refused'],
    ['attack 8: two results', text(twice), 'sts-answer-refused'],
    [
      'attack 8: a field more',
      text(good.body.replace('{"Account"', '{"Extra":"x","Account"')),
      'sts-answer-refused',
    ],
    [
      'attack 1: the answer to another action',
      text(success(true, 'AssumeRoleWithWebIdentity', fields).body),
      'sts-answer-refused',
    ],
    [
      'attack 8: an answer over the cap',
      text(good.body + ' '.repeat(MAX_ANSWER_BYTES)),
      'sts-answer-refused',
    ],
    ['attack 8: an answer without end', { kind: 'grow' }, 'sts-answer-refused'],
    ['attack 8: an answer in drops', { kind: 'drip' }, 'sts-answer-refused'],
    ['no answer', { kind: 'stall' }, 'sts-unavailable'],
    ['201', text(good.body, 'application/json', 201), 'sts-unavailable'],
    ['500', { kind: 'answer', answer: failure(true, 500, 'InternalFailure', 'x') }, 'sts-unavailable'],
    ['a refusal', { kind: 'answer', answer: failure(true, 403, 'ExpiredToken', 'x') }, 'sts-refused'],
  ])('%s', async (_name, how, code) => {
    sts.misbehave(how)
    await expectRefused(401, code)
  })
})

test('attack 14, 53: neither log nor answer holds token, signature or key, and AWS codes stay inside', async () => {
  const { authority, csr, prove } = await setUp()
  const aws = await prove({ role: 'payments-api' })
  const refused = await prove({ role: 'other' })
  const answers = [
    await authority.post({ csr, aws }, null),
    await authority.post({ csr, aws: refused }, null),
    await authority.post({ csr, aws: { ...aws, signature: 'b'.repeat(64) } }, null),
  ]
  const text = JSON.stringify([authority.log, await Promise.all(answers.map((answer) => answer.text()))])
  for (const { sessionToken, signature } of [aws, refused]) {
    expect(text).not.toContain(sessionToken)
    expect(text).not.toContain(signature)
  }
  expect(JSON.stringify(authority.log)).toContain('SignatureDoesNotMatch')
  expect(
    await authority.post({ csr, aws: { ...aws, signature: 'b'.repeat(64) } }, null).then((a) => a.text()),
  ).not.toContain('SignatureDoesNotMatch')
})
