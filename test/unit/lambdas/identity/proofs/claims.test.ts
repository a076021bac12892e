// The claims of a token whose signature holds (attacks 22, 23, 31).
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  CLOCK_SKEW_SECONDS,
  checkClaims,
  MAX_LIFETIME_SECONDS,
} from '../../../../../lambdas/identity/proofs/claims.ts'
import type { OidcProvider } from '../../../../../lambdas/identity/proofs/proof.ts'
import { provider } from '../support.ts'
import type { CompactToken } from '../../../../../lambdas/identity/proofs/token.ts'

const NOW = new Date('2026-11-24T12:00:00.000Z')
const SECONDS = NOW.getTime() / 1000
const AUDIENCE = 'https://identity.example.org'
const PROVIDER = provider()
const GOOD = { iss: PROVIDER.issuer, aud: AUDIENCE, sub: 's', iat: SECONDS, exp: SECONDS + 300, jti: 'j' }

function check(claims: Record<string, unknown>, of: OidcProvider = PROVIDER, now: Date = NOW) {
  const token: CompactToken = { text: '', algorithm: 'ES256', keyId: 'k', claims, digest: 'digest' }
  return checkClaims(token, of, { audience: AUDIENCE, now })
}

describe('checkClaims', () => {
  it('keeps subject, token id and times', () => {
    const proof = check(GOOD)
    expect(proof).toMatchObject({ subject: 's', tokenId: 'j', binding: null })
    expect(proof.expiresAt).toEqual(new Date((SECONDS + 300) * 1000))
  })

  it('names a token without jti by its digest', () => {
    const { jti: _jti, ...rest } = GOOD
    expect(check(rest).tokenId).toBe('sha256:digest')
  })

  it('accepts our audience as a list of one', () => {
    expect(check({ ...GOOD, aud: [AUDIENCE] }).subject).toBe('s')
  })

  it.each(['aud', 'sub', 'exp', 'iat'])('attack 22: refuses a token without %s', (name) => {
    const { [name]: _gone, ...rest } = GOOD as Record<string, unknown>
    expect(() => check(rest)).toThrow(expect.objectContaining({ code: 'claim-missing' }))
  })

  const malformed: Record<string, Record<string, unknown>> = {
    'exp as a fraction': { exp: SECONDS + 300.5 },
    'exp as text': { exp: String(SECONDS + 300) },
    'exp past 2^53': { exp: 2 ** 53 + 2 },
    'exp infinite': { exp: Number.POSITIVE_INFINITY },
    'exp negative': { exp: -1 },
    'iat as a fraction': { iat: 1.5 },
    'iat negative': { iat: -1 },
    'nbf as text': { nbf: '0' },
    'sub empty': { sub: '' },
    'sub a number': { sub: 7 },
    'sub null': { sub: null },
    'sub of 3 kB': { sub: 's'.repeat(3000) },
    'aud an empty list': { aud: [] },
    'aud an object': { aud: { a: AUDIENCE } },
    'jti a number': { jti: 1 },
    'jti empty': { jti: '' },
  }
  it.each(Object.entries(malformed))('attack 23: refuses %s', (_name, more) => {
    expect(() => check({ ...GOOD, ...more })).toThrow(expect.objectContaining({ code: 'claims-malformed' }))
  })

  const wrong: Record<string, [Record<string, unknown>, string]> = {
    'another audience': [{ aud: 'https://other.example' }, 'audience-mismatch'],
    'our audience among others': [{ aud: [AUDIENCE, 'https://other.example'] }, 'audience-mismatch'],
    'our audience twice': [{ aud: [AUDIENCE, AUDIENCE] }, 'audience-mismatch'],
    'our audience with a slash more': [{ aud: `${AUDIENCE}/` }, 'audience-mismatch'],
    'an audience bound to something': [{ aud: `${AUDIENCE}#x509:abc` }, 'audience-mismatch'],
    'another issuer': [{ iss: 'https://issuer.example/' }, 'issuer-unknown'],
    'a life over 24 hours and 10 minutes': [{ exp: SECONDS + 87_001 }, 'token-lives-too-long'],
    'an end at its beginning': [{ iat: SECONDS + 10, exp: SECONDS + 10 }, 'token-lives-too-long'],
    'an issue in the future': [{ iat: SECONDS + 31 }, 'token-not-yet-valid'],
    'a start in the future': [{ nbf: SECONDS + 31 }, 'token-not-yet-valid'],
    'an end in the past': [{ iat: SECONDS - 300, exp: SECONDS - 30 }, 'token-expired'],
  }
  it.each(Object.entries(wrong))('attack 31: refuses %s', (_name, [more, code]) => {
    expect(() => check({ ...GOOD, ...more })).toThrow(expect.objectContaining({ code }))
  })

  it('accepts a life of a day that began ten minutes before its issue, and no second more', () => {
    expect(MAX_LIFETIME_SECONDS).toBe(87_000)
    expect(check({ ...GOOD, iat: SECONDS - 600, exp: SECONDS + 86_400 }).subject).toBe('s')
    expect(() => check({ ...GOOD, iat: SECONDS - 601, exp: SECONDS + 86_400 })).toThrow(
      expect.objectContaining({ code: 'token-lives-too-long' }),
    )
  })

  it('refuses a token older than maxTokenAge, counted from iat', () => {
    const strict = { ...PROVIDER, maxTokenAgeMs: 60_000 }
    const aged = (seconds: number) => ({ ...GOOD, iat: SECONDS - seconds, exp: SECONDS + 300 })
    expect(check(aged(60 + CLOCK_SKEW_SECONDS), strict).subject).toBe('s')
    expect(() => check(aged(61 + CLOCK_SKEW_SECONDS), strict)).toThrow(
      expect.objectContaining({ code: 'token-too-old' }),
    )
  })

  it('accepts no token outside its own times by more than the skew', () => {
    const time = fc.integer({ min: -100_000, max: 100_000 })
    fc.assert(
      fc.property(time, time, time, (iat, exp, now) => {
        const claims = { ...GOOD, iat: SECONDS + iat, exp: SECONDS + exp }
        let accepted = true
        try {
          check(claims, PROVIDER, new Date(NOW.getTime() + now * 1000))
        } catch {
          accepted = false
        }
        const inTime = now < exp + CLOCK_SKEW_SECONDS && now >= iat - CLOCK_SKEW_SECONDS
        expect(accepted).toBe(inTime && exp > iat && exp - iat <= MAX_LIFETIME_SECONDS)
      }),
    )
  })
})
