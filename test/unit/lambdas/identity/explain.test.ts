// POST /v1/explain: what a proof would get. It issues nothing, uses nothing up, and tells no value of a registration.
import { expect, test } from 'vitest'
import { createFakeIssuer, fetchOf, goodClaims } from '../../../fakes/oidc-issuer.ts'
import {
  AUDIENCE,
  createCsr,
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
