// Limits through the app: by registration and minute, by source; and that a count that fails issues nothing.
import { expect, test } from 'vitest'
import { createSourceLimiter } from '../../../../lambdas/identity/limits/source-bucket.ts'
import { createMemoryRateCounter } from '../../../../lambdas/identity/limits/counter.ts'
import {
  createClock,
  createCsr,
  createTestAuthority,
  provider,
  registration,
  type TestAuthority,
} from './support.ts'

test('a registration gives so many SVIDs a minute; a refused request uses no token up', async () => {
  const authority = await createTestAuthority({
    providers: [provider({ reuse: 'once' })],
    registrations: [registration({ perMinute: 2 })],
  })
  const post = async (token: string) => authority.post({ csr: await createCsr() }, token)
  expect((await post(await authority.token())).status).toBe(201)
  expect((await post(await authority.token())).status).toBe(201)
  const token = await authority.token()
  const refused = await post(token)
  expect(refused.status).toBe(429)
  expect(refused.headers.get('retry-after')).toBe('60')
  expect(await refused.json()).toMatchObject({ code: 'rate-limited' })
  authority.clock.advance(60_000)
  expect((await post(token)).status).toBe(201)
})

test('what is refused for another reason does not count', async () => {
  const authority = await createTestAuthority({ registrations: [registration({ perMinute: 1 })] })
  for (let round = 0; round < 3; round++) {
    const other = await authority.token({ aud: 'https://other.example' })
    expect((await authority.post({ csr: await createCsr() }, other)).status).toBe(401)
  }
  expect((await authority.post({ csr: await createCsr() }, await authority.token())).status).toBe(201)
})

type Ask = (authority: TestAuthority, token: string) => Promise<Response>
const askX509: Ask = async (authority, token) => authority.post({ csr: await createCsr() }, token)
const askJwt: Ask = async (authority, token) =>
  authority.app.request('/v1/svid/jwt', {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
    body: JSON.stringify({ audience: 'https://api.partner.example' }),
  })
const KINDS: readonly (readonly [string, Ask])[] = [
  ['an X.509-SVID', askX509],
  ['a JWT-SVID', askJwt],
]
const once = {
  providers: [provider({ reuse: 'once' })],
  registrations: [registration({ perMinute: 2, audiences: ['https://api.partner.example'] })],
}

test.each(KINDS)(
  'attack 30: one used token, shown again and again for %s, takes nothing from an honest caller',
  async (_kind, ask) => {
    const authority = await createTestAuthority(once)
    const used = await authority.token()
    expect((await ask(authority, used)).status).toBe(201)
    for (let round = 0; round < 10; round++) expect((await ask(authority, used)).status).toBe(401)
    expect((await ask(authority, await authority.token())).status).toBe(201)
    // Both that the minute gives were given, and no more.
    expect((await ask(authority, await authority.token())).status).toBe(429)
  },
)

test('a replay store that fails takes nothing from the count either', async () => {
  let fails = true
  const replay = {
    put: async () => {
      if (fails) throw new Error('no table')
      return 'stored' as const
    },
    peek: async () => null,
  }
  const authority = await createTestAuthority({ ...once, app: { replay } })
  for (let round = 0; round < 3; round++) {
    expect((await askX509(authority, await authority.token())).status).toBe(503)
  }
  fails = false
  expect((await askX509(authority, await authority.token())).status).toBe(201)
})

test('a count that cannot be given back is logged, and the refusal stays what it is', async () => {
  const counter = createMemoryRateCounter({ clock: createClock().now })
  const rates = { take: counter.take, giveBack: () => Promise.reject(new Error('no table')) }
  const authority = await createTestAuthority({ ...once, app: { rates } })
  const used = await authority.token()
  await askX509(authority, used)
  const answer = await askX509(authority, used)
  expect(await answer.json()).toMatchObject({ status: 401, code: 'proof-refused' })
  expect(authority.log).toContainEqual(
    expect.objectContaining({ event: 'rate.not-given-back', registration: 'workload', reason: 'no table' }),
  )
})

test('attack 52: a counter that fails: 503, and nothing issued', async () => {
  const rates = { take: () => Promise.reject(new Error('no table')), giveBack: async () => undefined }
  const authority = await createTestAuthority({ app: { rates } })
  const answer = await authority.post({ csr: await createCsr() }, await authority.token())
  expect(answer.status).toBe(503)
  expect(await answer.json()).toMatchObject({ code: 'rate-counter-unavailable' })
  expect(authority.issuances).toEqual([])
})

test('a source that asks too often is refused before its proof is looked at', async () => {
  const sources = createSourceLimiter({ perMinute: 1, clock: createClock().now })
  const authority = await createTestAuthority({ app: { sources } })
  expect((await authority.post({ csr: await createCsr() }, await authority.token())).status).toBe(201)
  expect((await authority.post({ csr: await createCsr() }, await authority.token())).status).toBe(429)
  expect(authority.issuer.total).toBe(2)
})
