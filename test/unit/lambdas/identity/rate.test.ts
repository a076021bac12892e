// Limits through the app: by registration and minute, by source; and that a count that fails issues nothing.
import { expect, test } from 'vitest'
import { createSourceLimiter } from '../../../../lambdas/identity/limits/source-bucket.ts'
import { createClock, createCsr, createTestAuthority, provider, registration } from './support.ts'

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

test('attack 52: a counter that fails: 503, and nothing issued', async () => {
  const rates = { take: () => Promise.reject(new Error('no table')) }
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
