// Proof by an OIDC token as a whole: what signs, for whom, and who is asked (attacks 15, 19 to 22, 24, 25, 31).
import { createHmac } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { createOidcVerifier } from '../../../../../lambdas/identity/proofs/oidc.ts'
import {
  createFakeIssuer,
  fetchOf,
  goodClaims,
  KEYS_PATH,
  type SignOptions,
} from '../../../../fakes/oidc-issuer.ts'
import { AUDIENCE, createClock, ISSUER, provider } from '../support.ts'

async function setUp(algorithm = 'ES256') {
  const clock = createClock()
  const issuer = await createFakeIssuer(ISSUER, { algorithm })
  const other = await createFakeIssuer('https://other.example', { algorithm })
  const verifier = createOidcVerifier({
    providers: [provider(), provider({ name: 'other', issuer: other.issuer })],
    audience: AUDIENCE,
    fetch: fetchOf(issuer, other),
    clock: clock.now,
    log: () => undefined,
  })
  const claims = (more: Record<string, unknown> = {}) => ({
    ...goodClaims(ISSUER, AUDIENCE, clock.now()),
    ...more,
  })
  const verify = async (more: Record<string, unknown> = {}, options: SignOptions = {}) =>
    verifier.verify(await issuer.sign(claims(more), options))
  return { clock, issuer, other, verifier, claims, verify }
}

const b64 = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')

describe('an OIDC proof', () => {
  it.each(['RS256', 'PS256', 'ES256', 'ES384', 'ES512'])('is accepted with %s', async (algorithm) => {
    const { verify } = await setUp(algorithm)
    await expect(verify({ repository_id: '7' })).resolves.toMatchObject({
      subject: 'workload',
      issuer: ISSUER,
    })
  })

  const claims: Record<string, [Record<string, unknown>, string]> = {
    'another audience': [{ aud: 'https://other.example' }, 'audience-mismatch'],
    'our audience among others': [{ aud: [AUDIENCE, 'x.example'] }, 'audience-mismatch'],
    'no audience': [{ aud: undefined }, 'claim-missing'],
    'no exp': [{ exp: undefined }, 'claim-missing'],
    'no iat': [{ iat: undefined }, 'claim-missing'],
    'no sub': [{ sub: undefined }, 'claim-missing'],
    'an empty sub': [{ sub: '' }, 'claims-malformed'],
    'exp ten years away': [{ exp: 2_100_000_000 }, 'token-lives-too-long'],
    'exp as text': [{ exp: '2100000000' }, 'claims-malformed'],
    'exp long past': [{ iat: 1, exp: 2 }, 'token-expired'],
  }
  it.each(Object.entries(claims))('attacks 22, 31: is refused with %s', async (_name, [more, code]) => {
    const { verify } = await setUp()
    await expect(verify(more)).rejects.toMatchObject({ code })
  })

  it('attack 23: is refused with exp 1e400, which JSON.parse reads as infinity', async () => {
    const { claims, verify } = await setUp()
    const text = JSON.stringify(claims()).replace(/"exp":\d+/, '"exp":1e400')
    await expect(verify({}, { text })).rejects.toMatchObject({ code: 'claims-malformed' })
  })

  it('attack 46: is refused with a claim that stands twice', async () => {
    const { claims, verify } = await setUp()
    const text = JSON.stringify(claims()).replace(/^\{/, '{"sub":"victim",')
    await expect(verify({}, { text })).rejects.toMatchObject({ code: 'token-malformed' })
  })

  it('attack 46: is refused with one changed byte of the payload', async () => {
    const { issuer, claims, verifier } = await setUp()
    const [header, , signature] = (await issuer.sign(claims())).split('.')
    const forged = `${header}.${b64(claims({ sub: 'victim' }))}.${signature}`
    await expect(verifier.verify(forged)).rejects.toMatchObject({ code: 'signature-invalid' })
  })

  it('is refused where another configured issuer signed it', async () => {
    const { other, claims, verifier } = await setUp()
    await expect(verifier.verify(await other.sign(claims()))).rejects.toMatchObject({
      code: 'signature-invalid',
    })
  })

  it('attack 19: is refused where the public key was used as a shared secret', async () => {
    const { issuer, claims, verifier } = await setUp('RS256')
    const signed = `${b64({ alg: 'HS256', kid: issuer.kid })}.${b64(claims())}`
    const mac = createHmac('sha256', JSON.stringify(issuer.jwk)).update(signed).digest('base64url')
    await expect(verifier.verify(`${signed}.${mac}`)).rejects.toMatchObject({ code: 'algorithm-refused' })
    expect(issuer.total).toBe(0)
  })

  it.each<[string, string, Record<string, unknown>]>([
    ['another of the same kind of key', 'RS256', { alg: 'PS256' }],
    ['one with another digest', 'RS256', { alg: 'RS512' }],
    ['one that nobody knows', 'ES256', { alg: 'ES256K' }],
    ['that of another curve', 'ES256', { alg: 'ES384' }],
  ])(
    'attack 19: is refused where the published key is for an algorithm that is not its own: %s',
    async (_name, algorithm, published) => {
      const { issuer, verify } = await setUp(algorithm)
      const document = { keys: [{ ...issuer.jwk, ...published }] }
      issuer.misbehave(KEYS_PATH, { kind: 'document', document })
      await expect(verify()).rejects.toMatchObject({ code: 'key-unfit' })
    },
  )

  it('attack 21: is refused where no published key has its kid', async () => {
    const { verify } = await setUp('RS256')
    await expect(verify({}, { header: { kid: 'key-2' } })).rejects.toMatchObject({ code: 'key-unknown' })
  })

  const NEAR_ISSUERS = [
    `${ISSUER}/`,
    'https://ISSUER.example',
    'https://issuer.example:443',
    'https://issuer.example.',
    'https://user@issuer.example',
    'https://issuer.example.evil.example',
    'https://evil.example/https://issuer.example',
    'https://issuer.example\n',
    'http://issuer.example',
    'https://íssuer.example',
    '',
  ]
  it.each(NEAR_ISSUERS)('attacks 15, 24, 25: calls nobody for the issuer %j', async (iss) => {
    const { issuer, other, verify } = await setUp()
    await expect(verify({ iss })).rejects.toMatchObject({ code: 'issuer-unknown' })
    expect(issuer.total + other.total).toBe(0)
  })

  it.each([7, null, undefined, [ISSUER]])('calls nobody for an issuer that is %j', async (iss) => {
    const { issuer, verify } = await setUp()
    await expect(verify({ iss })).rejects.toMatchObject({ code: 'issuer-unknown' })
    expect(issuer.total).toBe(0)
  })

  it('attack 20: calls nobody for a token that brings its own key', async () => {
    const { issuer, claims, verifier } = await setUp()
    const token = await issuer.sign(claims(), { header: { jwk: issuer.jwk } })
    await expect(verifier.verify(token)).rejects.toMatchObject({ code: 'token-header-refused' })
    expect(issuer.total).toBe(0)
  })

  it('is accepted until exp and the skew, and not a second longer', async () => {
    const { clock, issuer, claims, verifier } = await setUp()
    const token = await issuer.sign(claims())
    clock.advance(329_000)
    await expect(verifier.verify(token)).resolves.toBeDefined()
    clock.advance(1_000)
    await expect(verifier.verify(token)).rejects.toMatchObject({ code: 'token-expired' })
  })
})
