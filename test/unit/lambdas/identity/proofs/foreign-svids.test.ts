// JWT-SVIDs of another trust domain as proofs: by the jwt-svid keys of its bundle, and by the segments of its SPIFFE IDs
// alone (attacks 36, 46, 50).
import { describe, expect, test } from 'vitest'
import { createFakeIssuer, fetchOf } from '../../../../fakes/oidc-issuer.ts'
import {
  AUDIENCE,
  createCsr,
  createTestAuthority,
  provider,
  type RegistrationInput,
  registration,
} from '../support.ts'

describe("another trust domain's JWT-SVIDs", () => {
  const BUNDLE = 'https://partner.example/bundle'
  async function partner(more: { readonly use?: string; readonly registration?: RegistrationInput } = {}) {
    const issuer = await createFakeIssuer('https://partner.example', { kid: 'authority-1' })
    issuer.misbehave('/bundle', {
      kind: 'document',
      document: { keys: [{ ...issuer.jwk, use: more.use ?? 'jwt-svid' }], spiffe_sequence: 7 },
    })
    const authority = await createTestAuthority({
      providers: [
        provider({ kind: 'spiffe', name: 'partner', issuer: 'spiffe://partner.example', jwksUri: BUNDLE }),
      ],
      registrations: [
        registration({
          spiffeId: 'spiffe://example.org/partner/{path.1of2}/{path.2of2}',
          oidc: 'partner',
          claims: { 'path.1of2': 'billing' },
          ...more.registration,
        }),
      ],
      fetch: fetchOf(issuer),
    })
    const token = (claims: object) => {
      const seconds = Math.floor(authority.clock.now().getTime() / 1000)
      return issuer.sign({ aud: [AUDIENCE], iat: seconds, exp: seconds + 300, ...claims })
    }
    return { authority, token }
  }

  test('are proofs, without iss and jti, by the jwt-svid keys of its bundle', async () => {
    const { authority, token } = await partner()
    const text = await token({ sub: 'spiffe://partner.example/billing/api' })
    const answer = await authority.post({ csr: await createCsr() }, text)
    expect(await answer.json()).toMatchObject({ spiffeId: 'spiffe://example.org/partner/billing/api' })
  })

  test.each<[string, object]>([
    ['an ID of a third trust domain', { sub: 'spiffe://other.example/billing/api' }],
    ['an ID of ours', { sub: 'spiffe://example.org/billing/api' }],
    ['an ID that begins with the name', { sub: 'spiffe://partner.example.evil/billing/api' }],
    ['attack 36: an ID of another depth', { sub: 'spiffe://partner.example/billing/api/extra' }],
    ['no SPIFFE ID', { sub: 'spiffe://partner.example/billing/../api' }],
    ['the trust domain itself', { sub: 'spiffe://partner.example' }],
    ['two audiences', { sub: 'spiffe://partner.example/billing/api', aud: [AUDIENCE, 'x'] }],
  ])('refuses %s', async (_name, claims) => {
    const { authority, token } = await partner()
    const answer = await authority.post({ csr: await createCsr() }, await token(claims))
    expect([401, 403]).toContain(answer.status)
  })

  test.each(['sig', 'x509-svid', 'wit-svid'])('attack 50: refuses a key for %s', async (use) => {
    const { authority, token } = await partner({ use })
    const text = await token({ sub: 'spiffe://partner.example/billing/api' })
    expect((await authority.post({ csr: await createCsr() }, text)).status).toBe(401)
  })

  const own = { 'path.1of1': 'admin', 'path.2of3': 'admin' }
  test.each<[string, RegistrationInput, object]>([
    ['matches no rule', { spiffeId: 'spiffe://example.org/x', claims: { 'path.1of1': 'admin' } }, own],
    ['fills no template', { spiffeId: 'spiffe://example.org/{path.1of1}' }, own],
    [
      'as a list neither',
      { spiffeId: 'spiffe://example.org/x', claims: { 'path.1of1': 'admin' } },
      { 'path.1of1': ['admin'] },
    ],
    ['does not replace ours', { claims: { 'path.1of2': 'admin' } }, { 'path.1of2': 'admin' }],
  ])('attacks 36, 46: a claim of their own that is named like a segment %s', async (_name, rule, claims) => {
    const { authority, token } = await partner({ registration: rule })
    const text = await token({ sub: 'spiffe://partner.example/billing/api', ...claims })
    expect((await authority.post({ csr: await createCsr() }, text)).status).toBe(403)
    expect(authority.issuances).toEqual([])
  })
})
