// The outer form of a token, before anything about it is trusted (attacks 19, 20, 21, 28, 29).
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  ALGORITHMS,
  MAX_TOKEN_BYTES,
  parseCompactToken,
} from '../../../../../lambdas/identity/proofs/token.ts'

const b64 = (text: string): string => Buffer.from(text).toString('base64url')

function token(
  header: Record<string, unknown> | string,
  payload: Record<string, unknown> | string = { iss: 'i' },
): string {
  const text = (part: Record<string, unknown> | string) =>
    typeof part === 'string' ? part : JSON.stringify(part)
  return `${b64(text(header))}.${b64(text(payload))}.${b64('signature')}`
}

const HEADER = { alg: 'ES256', kid: 'k' }

describe('parseCompactToken', () => {
  it('reads algorithm, key id and claims', () => {
    expect(parseCompactToken(token(HEADER, { iss: 'x', n: 1 }))).toMatchObject({
      algorithm: 'ES256',
      keyId: 'k',
      claims: { iss: 'x', n: 1 },
    })
  })

  it.each(ALGORITHMS)('accepts %s', (alg) => {
    expect(parseCompactToken(token({ ...HEADER, alg })).algorithm).toBe(alg)
  })

  const refused: Record<string, [string, string]> = {
    'alg none': [token({ ...HEADER, alg: 'none' }), 'algorithm-refused'],
    'alg None, by case': [token({ ...HEADER, alg: 'None' }), 'algorithm-refused'],
    'a shared-secret algorithm': [token({ ...HEADER, alg: 'HS256' }), 'algorithm-refused'],
    'an algorithm of another case': [token({ ...HEADER, alg: 'es256' }), 'algorithm-refused'],
    'an algorithm named like a method of objects': [
      token({ ...HEADER, alg: 'toString' }),
      'algorithm-refused',
    ],
    'no kid': [token({ alg: 'ES256' }), 'token-malformed'],
    'an empty kid': [token({ ...HEADER, kid: '' }), 'token-malformed'],
    'a kid of 10 kB': [token({ ...HEADER, kid: 'k'.repeat(10_000) }), 'token-malformed'],
    'a kid that is a number': [token({ ...HEADER, kid: 1 }), 'token-malformed'],
    'a header with alg twice': [token('{"alg":"ES256","kid":"k","alg":"RS256"}'), 'token-malformed'],
    'claims with sub twice': [token(HEADER, '{"sub":"a","sub":"b"}'), 'token-malformed'],
    'claims that are a list': [token(HEADER, '[]'), 'token-malformed'],
    'claims that are no UTF-8': [`${b64('{"alg":"ES256","kid":"k"}')}.gICA.AA`, 'token-malformed'],
    'a byte order mark': [token(`\uFEFF${JSON.stringify(HEADER)}`), 'token-malformed'],
    'another type of token': [token({ ...HEADER, typ: 'logout+jwt' }), 'token-header-refused'],
    'a DPoP proof': [token({ ...HEADER, typ: 'dpop+jwt' }), 'token-header-refused'],
    'a non-canonical base64url text': [`${b64('{"alg":"ES256","kid":"k"}')}.e31.AA`, 'token-malformed'],
    'two parts': ['a.b', 'token-malformed'],
    'five parts, as of an encrypted token': ['a.b.c.d.e', 'token-malformed'],
    'an empty signature': [`${b64('{}')}.${b64('{}')}.`, 'token-malformed'],
    padding: [`${b64('{"alg":"ES256","kid":"k"}')}=.${b64('{}')}.AA`, 'token-malformed'],
    'a line break': [`${token(HEADER)}\n`, 'token-malformed'],
    nothing: ['', 'token-malformed'],
  }
  it.each(Object.entries(refused))('attacks 19, 21: refuses %s', (_name, [text, code]) => {
    expect(() => parseCompactToken(text)).toThrow(expect.objectContaining({ code }))
  })

  it.each(['jku', 'jwk', 'x5u', 'x5c', 'crit', 'b64', 'zip'])(
    'attacks 19, 20: refuses a header with %s',
    (name) => {
      const text = token({ ...HEADER, [name]: 'https://attacker.example/' })
      expect(() => parseCompactToken(text)).toThrow(expect.objectContaining({ code: 'token-header-refused' }))
    },
  )

  it('attack 28: refuses a megabyte of dots by its length alone', () => {
    const text = '.'.repeat(1024 * 1024)
    expect(() => parseCompactToken(text)).toThrow(expect.objectContaining({ code: 'token-too-large' }))
    expect(() => parseCompactToken('a'.repeat(MAX_TOKEN_BYTES))).toThrow(
      expect.objectContaining({ code: 'token-malformed' }),
    )
  })

  it('attack 29: names a token by what was signed, whatever the signature, and by all of it', () => {
    const one = parseCompactToken(token(HEADER, { iss: 'i', jti: 'a' }))
    const resigned = parseCompactToken(`${one.text.slice(0, one.text.lastIndexOf('.'))}.${b64('another')}`)
    expect(resigned.digest).toBe(one.digest)
    expect(parseCompactToken(token(HEADER, { iss: 'i', jti: 'b' })).digest).not.toBe(one.digest)
  })

  it('throws nothing but its own errors, whatever the text', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), fc.string(), (a, b, c) => {
        for (const text of [a, `${a}.${b}.${c}`, `${b64(a)}.${b64(b)}.${b64(c)}`]) {
          try {
            parseCompactToken(text)
          } catch (error) {
            expect(error).toMatchObject({ name: 'ProofError' })
          }
        }
      }),
    )
  })
})
