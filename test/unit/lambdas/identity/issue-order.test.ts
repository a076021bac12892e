// The order of an issuance, by both routes: a proof is used up after every check that could still refuse it (attack 30), and
// nothing is answered before its record stands (attack 52).
import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { AuthorityError } from '../../../../lambdas/identity/authority/document.ts'
import { parseRolePattern } from '../../../../lambdas/identity/proofs/aws/arn.ts'
import { createMemoryReplayStore } from '../../../../lambdas/identity/replay/memory.ts'
import type { ReplayEntry } from '../../../../lambdas/identity/replay/store.ts'
import { createFakeIssuer, fetchOf, goodClaims } from '../../../fakes/oidc-issuer.ts'
import {
  AUDIENCE,
  createClock,
  createCsr,
  createTestAuthority,
  ISSUER,
  provider,
  type RegistrationInput,
  registration,
  type TestAuthority,
  type TestAuthorityOptions,
} from './support.ts'

const PARTNER = 'https://api.partner.example'

type Route = 'x509' | 'jwt'
const ROUTES: readonly Route[] = ['x509', 'jwt']

async function ask(authority: TestAuthority, route: Route, token: string, more: object = {}) {
  const body = route === 'x509' ? { csr: await createCsr() } : { audience: PARTNER }
  return authority.app.request(`/v1/svid/${route}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
    body: JSON.stringify({ ...body, ...more }),
  })
}

/** An authority whose every proof is for one use, with what its replay store was asked to remember. */
async function setUp(rule: RegistrationInput = {}, options: TestAuthorityOptions = {}) {
  const store = createMemoryReplayStore({ clock: createClock().now })
  const puts: ReplayEntry[] = []
  const put = async (entry: ReplayEntry) => {
    puts.push(entry)
    return store.put(entry)
  }
  const authority = await createTestAuthority({
    providers: [provider({ reuse: 'once' })],
    registrations: [registration({ audiences: [PARTNER], ...rule })],
    ...options,
    app: { replay: { ...store, put }, ...options.app },
  })
  return { authority, puts }
}

interface Refusal {
  readonly routes?: readonly Route[]
  readonly rule?: RegistrationInput
  readonly claims?: Readonly<Record<string, unknown>>
  readonly body?: object
  readonly status: number
}

const REFUSALS: Readonly<Record<string, Refusal>> = {
  'the token is for another audience': { claims: { aud: 'https://other.example' }, status: 401 },
  'the token has expired': { claims: { iat: 1, exp: 2 }, status: 401 },
  'the token is bound to something else': {
    claims: { aud: `${AUDIENCE}#x509:${createHash('sha256').update('x').digest('base64url')}` },
    status: 401,
  },
  'the body has a key too many': { body: { spiffeId: 'spiffe://example.org/admin' }, status: 400 },
  'the CSR cannot be read': { routes: ['x509'], body: { csr: 'x' }, status: 400 },
  'no registration matches': { claims: { sub: 'stranger' }, status: 403 },
  'the registration named does not match': { body: { registration: 'other' }, status: 403 },
  'the template has no value': { rule: { spiffeId: 'spiffe://example.org/{team}' }, status: 403 },
  'the ID is reserved': { rule: { spiffeId: 'spiffe://example.org/sallyport/x' }, status: 403 },
  'the audience is not listed': { routes: ['jwt'], rule: { audiences: ['https://x.example'] }, status: 403 },
  'the limit of the minute is reached': { rule: { perMinute: 0 }, status: 429 },
}

describe.each(ROUTES)('by /v1/svid/%s, a proof is not used up', (route) => {
  const cases = Object.entries(REFUSALS).filter(([, { routes = ROUTES }]) => routes.includes(route))
  test.each(cases)('attack 30: where %s', async (_name, { rule, claims, body, status }) => {
    const { authority, puts } = await setUp(rule)
    const answer = await ask(authority, route, await authority.token(claims), body)
    expect(answer.status).toBe(status)
    expect(puts).toEqual([])
  })

  test('attack 30: where there is no authority to sign', async () => {
    const current = () => Promise.reject(new AuthorityError('authority-unborn', 'there is no CA yet'))
    const { authority, puts } = await setUp(
      {},
      { app: { authority: { current, readAt: createClock().now } } },
    )
    expect((await ask(authority, route, await authority.token())).status).toBe(503)
    expect(puts).toEqual([])
  })

  test('attack 30: where the AWS credentials behind it are about to end', async () => {
    const account = '111122223333'
    const issuer = await createFakeIssuer(ISSUER, { algorithm: 'ES384' })
    const role = parseRolePattern(`arn:aws:iam::${account}:role/api`)
    if (role === null) throw new Error('no role')
    const aws = {
      ...{ role, anyPath: false, roleId: null, principalTags: {}, lambdaFunction: null },
      organization: null,
    }
    const { authority, puts } = await setUp(
      { aws },
      {
        providers: [provider({ kind: 'aws', name: 'aws', account, reuse: 'once' })],
        fetch: fetchOf(issuer),
      },
    )
    const now = authority.clock.now()
    const token = (left: number) =>
      issuer.sign({
        ...goodClaims(ISSUER, AUDIENCE, now),
        sub: `arn:aws:iam::${account}:role/api`,
        'https://sts.amazonaws.com/': {
          aws_account: account,
          original_session_exp: now.getTime() / 1000 + left,
        },
      })
    expect((await ask(authority, route, await token(299))).status).toBe(401)
    expect(puts).toEqual([])
    expect((await ask(authority, route, await token(300))).status).toBe(201)
    expect(puts).toHaveLength(1)
  })

  test('attack 30: by a forged token that comes first with its id', async () => {
    const stranger = await createFakeIssuer(ISSUER)
    const neighbour = await createFakeIssuer('https://neighbour.example')
    const issuer = await createFakeIssuer(ISSUER)
    const { authority, puts } = await setUp(
      {},
      {
        providers: [
          provider({ reuse: 'once' }),
          provider({ name: 'neighbour', issuer: neighbour.issuer, reuse: 'once' }),
        ],
        fetch: fetchOf(issuer, neighbour),
      },
    )
    const seconds = Math.floor(authority.clock.now().getTime() / 1000)
    const times = { aud: AUDIENCE, sub: 'workload', iat: seconds, exp: seconds + 300 }
    const claims = { ...times, iss: ISSUER, jti: 'of-the-victim' }
    // By nobody's key, by a key of another listed issuer, and as a token of that issuer.
    expect((await ask(authority, route, await stranger.sign(claims))).status).toBe(401)
    expect((await ask(authority, route, await neighbour.sign(claims))).status).toBe(401)
    const named = await neighbour.sign({ ...claims, iss: neighbour.issuer })
    expect((await ask(authority, route, named)).status).toBe(403)
    expect(puts).toEqual([])
    const victims = await issuer.sign(claims)
    expect((await ask(authority, route, victims)).status).toBe(201)
    expect((await ask(authority, route, victims)).status).toBe(401)
  })
})

test('attack 30: by /v1/svid/x509, a proof is not used up where the issuing CA has ended', async () => {
  const { authority, puts } = await setUp()
  authority.clock.advance(8 * 86_400_000)
  expect((await ask(authority, 'x509', await authority.token())).status).toBe(503)
  expect(puts).toEqual([])
})

describe.each(ROUTES)('by /v1/svid/%s, the record', (route) => {
  test('attack 52: stands before the answer', async () => {
    const order: string[] = []
    const put = async () => {
      // Long enough for an answer that did not wait to overtake it.
      for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate)
      order.push('recorded')
    }
    const { authority } = await setUp({}, { app: { issuances: { put } } })
    const answer = await ask(authority, route, await authority.token())
    order.push('answered')
    expect(answer.status).toBe(201)
    expect(order).toEqual(['recorded', 'answered'])
  })

  test('attack 52: that fails late fails the request, with nothing in the answer', async () => {
    const put = async () => {
      await new Promise(setImmediate)
      throw new Error('the table is gone')
    }
    const { authority } = await setUp({}, { app: { issuances: { put } } })
    const answer = await ask(authority, route, await authority.token())
    expect(answer.status).toBe(503)
    expect(await answer.text()).not.toMatch(/eyJ|BEGIN CERTIFICATE/)
  })
})
