// Whatever JSON a token holds, its verifier answers by a proof or by the one refusal (attack 53): an exception of another
// kind would be a 500, and so would tell a stranger how far his token came.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createOidcVerifier } from '../../../../../lambdas/identity/proofs/oidc.ts'
import { createFakeIssuer, DISCOVERY_PATH, fetchOf, goodClaims } from '../../../../fakes/oidc-issuer.ts'
import {
  AUDIENCE,
  createClock,
  createCsr,
  createTestAuthority,
  ISSUER,
  provider,
  registration,
} from '../support.ts'

const AWS_ISSUER = 'https://0a1b2c3d-0000-4000-8000-000000000000.tokens.sts.global.api.aws'
const PARTNER = 'spiffe://partner.example'

/** One issuer's keys for three kinds of provider, so that each kind's own reading of the claims is reached. */
async function setUp() {
  const issuer = await createFakeIssuer(ISSUER, { algorithm: 'ES384' })
  issuer.misbehave('/bundle', {
    kind: 'document',
    document: { keys: [{ ...issuer.jwk, use: 'jwt-svid' }] },
  })
  const kinds = [
    provider(),
    provider({
      ...{ kind: 'aws', name: 'aws', issuer: AWS_ISSUER, account: '111122223333' },
      jwksUri: `${ISSUER}/keys`,
    }),
    provider({ kind: 'spiffe', name: 'partner', issuer: PARTNER, jwksUri: `${ISSUER}/bundle` }),
  ]
  const authority = await createTestAuthority({
    providers: kinds,
    registrations: [registration()],
    fetch: fetchOf(issuer),
  })
  return { authority, issuer }
}

/** JSON as an attacker writes it: members that JavaScript gives a meaning to, beside the claims that are looked at. */
const key = fc.constantFrom(
  ...['iss', 'sub', 'aud', 'exp', 'iat', 'nbf', 'jti', 'path.1of1', 'https://sts.amazonaws.com/'],
  ...['toString', 'valueOf', 'toJSON', 'constructor', 'then', 'length', 'aws_account', 'principal_tags'],
)
const { json } = fc.letrec<{ json: unknown }>((tie) => ({
  json: fc.oneof(
    { maxDepth: 3 },
    fc.jsonValue({ maxDepth: 1 }),
    fc.constantFrom(ISSUER, AWS_ISSUER, `${PARTNER}/a`, `${PARTNER}/a/../b`, 1, 2 ** 53, -1),
    fc.array(tie('json'), { maxLength: 2 }),
    fc.dictionary(key, tie('json'), { maxKeys: 3 }),
  ),
}))

describe('a token with any claims', () => {
  test('attack 53: is a proof or the same bare refusal, never an error of ours', async () => {
    const { authority, issuer } = await setUp()
    const csr = await createCsr()
    await fc.assert(
      fc.asyncProperty(fc.dictionary(key, json, { maxKeys: 4 }), async (more) => {
        const claims = { ...goodClaims(ISSUER, AUDIENCE, authority.clock.now()), ...more }
        const answer = await authority.post({ csr }, await issuer.sign(claims))
        expect([201, 401, 403]).toContain(answer.status)
        if (answer.status === 401) expect(await answer.json()).toMatchObject({ code: 'proof-refused' })
      }),
      { numRuns: 300 },
    )
  })

  test.each<[string, unknown]>([
    ['an object that cannot become text', { toString: 1 }],
    ['an object whose text is a list', { toString: [], valueOf: {} }],
    ['a list of such', [{ toString: 1 }]],
  ])('attack 53: has an issuer that is %s', async (_name, iss) => {
    const { authority, issuer } = await setUp()
    const claims = { ...goodClaims(ISSUER, AUDIENCE, authority.clock.now()), iss }
    const answer = await authority.post({ csr: await createCsr() }, await issuer.sign(claims))
    expect(answer.status).toBe(401)
    expect(authority.log.at(-1)).toMatchObject({ code: 'issuer-unknown' })
  })

  test('attack 53: breaks the verifier itself: refused, with the cause for the log', async () => {
    const issuer = await createFakeIssuer(ISSUER)
    issuer.misbehave(DISCOVERY_PATH, { kind: 'status', status: 500 })
    const broken = new TypeError('nobody foresaw this')
    const verifier = createOidcVerifier({
      providers: [provider()],
      audience: AUDIENCE,
      fetch: fetchOf(issuer),
      clock: createClock().now,
      log: () => {
        throw broken
      },
    })
    const token = await issuer.sign(goodClaims(ISSUER, AUDIENCE, createClock().now()))
    await expect(verifier.verify(token)).rejects.toMatchObject({ code: 'token-malformed', cause: broken })
  })
})
