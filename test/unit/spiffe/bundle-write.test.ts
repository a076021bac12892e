import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Bundle, BundleError, readBundle, writeBundle, writePem } from '../../../spiffe/bundle.ts'
import { SpiffeIdError } from '../../../spiffe/id.ts'
import { createRoot } from '../../fixtures/pki.ts'
import { node } from './certificates.ts'

const roots = await Promise.all(
  (['P-256', 'P-384', 'RSA-2048'] as const).map(async (key) =>
    node((await createRoot({ name: key, key })).pem),
  ),
)

const count = fc.option(fc.maxSafeNat())
const bundle: fc.Arbitrary<Bundle> = fc.record({
  trustDomain: fc.constantFrom('example.org', 'a', 'a-b_c.d'),
  x509Authorities: fc.array(fc.constantFrom(...roots), { maxLength: 4 }),
  jwtAuthorities: fc.array(
    fc.record({
      keyId: fc.string({ minLength: 1, unit: 'binary' }),
      key: fc.record({ kty: fc.constantFrom('EC', 'RSA'), x: fc.base64String(), alg: fc.string() }),
    }),
    { maxLength: 4 },
  ),
  sequence: count,
  refreshHintSeconds: count,
})

const fingerprints = ({ x509Authorities }: Bundle) =>
  x509Authorities.map(({ fingerprint256 }) => fingerprint256)

describe('the JWKS that is written', () => {
  test('is read as the bundle that it was', () => {
    fc.assert(
      fc.property(bundle, (bundle) => {
        const back = readBundle(writeBundle(bundle), bundle.trustDomain)
        expect(fingerprints(back)).toEqual(fingerprints(bundle))
        expect({ ...back, x509Authorities: [] }).toEqual({ ...bundle, x509Authorities: [] })
      }),
    )
  })

  test('has for each root its key, its use and one x5c, and no kid (§4.2.1)', () => {
    const written = writeBundle({
      trustDomain: 'example.org',
      x509Authorities: roots,
      jwtAuthorities: [],
      sequence: null,
      refreshHintSeconds: null,
    })
    const { keys, ...rest } = JSON.parse(written) as { keys: Record<string, unknown>[] }
    expect(rest).toEqual({})
    expect(keys.map(({ kty }) => kty)).toEqual(['EC', 'EC', 'RSA'])
    for (const [index, key] of keys.entries()) {
      expect(key).toMatchObject({ use: 'x509-svid', x5c: [roots[index]?.raw.toString('base64')] })
      expect(key).not.toHaveProperty('kid')
    }
  })

  test('has for each JWT key its kid and use, whatever the key says of itself', () => {
    const key = { kty: 'EC', crv: 'P-256', kid: 'other', use: 'sig' }
    const written = writeBundle({
      trustDomain: 'example.org',
      x509Authorities: [],
      jwtAuthorities: [{ keyId: 'k1', key }],
      sequence: 3,
      refreshHintSeconds: 0,
    })
    expect(JSON.parse(written)).toEqual({
      keys: [{ kty: 'EC', crv: 'P-256', kid: 'k1', use: 'jwt-svid' }],
      spiffe_sequence: 3,
      spiffe_refresh_hint: 0,
    })
  })
})

test('the PEM that is written is read as the same roots', () => {
  fc.assert(
    fc.property(bundle, (bundle) => {
      const pem = writePem(bundle)
      if (bundle.x509Authorities.length === 0) expect(pem).toBe('')
      else expect(fingerprints(readBundle(pem, bundle.trustDomain))).toEqual(fingerprints(bundle))
    }),
  )
})

test('no text makes reading throw anything but its own errors', () => {
  const member = fc.constantFrom(
    'keys',
    'spiffe_sequence',
    'use',
    'kty',
    'kid',
    'x5c',
    '__proto__',
    'constructor',
  )
  const word = fc.constantFrom('x509-svid', 'jwt-svid', 'EC', 'AAAA', roots[0]?.raw.toString('base64') ?? '')
  const { entry } = fc.letrec<{ entry: unknown }>((tie) => ({
    entry: fc.oneof(
      { depthSize: 'small' },
      word,
      fc.jsonValue({ maxDepth: 1 }),
      fc.array(tie('entry'), { maxLength: 3 }),
      fc.dictionary(member, tie('entry')),
    ),
  }))
  const keys = fc.array(
    fc.record({ kty: fc.constant('EC'), use: word, kid: entry, x5c: entry }, { requiredKeys: [] }),
    { maxLength: 3 },
  )
  const text = fc.oneof(
    fc.string(),
    entry.map((value) => JSON.stringify(value)),
    keys.map((keys) => JSON.stringify({ keys })),
    fc.base64String().map((text) => `-----BEGIN CERTIFICATE-----\n${text}\n-----END CERTIFICATE-----`),
  )
  fc.assert(
    fc.property(text, (text) => {
      try {
        readBundle(text, 'example.org')
      } catch (error) {
        if (!(error instanceof BundleError || error instanceof SpiffeIdError)) throw error
      }
    }),
    { numRuns: 1000 },
  )
})
