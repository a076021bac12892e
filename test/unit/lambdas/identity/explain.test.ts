// POST /v1/explain: what a proof would get. It issues nothing, uses nothing up, and tells no value of a registration.
import { describe, expect, test } from 'vitest'
import { createFakeIssuer, fetchOf, goodClaims } from '../../../fakes/oidc-issuer.ts'
import {
  AUDIENCE,
  createCsr,
  createKeys,
  createTestAuthority,
  provider,
  registration,
  type TestAuthority,
} from './support.ts'

async function explain(authority: TestAuthority, body: unknown, token: string | null) {
  return authority.app.request('/v1/explain', {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...(token === null ? {} : { authorization: `Bearer ${token}` }),
    },
    body: JSON.stringify(body),
  })
}

const registrations = [
  registration({
    name: 'api',
    claims: { team: 'payments' },
    spiffeId: 'spiffe://example.org/{team}/{service}',
    dnsNames: ['api.internal'],
  }),
  registration({ name: 'secret-rule', claims: { team: 'orders', region: 'hush-hush' } }),
]

test('names the registration, the ID, the end and the DNS names', async () => {
  const authority = await createTestAuthority({ registrations })
  const token = await authority.token({ team: 'payments', service: 'api' })
  const answer = await explain(authority, { for: 'x509', csr: await createCsr() }, token)
  expect(answer.status).toBe(200)
  expect(await answer.json()).toMatchObject({
    proof: { kind: 'oidc', provider: 'main', subject: 'workload', keyBound: false },
    registrations: [
      { name: 'api', matches: true, missing: [] },
      { name: 'secret-rule', matches: false, missing: ['claims.team', 'claims.region'] },
    ],
    result: {
      granted: true,
      registration: 'api',
      spiffeId: 'spiffe://example.org/payments/api',
      dnsNames: ['api.internal'],
    },
  })
})

test('says what was missing, and no value that a registration asks for', async () => {
  const authority = await createTestAuthority({ registrations })
  const answer = await explain(
    authority,
    { for: 'x509', csr: await createCsr() },
    await authority.token({ team: 'x' }),
  )
  const text = await answer.text()
  expect(JSON.parse(text)).toMatchObject({ result: { granted: false, code: 'registration-refused' } })
  expect(text).not.toContain('hush-hush')
  const noService = await explain(
    authority,
    { for: 'x509', csr: await createCsr() },
    await authority.token({ team: 'payments' }),
  )
  expect(await noService.json()).toMatchObject({
    result: { granted: false, reason: expect.stringContaining('service') },
  })
})

test.each([
  'https://token.actions.githubusercontent.com',
  'https://token.actions.githubusercontent.com/acme',
  'https://gitlab.com',
  'https://accounts.google.com',
])('attack 53: a stranger with a token of %s learns of no registration', async (url) => {
  const issuer = await createFakeIssuer(url)
  const authority = await createTestAuthority({
    providers: [provider({ issuer: url, jwksUri: `${url}/keys` })],
    registrations,
    fetch: fetchOf(issuer),
  })
  const ask = async (claims: object) => {
    const good = goodClaims(url, AUDIENCE, authority.clock.now())
    const token = await issuer.sign({ ...good, ...claims })
    return (await explain(authority, { for: 'x509', csr: await createCsr() }, token)).text()
  }
  const stranger = await ask({ team: 'strangers' })
  expect(JSON.parse(stranger)).toMatchObject({ registrations: [], result: { granted: false } })
  expect(stranger).not.toMatch(/api|secret-rule/)
  // Who is one of ours is told what is his, and of the rest as little.
  const own = await ask({ team: 'payments', service: 'billing' })
  expect(JSON.parse(own)).toMatchObject({ registrations: [{ name: 'api', matches: true }] })
  expect(own).not.toContain('secret-rule')
})

test('issues nothing and uses no token up', async () => {
  const authority = await createTestAuthority({ providers: [provider({ reuse: 'once' })] })
  const token = await authority.token()
  for (let round = 0; round < 3; round++) {
    expect((await explain(authority, { for: 'x509', csr: await createCsr() }, token)).status).toBe(200)
  }
  expect(authority.issuances).toEqual([])
  expect((await authority.post({ csr: await createCsr() }, token)).status).toBe(201)
  expect((await authority.post({ csr: await createCsr() }, token)).status).toBe(401)
})

test('attack 51: is for nobody without a proof', async () => {
  const authority = await createTestAuthority({ registrations })
  const csr = await createCsr()
  expect((await explain(authority, { for: 'x509', csr }, null)).status).toBe(401)
  expect((await explain(authority, { for: 'x509', csr }, await authority.token({ aud: 'x' }))).status).toBe(
    401,
  )
  expect((await explain(authority, { for: 'ssh', csr }, await authority.token())).status).toBe(400)
})

describe('a proof that was used before', () => {
  const audiences = ['https://api.example', 'https://other.example']
  const used = (authority: TestAuthority, body: unknown, token: string) =>
    explain(authority, body, token).then(async (answer) => {
      expect(answer.status).toBe(200)
      return ((await answer.json()) as { result: unknown }).result
    })

  test('gets nothing with another key, and what it got with its own', async () => {
    const authority = await createTestAuthority()
    const token = await authority.token()
    const csr = await createCsr({ keys: await createKeys('P-256') })
    expect((await authority.post({ csr }, token)).status).toBe(201)
    expect(await used(authority, { for: 'x509', csr }, token)).toMatchObject({ granted: true })
    const other = await createCsr()
    expect(await used(authority, { for: 'x509', csr: other }, token)).toEqual({
      granted: false,
      code: 'proof-refused',
      reason: 'used before with another key',
    })
    expect((await authority.post({ csr: other }, token)).status).toBe(401)
    // The look tied nothing: the first key still may.
    expect((await authority.post({ csr }, token)).status).toBe(201)
  })

  test('gets no JWT-SVID for another audience', async () => {
    const authority = await createTestAuthority({ registrations: [registration({ audiences })] })
    const token = await authority.token()
    expect((await authority.post({ csr: await createCsr() }, token)).status).toBe(201)
    expect(await used(authority, { for: 'jwt', audience: audiences[0] }, token)).toMatchObject({
      granted: false,
      reason: 'used before with another key',
    })
  })

  test('gets nothing more where its issuer lets it be used once', async () => {
    const authority = await createTestAuthority({ provider: { reuse: 'once' } })
    const token = await authority.token()
    const csr = await createCsr()
    expect(await used(authority, { for: 'x509', csr }, token)).toMatchObject({ granted: true })
    expect((await authority.post({ csr }, token)).status).toBe(201)
    expect(await used(authority, { for: 'x509', csr }, token)).toMatchObject({
      granted: false,
      reason: 'used before',
    })
  })

  test('gets it again where its issuer lets it be shown until it ends', async () => {
    const authority = await createTestAuthority({
      provider: { reuse: 'untilExpiry', maxTokenAgeMs: 600_000 },
    })
    const token = await authority.token()
    expect((await authority.post({ csr: await createCsr() }, token)).status).toBe(201)
    expect(await used(authority, { for: 'x509', csr: await createCsr() }, token)).toMatchObject({
      granted: true,
    })
  })
})

describe('what fails at the authority is no explanation', () => {
  const failing = () => Promise.reject(new Error('no table of that name: secret-table'))
  const now = () => new Date('2026-11-24T12:00:00.000Z')
  test.each<[string, Parameters<typeof createTestAuthority>[0], string]>([
    [
      'used proofs cannot be looked up',
      { app: { replay: { put: failing, peek: failing } } },
      'replay-store-unavailable',
    ],
    ['there is no CA', { app: { authority: { current: failing, readAt: now } } }, 'internal-error'],
  ])('%s', async (_name, options, code) => {
    const authority = await createTestAuthority(options)
    const answer = await explain(authority, { for: 'x509', csr: await createCsr() }, await authority.token())
    expect(answer.status).toBe(code === 'internal-error' ? 500 : 503)
    const text = await answer.text()
    expect(JSON.parse(text)).toMatchObject({ code })
    expect(text).not.toContain('secret-table')
    expect(authority.log.at(-1)).toMatchObject({ event: 'svid.refused', level: 'error' })
  })

  test('the CA has expired', async () => {
    const authority = await createTestAuthority()
    authority.clock.advance(8 * 86_400_000)
    const answer = await explain(authority, { for: 'x509', csr: await createCsr() }, await authority.token())
    expect(answer.status).toBe(503)
    expect(await answer.json()).toMatchObject({ code: 'authority-unavailable' })
  })
})
