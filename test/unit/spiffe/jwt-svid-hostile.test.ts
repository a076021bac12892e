// Tokens that somebody made to be believed without having the key (attacks 19, 20, 21, 28, 29), and chance.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  JwtSvidError,
  type JwtSvidErrorCode,
  MAX_TOKEN_BYTES,
  verifyJwtSvid,
} from '../../../spiffe/jwt-svid.ts'
import { CLAIMS, forge, options, p256, p384, rsa, sign } from './tokens.ts'

async function refusal(token: string): Promise<JwtSvidError> {
  try {
    await verifyJwtSvid(token, options())
  } catch (error) {
    if (error instanceof JwtSvidError) return error
    throw error
  }
  throw new Error(`believed: ${token}`)
}

const HEADER = { alg: 'ES256', kid: 'p256' }
const pem = (keys: typeof p256) => keys.publicKey.export({ type: 'spki', format: 'pem' })
const valid = await sign()
const [head = '', body = '', signature = ''] = valid.split('.')
const b64 = (text: string) => Buffer.from(text).toString('base64url')
const HIGH_BITS = valid.slice(0, -1)

describe('a forged token', () => {
  const cases: Record<string, readonly [token: string, code: JwtSvidErrorCode]> = {
    'alg none, with a signature': [forge({ alg: 'none', kid: 'p256' }), 'algorithm-refused'],
    'alg none and no signature': [`${b64('{"alg":"none","kid":"p256"}')}.${body}.`, 'malformed'],
    'alg None, by case': [forge({ alg: 'None', kid: 'p256' }), 'algorithm-refused'],
    'HS256 with the RSA key as secret': [
      forge({ alg: 'HS256', kid: 'rsa' }, CLAIMS, pem(rsa)),
      'algorithm-refused',
    ],
    'HS256 with the EC key as secret': [
      forge({ alg: 'HS256', kid: 'p256' }, CLAIMS, pem(p256)),
      'algorithm-refused',
    ],
    'RS256 in the header, that secret as signature': [
      forge({ alg: 'RS256', kid: 'rsa' }, CLAIMS, pem(rsa)),
      'untrusted',
    ],
    EdDSA: [forge({ alg: 'EdDSA', kid: 'p256' }), 'algorithm-refused'],
    ES256K: [forge({ alg: 'ES256K', kid: 'p256' }), 'algorithm-refused'],
    'an algorithm named like a method of objects': [
      forge({ ...HEADER, alg: 'toString' }),
      'algorithm-refused',
    ],
    'an algorithm that is a list': [forge({ ...HEADER, alg: ['ES256'] }), 'algorithm-refused'],
    'no algorithm': [forge({ kid: 'p256' }), 'algorithm-refused'],
    'no kid': [forge({ alg: 'ES256' }), 'header-refused'],
    'an empty kid': [forge({ ...HEADER, kid: '' }), 'header-refused'],
    'a kid that is a number': [forge({ ...HEADER, kid: 1 }), 'header-refused'],
    'a kid of 257 characters': [forge({ ...HEADER, kid: 'k'.repeat(257) }), 'header-refused'],
    'a kid that is not there': [forge({ ...HEADER, kid: '../../p256' }), 'key-unknown'],
    'a kid named like a member of objects': [forge({ ...HEADER, kid: '__proto__' }), 'key-unknown'],
    'the typ of another token': [forge({ ...HEADER, typ: 'at+jwt' }), 'header-refused'],
    'typ in small letters': [forge({ ...HEADER, typ: 'jwt' }), 'header-refused'],
    'typ null': [forge({ ...HEADER, typ: null }), 'header-refused'],
    'alg twice': [forge('{"alg":"none","kid":"p256","alg":"ES256"}'), 'malformed'],
    'alg twice, once escaped': [forge('{"alg":"none","kid":"p256","\\u0061lg":"ES256"}'), 'malformed'],
    'a header that is a list': [forge('[]'), 'malformed'],
    'a header that is null': [forge('null'), 'malformed'],
    'a header that is cut short': [forge('{"alg":"ES256"'), 'malformed'],
    'a byte order mark before the header': [forge(`\uFEFF${JSON.stringify(HEADER)}`), 'malformed'],
    'claims that are no UTF-8': [`${head}.gICA.${signature}`, 'malformed'],
    'claims of another token': [
      `${head}.${b64(JSON.stringify({ ...CLAIMS, iat: 1 }))}.${signature}`,
      'untrusted',
    ],
    'a signature of nothing': [`${head}.${body}.AA`, 'untrusted'],
    'a signature of zeros (CVE-2022-21449)': [
      `${head}.${body}.${Buffer.alloc(64).toString('base64url')}`,
      'untrusted',
    ],
    'a signature in DER': [`${head}.${body}.${b64('0E\x02\x20'.padEnd(71, 'x'))}`, 'untrusted'],
    nothing: ['', 'malformed'],
    'two parts': [`${head}.${body}`, 'malformed'],
    'four parts': [`${valid}.${signature}`, 'malformed'],
    'five parts, as of an encrypted token': ['a.b.c.d.e', 'malformed'],
    'a line break at the end': [`${valid}\n`, 'malformed'],
    padding: [`${head}=.${body}.${signature}`, 'malformed'],
    'plain base64': [`${head}.${body}+.${signature}`, 'malformed'],
    'the JSON serialization': [JSON.stringify({ payload: body, protected: head, signature }), 'malformed'],
    'a character beyond Latin': [`${valid}\u{1F600}`, 'malformed'],
  }
  test.each(Object.entries(cases))('%s', async (_, [token, code]) => {
    expect((await refusal(token)).code).toBe(code)
  })

  test.each(['jku', 'jwk', 'x5u', 'x5c', 'x5t', 'crit', 'b64', 'zip', 'cty', 'enc', 'nonce'])(
    'a header with %s, which no JWT-SVID may have (§2)',
    async (name) => {
      expect((await refusal(forge({ ...HEADER, [name]: 'https://attacker.example/' }))).code).toBe(
        'header-refused',
      )
    },
  )

  test('claims with a name twice, signed by a trusted key', async () => {
    for (const name of ['sub', 'aud', 'exp', 'x']) {
      const twice = `${JSON.stringify({ ...CLAIMS, x: 1 }).slice(0, -1)},"${name}":1}`
      expect((await refusal(await sign(twice))).code).toBe('malformed')
    }
  })

  test('the other text of the same signature: unused bits in the last character', async () => {
    const others = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
    for (const last of others) {
      if (HIGH_BITS + last !== valid)
        expect((await refusal(HIGH_BITS + last)).code).toMatch(/malformed|untrusted/)
    }
  })

  test('a signature by a key of the same kind that is not in the bundle', async () => {
    const header = { alg: 'ES384', kid: 'p256' }
    expect((await refusal(await sign(CLAIMS, header, p384))).code).toBe('key-unfit')
  })

  test('attack 28: a megabyte of dots is refused by its length alone', async () => {
    expect((await refusal('.'.repeat(1024 * 1024))).code).toBe('too-large')
    expect((await refusal('a'.repeat(MAX_TOKEN_BYTES + 1))).code).toBe('too-large')
    expect((await refusal('a'.repeat(MAX_TOKEN_BYTES))).code).toBe('malformed')
  })

  test('is not repeated in the message', async () => {
    for (const token of [forge({ ...HEADER, alg: 'hunter2' }), forge('{hunter2'), forge(HEADER)]) {
      const { message } = await refusal(token)
      expect(message).not.toContain('hunter2')
      expect(message).not.toContain(token)
    }
  })
})

describe('chance', () => {
  const UNIT = fc.constantFrom(...Array.from('ABCxyz019-_.= \0é{"}'))

  test('a changed token is refused, and nothing but the typed error is thrown', async () => {
    const edit = fc.record({
      at: fc.nat({ max: valid.length }),
      cut: fc.nat({ max: 3 }),
      put: fc.string({ unit: UNIT, maxLength: 3 }),
    })
    const property = fc.asyncProperty(fc.array(edit, { minLength: 1, maxLength: 4 }), async (edits) => {
      let token = valid
      for (const { at, cut, put } of edits) token = token.slice(0, at) + put + token.slice(at + cut)
      fc.pre(token !== valid)
      expect((await refusal(token)).name).toBe('JwtSvidError')
    })
    await fc.assert(property, { numRuns: 500 })
  })

  test('so is one with other bytes behind the base64url', async () => {
    const property = fc.asyncProperty(
      fc.constantFrom(0, 1, 2),
      fc.nat(),
      fc.integer({ min: 1, max: 255 }),
      async (part, at, flip) => {
        const parts = [head, body, signature]
        const bytes = Buffer.from(parts[part] ?? '', 'base64url')
        bytes.writeUInt8(bytes.readUInt8(at % bytes.length) ^ flip, at % bytes.length)
        parts[part] = bytes.toString('base64url')
        expect((await refusal(parts.join('.'))).name).toBe('JwtSvidError')
      },
    )
    await fc.assert(property, { numRuns: 300 })
  })

  test('so is any text, any header and any claims', async () => {
    const json = fc.json().map(b64)
    const text = fc.oneof(
      fc.string(),
      fc.tuple(json, json, json).map((parts) => parts.join('.')),
    )
    await fc.assert(
      fc.asyncProperty(text, async (token) => {
        expect((await refusal(token)).name).toBe('JwtSvidError')
      }),
    )
  })

  test('so are claims of any type, although a trusted key signed them', async () => {
    const name = fc.constantFrom('sub', 'aud', 'exp', 'iat', 'nbf', 'jti')
    await fc.assert(
      fc.asyncProperty(name, fc.jsonValue(), async (claim, value) => {
        const token = await sign({ ...CLAIMS, [claim]: value })
        const error = await verifyJwtSvid(token, options()).then(
          () => null,
          (thrown: unknown) => thrown,
        )
        if (error !== null) expect(error).toBeInstanceOf(JwtSvidError)
      }),
    )
  })
})
