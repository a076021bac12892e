import { describe, expect, test } from 'vitest'
import { BundleError, type BundleErrorCode, readBundle } from '../../../spiffe/bundle.ts'
import { SpiffeIdError } from '../../../spiffe/id.ts'
import { createRoot } from '../../fixtures/pki.ts'
import { node } from './certificates.ts'
import { errorOf } from './errors.ts'

const TD = 'example.org'
const [first, second] = [await createRoot({ name: 'First' }), await createRoot({ name: 'Second' })]
const leaf = await first.issue({ cn: 'leaf', ca: false })
const base64 = (pem: string) => node(pem).raw.toString('base64')

const X509 = { kty: 'EC', use: 'x509-svid', crv: 'P-256', x: 'AA', y: 'AA', x5c: [base64(first.pem)] }
const JWT = { kty: 'EC', use: 'jwt-svid', kid: 'k1', crv: 'P-256', x: 'AA', y: 'AA' }

const jwks = (keys: unknown, more: object = {}) => JSON.stringify({ keys, ...more })
const authorities = (text: string) => readBundle(text, TD).x509Authorities.map(({ subject }) => subject)

describe('a bundle that is read', () => {
  test('a JWKS with all that there is', () => {
    const text = jwks([X509, JWT], { spiffe_sequence: 7, spiffe_refresh_hint: 300 })
    expect(readBundle(text, TD)).toMatchObject({
      trustDomain: TD,
      x509Authorities: [{ subject: 'CN=First' }],
      jwtAuthorities: [{ keyId: 'k1', key: { kty: 'EC', crv: 'P-256', x: 'AA', y: 'AA' } }],
      sequence: 7,
      refreshHintSeconds: 300,
    })
  })

  test('without keys it is a trust domain that revoked everything, and no error', () => {
    expect(readBundle('{"keys":[]}', TD)).toEqual({
      trustDomain: TD,
      x509Authorities: [],
      jwtAuthorities: [],
      sequence: null,
      refreshHintSeconds: null,
    })
  })

  const skipped: Record<string, unknown> = {
    'an unknown use': { ...X509, use: 'wit-svid' },
    'the use of ordinary JWKS': { ...JWT, use: 'sig' },
    'a use in capitals': { ...X509, use: 'X509-SVID' },
    'no use': { ...X509, use: undefined },
    'no kty': { ...X509, kty: undefined },
    'a kty that is a number': { ...JWT, kty: 1 },
    'x509-svid without x5c': { ...X509, x5c: undefined },
    'x509-svid with an empty x5c': { ...X509, x5c: [] },
    'x509-svid with text as x5c': { ...X509, x5c: base64(second.pem) },
    null: null,
    text: 'x509-svid',
    'a list': [X509],
  }
  test.each(Object.entries(skipped))('an entry is skipped and the others stay: %s', (_, entry) => {
    const bundle = readBundle(jwks([entry, X509]), TD)
    expect(bundle.x509Authorities).toHaveLength(1)
    expect(bundle.jwtAuthorities).toEqual([])
  })

  const read: Record<string, readonly [text: string, subjects: readonly string[]]> = {
    'unknown members are ignored': [jwks([{ ...X509, colour: 1 }], { version: 9 }), ['CN=First']],
    'of an x5c the first certificate alone': [
      jwks([{ ...X509, x5c: [base64(first.pem), base64(second.pem)] }]),
      ['CN=First'],
    ],
    'blanks before the JWKS': [`\n\t ${jwks([X509])}`, ['CN=First']],
    'the same root twice is no error': [jwks([X509, X509]), ['CN=First', 'CN=First']],
    'PEM in its order': [second.pem + first.pem, ['CN=Second', 'CN=First']],
    'PEM with text around the blocks': [
      `# ours\n${first.pem}\n\n# theirs\r\n${second.pem}#`,
      ['CN=First', 'CN=Second'],
    ],
    'of PEM the certificates alone': [leaf.keyPem + first.pem, ['CN=First']],
    '100 keys': [
      jwks(Array.from({ length: 100 }, () => X509)),
      Array.from({ length: 100 }, () => 'CN=First'),
    ],
    'a text of 256 KiB': [jwks([X509]).padEnd(256 * 1024), ['CN=First']],
  }
  test.each(Object.entries(read))('%s', (_, [text, subjects]) => {
    expect(authorities(text)).toEqual(subjects)
  })
})

describe('a text that is refused', () => {
  const cases: Record<string, readonly [text: string, code: BundleErrorCode]> = {
    nothing: ['', 'empty'],
    'neither JWKS nor PEM': ['hello', 'empty'],
    'a JSON list': ['[]', 'empty'],
    'PEM of something else': [leaf.keyPem, 'empty'],
    'JSON that is cut short': ['{"keys":[', 'malformed'],
    'no keys': ['{}', 'malformed'],
    'keys that are a mapping': ['{"keys":{}}', 'malformed'],
    'keys that are null': ['{"keys":null}', 'malformed'],
    'an x5c entry that is a number': [jwks([{ ...X509, x5c: [1] }]), 'malformed'],
    'an x5c entry that is no certificate': [jwks([{ ...X509, x5c: ['AAAA'] }]), 'malformed'],
    'an x5c entry that is empty': [jwks([{ ...X509, x5c: [''] }]), 'malformed'],
    'an x5c entry that is a leaf': [jwks([{ ...X509, x5c: [base64(leaf.pem)] }]), 'not-a-ca'],
    'one bad entry among good ones': [jwks([X509, { ...X509, x5c: [base64(leaf.pem)] }]), 'not-a-ca'],
    'PEM of a leaf behind a root': [first.pem + leaf.pem, 'not-a-ca'],
    'PEM that holds no certificate': [
      '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n',
      'malformed',
    ],
    'a jwt-svid key without kid': [jwks([{ ...JWT, kid: undefined }]), 'malformed'],
    'a jwt-svid key with an empty kid': [jwks([{ ...JWT, kid: '' }]), 'malformed'],
    'a jwt-svid key with a number as kid': [jwks([{ ...JWT, kid: 1 }]), 'malformed'],
    '101 keys': [jwks(Array.from({ length: 101 }, () => X509)), 'too-many-keys'],
    '101 keys of no known use': [jwks(Array.from({ length: 101 }, () => ({}))), 'too-many-keys'],
    '101 PEM certificates': [first.pem.repeat(101), 'too-many-keys'],
    'a byte more than 256 KiB': [jwks([X509]).padEnd(256 * 1024 + 1), 'too-large'],
    'fewer characters than that, but more bytes': [jwks([], { x: 'é'.repeat(131_073) }), 'too-large'],
  }
  test.each(Object.entries(cases))('%s', (_, [text, code]) => {
    expect(errorOf(() => readBundle(text, TD), BundleError).code).toBe(code)
  })

  test.each(['d', 'p', 'q', 'dp', 'dq', 'qi', 'k'])('a jwt-svid key with the private member %s', (member) => {
    const error = errorOf(() => readBundle(jwks([{ ...JWT, [member]: 'hunter2' }]), TD), BundleError)
    expect(error.code).toBe('malformed')
    expect(error.message).not.toContain('hunter2')
  })

  test.each(['', 'Example.org', 'spiffe://example.org', 'example.org/a'])(
    'the trust domain %j, whatever the text',
    (trustDomain) => {
      errorOf(() => readBundle(first.pem, trustDomain), SpiffeIdError)
    },
  )
})

describe.each(['spiffe_sequence', 'spiffe_refresh_hint'])('%s', (member) => {
  const value = (text: string) => {
    const { sequence, refreshHintSeconds } = readBundle(`{"keys":[],"${member}":${text}}`, TD)
    return member === 'spiffe_sequence' ? sequence : refreshHintSeconds
  }

  test.each(['0', '1', '9007199254740991'])('may be %s', (text) => {
    expect(value(text)).toBe(Number(text))
  })

  test.each(['-1', '1.5', '9007199254740992', '1e400', '"1"', 'null', 'true', '[1]', '{}'])(
    'may not be %s',
    (text) => {
      expect(errorOf(() => value(text), BundleError).code).toBe('malformed')
    },
  )
})
