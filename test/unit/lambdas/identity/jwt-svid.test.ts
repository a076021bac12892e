// JWT-SVIDs: to the standard, for listed audiences alone, recorded, and verified by who knows SPIFFE and by who does not.
import { createHash } from 'node:crypto'
import { createLocalJWKSet, decodeProtectedHeader, importJWK, type JSONWebKeySet, jwtVerify } from 'jose'
import { describe, expect, test } from 'vitest'
import { readBundle } from '../../../../spiffe/bundle.ts'
import { startFakeSts } from '../../../fakes/sts/sts.ts'
import { signAwsProof } from '../../../fixtures/aws-proof.ts'
import { parseRolePattern } from '../../../../lambdas/identity/proofs/aws/arn.ts'
import {
  AUDIENCE,
  createClock,
  createTestAuthority,
  provider,
  registration,
  type TestAuthority,
  TRUST_DOMAIN,
} from './support.ts'

const PARTNER = 'https://api.partner.example'

interface Issued {
  readonly token: string
  readonly spiffeId: string
  readonly expiresAt: string
}

const listed = (more: Parameters<typeof registration>[0] = {}) =>
  registration({ audiences: [PARTNER, 'https://other.example'], ...more })

async function ask(authority: TestAuthority, body: object, token: string | null): Promise<Response> {
  return authority.app.request('/v1/svid/jwt', {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...(token === null ? {} : { authorization: `Bearer ${token}` }),
    },
    body: JSON.stringify(body),
  })
}

const get = async (authority: TestAuthority, path: string) => authority.app.request(path)

describe('a JWT-SVID', () => {
  test('has the header and the claims of the standard, and is verified by the OIDC keys', async () => {
    const authority = await createTestAuthority({ registrations: [listed()] })
    const answer = await ask(authority, { audience: PARTNER }, await authority.token())
    expect(answer.status).toBe(201)
    const { token, spiffeId, expiresAt } = (await answer.json()) as Issued
    const keys = (await (await get(authority, '/v1/jwks')).json()) as JSONWebKeySet
    expect(keys.keys).toEqual([
      {
        kty: 'EC',
        crv: 'P-256',
        x: expect.any(String),
        y: expect.any(String),
        kid: expect.any(String),
        alg: 'ES256',
        use: 'sig',
      },
    ])
    const { payload, protectedHeader } = await jwtVerify(token, createLocalJWKSet(keys), {
      issuer: AUDIENCE,
      audience: PARTNER,
      algorithms: ['ES256'],
      currentDate: authority.clock.now(),
    })
    expect(protectedHeader).toEqual({ alg: 'ES256', kid: keys.keys[0]?.kid, typ: 'JWT' })
    expect(Object.keys(payload).toSorted()).toEqual(['aud', 'exp', 'iat', 'iss', 'jti', 'sub'])
    expect(payload).toMatchObject({ sub: 'spiffe://example.org/workload', aud: PARTNER })
    expect(spiffeId).toBe('spiffe://example.org/workload')
    expect(Date.parse(expiresAt) - authority.clock.now().getTime()).toBe(300_000)
  })

  test('is verified by the jwt-svid key of the trust bundle', async () => {
    const authority = await createTestAuthority({ registrations: [listed()] })
    const { token } = (await (
      await ask(authority, { audience: PARTNER }, await authority.token())
    ).json()) as Issued
    const bundle = readBundle(await (await get(authority, '/v1/bundle')).text(), TRUST_DOMAIN)
    const key = bundle.jwtAuthorities.find(({ keyId }) => keyId === decodeProtectedHeader(token).kid)
    if (key === undefined) throw new Error('the bundle has no such key')
    await jwtVerify(token, await importJWK(key.key, 'ES256'), { currentDate: authority.clock.now() })
  })

  test('attack 50: is signed by a key that no certificate has', async () => {
    const authority = await createTestAuthority({ registrations: [listed()] })
    const bundle = readBundle(await (await get(authority, '/v1/bundle')).text(), TRUST_DOMAIN)
    const jwk = bundle.jwtAuthorities.map(({ key }) => key.x)
    const x509 = new Set(
      [...bundle.x509Authorities, ...authority.state.issuing.chain].map(
        (certificate) => certificate.publicKey.export({ format: 'jwk' }).x,
      ),
    )
    expect(jwk.filter((x) => x509.has(String(x)))).toEqual([])
  })

  test('is recorded before it is answered', async () => {
    const authority = await createTestAuthority({ registrations: [listed()] })
    await ask(authority, { audience: PARTNER }, await authority.token())
    expect(authority.issuances).toMatchObject([
      {
        kind: 'jwt',
        audience: PARTNER,
        spiffeId: 'spiffe://example.org/workload',
        tokenId: expect.stringMatching(/^[0-9a-f]+$/),
      },
    ])
    authority.failIssuances = true
    const refused = await ask(authority, { audience: PARTNER }, await authority.token())
    expect(refused.status).toBe(503)
    expect(await refused.text()).not.toContain('eyJ')
  })

  test('attack 44: ends with its registration, and never after a token that may be shown often', async () => {
    const long = await createTestAuthority({
      providers: [provider({ reuse: 'untilExpiry', maxTokenAgeMs: 600_000 })],
      registrations: [listed({ jwtTtlSeconds: 3600 })],
    })
    const { expiresAt } = (await (
      await ask(long, { audience: PARTNER }, await long.token())
    ).json()) as Issued
    expect(Date.parse(expiresAt) - long.clock.now().getTime()).toBe(300_000)
  })
})

test.each<[string, number, number]>([
  ['29 seconds', 29, 401],
  ['30 seconds', 30, 201],
])('attack 44: of a token that ends in %s', async (_name, seconds, status) => {
  const authority = await createTestAuthority({
    provider: { reuse: 'untilExpiry', maxTokenAgeMs: 600_000 },
    registrations: [listed()],
  })
  const exp = authority.clock.now().getTime() / 1000 + seconds
  const answer = await ask(authority, { audience: PARTNER }, await authority.token({ exp }))
  expect(answer.status).toBe(status)
  expect(authority.issuances).toHaveLength(status === 201 ? 1 : 0)
})

describe('is refused', () => {
  test.each<[string, object, number]>([
    ['for an audience that is not listed', { audience: 'https://evil.example' }, 403],
    ['for one that begins with a listed one', { audience: `${PARTNER}.evil.example` }, 403],
    ['for one in other case', { audience: PARTNER.toUpperCase() }, 403],
    ['for two audiences', { audience: [PARTNER, 'https://other.example'] }, 400],
    ['without an audience', {}, 400],
    ['with a lifetime of its own', { audience: PARTNER, ttlSeconds: 9 }, 400],
    ['with claims of its own', { audience: PARTNER, sub: 'spiffe://example.org/admin' }, 400],
    ['with a line break', { audience: `${PARTNER}\n` }, 400],
  ])('%s', async (_name, body, status) => {
    const authority = await createTestAuthority({ registrations: [listed()] })
    expect((await ask(authority, body, await authority.token())).status).toBe(status)
    expect(authority.issuances).toEqual([])
  })

  test('where the registration lists no audience', async () => {
    const authority = await createTestAuthority()
    expect((await ask(authority, { audience: PARTNER }, await authority.token())).status).toBe(403)
    expect(authority.log.at(-1)).toMatchObject({ code: 'registration-audience' })
  })

  test('where no JWT key may sign', async () => {
    const authority = await createTestAuthority({ registrations: [listed()] })
    const state = { ...authority.state, jwt: { published: [], signingKey: () => null } }
    const without = await createTestAuthority({
      registrations: [listed()],
      app: { authority: { current: async () => state, readAt: authority.clock.now } },
    })
    expect((await ask(without, { audience: PARTNER }, await without.token())).status).toBe(503)
  })
})

describe('a proof', () => {
  test('is tied to the audience: again for the same, never for another, nor for a certificate', async () => {
    const authority = await createTestAuthority({ registrations: [listed()] })
    const token = await authority.token()
    for (const audience of [PARTNER, PARTNER])
      expect((await ask(authority, { audience }, token)).status).toBe(201)
    expect((await ask(authority, { audience: 'https://other.example' }, token)).status).toBe(401)
  })

  test('may be bound to the audience by its own audience', async () => {
    const authority = await createTestAuthority({ registrations: [listed({ keyBound: true })] })
    const digest = createHash('sha256').update(PARTNER).digest('base64url')
    const bound = () => authority.token({ aud: `${AUDIENCE}#jwt:${digest}` })
    expect((await ask(authority, { audience: PARTNER }, await bound())).status).toBe(201)
    expect((await ask(authority, { audience: 'https://other.example' }, await bound())).status).toBe(401)
    expect((await ask(authority, { audience: PARTNER }, await authority.token())).status).toBe(403)
  })

  test('attack 3: by SigV4 is used once', async () => {
    await using sts = await startFakeSts({ clock: createClock().now })
    const role = parseRolePattern('arn:aws:iam::111122223333:role/api')
    if (role === null) throw new Error('no role')
    const aws = {
      role,
      anyPath: false,
      roleId: null,
      principalTags: {},
      lambdaFunction: null,
      organization: null,
    }
    const authority = await createTestAuthority({
      aws: {
        accounts: new Set(['111122223333']),
        sigv4: { regions: ['eu-west-1'], stsEndpoint: sts.endpoint },
        principalTags: [],
      },
      registrations: [listed({ aws })],
    })
    const binding = `jwt:${createHash('sha256').update(PARTNER).digest('base64url')}`
    const proof = await signAwsProof(sts.addRole({ role: 'api' }), {
      audience: AUDIENCE,
      binding,
      date: authority.clock.now(),
    })
    expect((await ask(authority, { audience: PARTNER, aws: proof }, null)).status).toBe(201)
    expect((await ask(authority, { audience: PARTNER, aws: proof }, null)).status).toBe(401)
    expect(authority.log.at(-1)).toMatchObject({ code: 'token-used' })
    // Kept to the last moment at which the signature would be accepted.
    authority.clock.advance(5 * 60_000)
    expect((await ask(authority, { audience: PARTNER, aws: proof }, null)).status).toBe(401)
  })
})

test('explain says for which audience and until when', async () => {
  const authority = await createTestAuthority({ registrations: [listed()] })
  const explain = async (audience: string) =>
    authority.app.request('/v1/explain', {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${await authority.token()}` },
      body: JSON.stringify({ for: 'jwt', audience }),
    })
  expect(await (await explain(PARTNER)).json()).toMatchObject({
    result: { granted: true, audience: PARTNER },
  })
  expect(await (await explain('https://evil.example')).json()).toMatchObject({
    result: { granted: false, reason: expect.stringContaining('audience') },
  })
})

test('discovery, keys and description are for everybody', async () => {
  const authority = await createTestAuthority()
  const discovery = await get(authority, '/.well-known/openid-configuration')
  expect(await discovery.json()).toMatchObject({ issuer: AUDIENCE, jwks_uri: `${AUDIENCE}/v1/jwks` })
  const openapi = (await (await get(authority, '/v1/openapi.json')).json()) as {
    paths: Record<string, object>
  }
  expect(Object.keys(openapi.paths).toSorted()).toEqual([
    '/.well-known/openid-configuration',
    '/healthz',
    '/v1/bundle',
    '/v1/bundle.pem',
    '/v1/explain',
    '/v1/jwks',
    '/v1/openapi.json',
    '/v1/svid/jwt',
    '/v1/svid/x509',
  ])
})
