// What is published by an instance that cannot read the CA document any more: it signs on, and gives no old set of keys
// out as a fresh one (attack 49).
import { describe, expect, test } from 'vitest'
import { createClock, createCsr, createState, createTestAuthority } from './support.ts'

async function setUp(ageMs: number) {
  const clock = createClock()
  const state = await createState(clock.now())
  const readAt = new Date(clock.now().getTime() - ageMs)
  const authority = { current: async () => state, readAt: () => readAt }
  return createTestAuthority({ app: { authority } })
}

const ROUTES = ['/v1/bundle', '/v1/bundle.pem', '/v1/jwks']

describe.each(ROUTES)('attack 49: GET %s', (route) => {
  test.each<[string, number, string]>([
    ['that was read just now', 0, '0'],
    ['that is as old as the refresh hint', 300_000, '300'],
  ])('gives a document %s, with its age', async (_name, ageMs, age) => {
    const { app } = await setUp(ageMs)
    const response = await app.request(route)
    expect(response.status).toBe(200)
    expect(response.headers.get('age')).toBe(age)
    expect(response.headers.get('cache-control')).toBe('max-age=60')
  })

  test.each<[string, number]>([
    ['that is older than the refresh hint', 300_001],
    ['whose age nobody knows, since the clock was set back', -1],
  ])('refuses to give a document %s', async (_name, ageMs) => {
    const { app } = await setUp(ageMs)
    const response = await app.request(route)
    expect(response.status).toBe(503)
    expect(response.headers.get('retry-after')).toBe('30')
    expect(response.headers.get('cache-control')).toBe('no-store')
    expect(await response.json()).toMatchObject({ code: 'authority-unavailable', status: 503 })
  })
})

test('signing and discovery go on with an old document', async () => {
  const authority = await setUp(86_400_000)
  expect((await authority.post({ csr: await createCsr() }, await authority.token())).status).toBe(201)
  expect((await authority.app.request('/.well-known/openid-configuration')).status).toBe(200)
})
