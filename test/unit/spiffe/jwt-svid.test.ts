// What a JWT-SVID must say (JWT-SVID.md §2 and §3), with signatures that hold.
import { describe, expect, test } from 'vitest'
import { JwtSvidError, type JwtSvidErrorCode, verifyJwtSvid } from '../../../spiffe/jwt-svid.ts'
import { WORKLOAD } from './certificates.ts'
import {
  AUDIENCE,
  bundleOf,
  CLAIMS,
  entry,
  NOW,
  options,
  p256,
  p384,
  p521,
  rsa,
  SECONDS,
  sign,
} from './tokens.ts'

const DAY = 24 * 3600
const codeOf = async (token: string, how = options()): Promise<JwtSvidErrorCode | null> => {
  try {
    await verifyJwtSvid(token, how)
    return null
  } catch (error) {
    if (error instanceof JwtSvidError) return error.code
    throw error
  }
}

describe('a token that is believed', () => {
  test('is an identity, an id and times, and cannot be changed', async () => {
    const verified = await verifyJwtSvid(await sign(), options())
    expect(verified).toEqual({
      id: { trustDomain: 'example.org', path: '/payments/api', uri: WORKLOAD },
      tokenId: 'token-1',
      keyId: 'p256',
      expiresAt: new Date(NOW.getTime() + 300_000),
      issuedAt: NOW,
      audience: AUDIENCE,
    })
    expect(Object.isFrozen(verified)).toBe(true)
  })

  const algorithms = {
    ES256: ['p256', p256],
    ES384: ['p384', p384],
    ES512: ['p521', p521],
    RS256: ['rsa', rsa],
    RS384: ['rsa', rsa],
    RS512: ['rsa', rsa],
    PS256: ['rsa', rsa],
    PS384: ['rsa', rsa],
    PS512: ['rsa', rsa],
  } as const
  test.each(Object.entries(algorithms))('signed by %s', async (alg, [kid, keys]) => {
    expect(await codeOf(await sign(CLAIMS, { alg, kid }, keys))).toBeNull()
    const wrong = await sign({ ...CLAIMS, sub: 'spiffe://example.org/admin' }, { alg, kid }, keys)
    const mixed = `${wrong.slice(0, wrong.lastIndexOf('.'))}.${(await sign(CLAIMS, { alg, kid }, keys)).split('.')[2]}`
    expect(await codeOf(mixed)).toBe('untrusted')
  })

  const good: Record<string, readonly [claims: object, header?: object]> = {
    'an audience in a list of one': [{ aud: [AUDIENCE] }],
    'no typ': [{}, { typ: undefined }],
    'the typ JOSE': [{}, { typ: 'JOSE' }],
    'no iat': [{ iat: undefined }],
    'no jti': [{ jti: undefined }],
    'claims of its own, with names that repeat inside them': [{ a: { sub: 'x' }, b: [{ sub: 'y' }] }],
    'an iat 30 s ahead of our clock': [{ iat: SECONDS + 30 }],
    'an nbf 30 s ahead of our clock': [{ nbf: SECONDS + 30 }],
    'a second left': [{ exp: SECONDS + 1 }],
    'a life of 24 hours': [{ exp: SECONDS + DAY }],
    'without iat, 24 hours left': [{ iat: undefined, exp: SECONDS + DAY }],
    'an issuer, which means nothing here': [{ iss: 'https://attacker.example' }],
    'a jti of 1024 characters': [{ jti: 'j'.repeat(1024) }],
  }
  test.each(Object.entries(good))('with %s', async (_, [claims, header]) => {
    expect(await codeOf(await sign({ ...CLAIMS, ...claims }, { ...header }))).toBeNull()
  })

  test('without jti is named by what was signed, whatever its signature', async () => {
    const claims = { ...CLAIMS, jti: undefined }
    // ECDSA is randomised: the same claims, signed twice, are two texts.
    const [one, two] = [await sign(claims), await sign(claims)]
    expect(one).not.toBe(two)
    const ids = await Promise.all(
      [one, two, await sign({ ...claims, exp: SECONDS + 301 })].map(async (token) => {
        return (await verifyJwtSvid(token, options())).tokenId
      }),
    )
    expect(ids[0]).toMatch(/^sha256:[A-Za-z0-9_-]{43}$/)
    expect(ids[1]).toBe(ids[0])
    expect(ids[2]).not.toBe(ids[0])
  })

  test('without iat has no time of issue', async () => {
    expect((await verifyJwtSvid(await sign({ ...CLAIMS, iat: undefined }), options())).issuedAt).toBeNull()
  })
})

describe('claims that are refused, although a trusted key signed them', () => {
  const cases: Record<string, readonly [claims: object, code: JwtSvidErrorCode]> = {
    'no sub': [{ sub: undefined }, 'claims-malformed'],
    'a sub that is a number': [{ sub: 1 }, 'claims-malformed'],
    'a sub that is null': [{ sub: null }, 'claims-malformed'],
    'an empty sub': [{ sub: '' }, 'malformed-id'],
    'a sub that is no SPIFFE ID': [{ sub: 'system:serviceaccount:a:b' }, 'malformed-id'],
    'a sub in capitals': [{ sub: 'SPIFFE://example.org/payments/api' }, 'malformed-id'],
    'a sub with a dot segment': [{ sub: 'spiffe://example.org/a/../b' }, 'malformed-id'],
    'a sub with a query': [{ sub: `${WORKLOAD}?x` }, 'malformed-id'],
    'the ID of the trust domain itself': [{ sub: 'spiffe://example.org' }, 'no-path'],
    'a trust domain that is not ours': [{ sub: 'spiffe://partner.test/a' }, 'trust-domain-unknown'],
    'a trust domain below ours': [{ sub: 'spiffe://a.example.org/a' }, 'trust-domain-unknown'],
    'no aud': [{ aud: undefined }, 'claims-malformed'],
    'an aud that is null': [{ aud: null }, 'audience'],
    'an aud that is a number': [{ aud: 1 }, 'audience'],
    'an aud that is an object': [{ aud: { 0: AUDIENCE, length: 1 } }, 'audience'],
    'no audience in the list': [{ aud: [] }, 'audience'],
    'another audience': [{ aud: 'spiffe://example.org/other' }, 'audience'],
    'our audience and another': [{ aud: [AUDIENCE, 'spiffe://example.org/other'] }, 'audience'],
    'another audience and ours': [{ aud: ['spiffe://example.org/other', AUDIENCE] }, 'audience'],
    'our audience twice': [{ aud: [AUDIENCE, AUDIENCE] }, 'audience'],
    'our audience in a list in a list': [{ aud: [[AUDIENCE]] }, 'audience'],
    'our audience in capitals': [{ aud: AUDIENCE.toUpperCase() }, 'audience'],
    'our audience and a slash': [{ aud: `${AUDIENCE}/` }, 'audience'],
    'no exp': [{ exp: undefined }, 'claims-malformed'],
    'an exp that is text': [{ exp: String(SECONDS + 300) }, 'claims-malformed'],
    'an exp that is null': [{ exp: null }, 'claims-malformed'],
    'an exp with a fraction': [{ exp: SECONDS + 300.5 }, 'claims-malformed'],
    'an exp below zero': [{ exp: -1 }, 'claims-malformed'],
    'an exp past 2^53': [{ exp: 2 ** 53 }, 'claims-malformed'],
    'an exp past the year 9999': [{ exp: 253_402_300_800 }, 'claims-malformed'],
    'an exp of now': [{ exp: SECONDS }, 'expired'],
    'an exp a second ago': [{ exp: SECONDS - 1 }, 'expired'],
    'an iat that is text': [{ iat: '0' }, 'claims-malformed'],
    'an iat that is null': [{ iat: null }, 'claims-malformed'],
    'an iat 31 s ahead of our clock': [{ iat: SECONDS + 31 }, 'not-yet-valid'],
    'an nbf that is text': [{ nbf: '0' }, 'claims-malformed'],
    'an nbf 31 s ahead of our clock': [{ nbf: SECONDS + 31 }, 'not-yet-valid'],
    'a life of 24 hours and a second': [{ exp: SECONDS + DAY + 1 }, 'lives-too-long'],
    'a long life that is nearly over': [{ iat: SECONDS - DAY, exp: SECONDS + 1 }, 'lives-too-long'],
    'without iat, more than 24 hours left': [{ iat: undefined, exp: SECONDS + DAY + 31 }, 'lives-too-long'],
    'a jti that is a number': [{ jti: 1 }, 'claims-malformed'],
    'a jti that is null': [{ jti: null }, 'claims-malformed'],
    'an empty jti': [{ jti: '' }, 'claims-malformed'],
    'a jti of 1025 characters': [{ jti: 'j'.repeat(1025) }, 'claims-malformed'],
  }
  test.each(Object.entries(cases))('%s', async (_, [claims, code]) => {
    expect(await codeOf(await sign({ ...CLAIMS, ...claims }))).toBe(code)
  })

  test('an exp that is never reached, as JSON can write it', async () => {
    const text = JSON.stringify(CLAIMS).replace(/"exp":\d+/, '"exp":1e400')
    expect(await codeOf(await sign(text))).toBe('claims-malformed')
  })
})

describe('keys', () => {
  const one = (more: object, keys = p256) => options(bundleOf('example.org', entry('p256', keys, more)))
  const cases: Record<string, readonly [how: ReturnType<typeof options>, code: JwtSvidErrorCode | null]> = {
    'of the algorithm in the token': [one({ alg: 'ES256' }), null],
    'that may verify': [one({ key_ops: ['verify'] }), null],
    'of another algorithm, although it would fit': [one({ alg: 'ES384' }), 'key-unfit'],
    'that may do something else': [one({ key_ops: ['encrypt'] }), 'key-unfit'],
    'whose operations are text': [one({ key_ops: 'verify' }), 'key-unfit'],
    'of another curve': [one({}, p384), 'key-unfit'],
    'of another type': [one({}, rsa), 'key-unfit'],
    'whose point is on no curve': [one({ x: 'AA', y: 'AA' }), 'key-unfit'],
    'for certificates': [one({ use: 'x509-svid' }), 'key-unknown'],
    'for ordinary JWTs': [one({ use: 'sig' }), 'key-unknown'],
    'of another name': [options(bundleOf('example.org', entry('P256', p256))), 'key-unknown'],
    'of a bundle without keys: everything is revoked': [options(bundleOf('example.org')), 'key-unknown'],
    'two of one name': [
      options(bundleOf('example.org', entry('p256', p256), entry('p256', p256))),
      'key-unfit',
    ],
    'two of one name and different types': [
      options(bundleOf('example.org', entry('p256', p256), entry('p256', rsa))),
      'key-unfit',
    ],
    'of the same name in another trust domain, where ours has another': [
      options(bundleOf('example.org', entry('p256', p521)), bundleOf('partner.test', entry('p256', p256))),
      'key-unfit',
    ],
    'of another trust domain alone': [
      options(bundleOf('partner.test', entry('p256', p256))),
      'trust-domain-unknown',
    ],
  }
  test.each(Object.entries(cases))('%s', async (_, [how, code]) => {
    expect(await codeOf(await sign(), how)).toBe(code)
  })

  test('a bundle that a look-up hands out for another trust domain is not used', async () => {
    const bundle = bundleOf('partner.test', entry('p256', p256))
    expect(await codeOf(await sign(), { ...options(), bundle: () => bundle })).toBe('trust-domain-unknown')
  })

  test('a second key by which the token was not signed', async () => {
    const bundle = bundleOf('example.org', entry('p256', p256), entry('other', p256))
    expect(await codeOf(await sign(CLAIMS, { kid: 'other' }), options(bundle))).toBeNull()
    const rotated = bundleOf('example.org', entry('p256', p256), entry('rsa', rsa))
    expect(await codeOf(await sign(CLAIMS, { kid: 'rsa' }), options(rotated))).toBe('key-unfit')
  })

  test('RSA of 1024 bits', async () => {
    const weak = Buffer.alloc(128, 0xff).toString('base64url')
    const bundle = bundleOf('example.org', { kty: 'RSA', use: 'jwt-svid', kid: 'rsa', n: weak, e: 'AQAB' })
    expect(await codeOf(await sign(CLAIMS, { alg: 'RS256', kid: 'rsa' }, rsa), options(bundle))).toBe(
      'weak-key',
    )
  })
})
