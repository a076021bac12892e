// The leaf that is written by hand, held against the library that makes the CA's own certificates.
import { generateKeyPairSync, X509Certificate } from 'node:crypto'
import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import { CA_ALGORITHM } from '../../../../../lambdas/identity/authority/ca-key.ts'
import type { AuthorityState } from '../../../../../lambdas/identity/authority/state.ts'
import { writeInteger, writeTime } from '../../../../../lambdas/identity/mint/der.ts'
import { type LeafFields, signLeaf, writeTbs } from '../../../../../lambdas/identity/mint/leaf.ts'
import * as x509 from '../../../../../common/x509-library.ts'
import { readAll, readOne, TAG } from '../../../../../spiffe/der.ts'
import { createState } from '../support.ts'

let state: AuthorityState
beforeAll(async () => {
  state = await createState(new Date())
})

const KEYS = [
  generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  generateKeyPairSync('ec', { namedCurve: 'P-384' }),
  generateKeyPairSync('rsa', { modulusLength: 2048 }),
].map(({ publicKey }) => new Uint8Array(publicKey.export({ type: 'spki', format: 'der' })))

async function byLibrary(fields: LeafFields): Promise<Buffer> {
  const [issuing] = state.issuing.chain
  if (issuing === undefined) throw new Error('no issuing certificate')
  const issuer = new x509.X509Certificate(new Uint8Array(issuing.raw))
  const key = new x509.PublicKey(new Uint8Array(fields.spki))
  const names: x509.JsonGeneralNames = [
    { type: 'url', value: fields.spiffeId },
    ...fields.dnsNames.map((value) => ({ type: 'dns' as const, value })),
  ]
  const made = await x509.X509CertificateGenerator.create({
    serialNumber: fields.serialNumber,
    issuer: issuer.subjectName,
    notBefore: fields.notBefore,
    notAfter: fields.notAfter,
    publicKey: new Uint8Array(fields.spki),
    signingKey: state.issuing.key.toCryptoKey(CA_ALGORITHM, false, ['sign']),
    signingAlgorithm: CA_ALGORITHM,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([
        x509.ExtendedKeyUsage.serverAuth,
        x509.ExtendedKeyUsage.clientAuth,
      ]),
      await x509.SubjectKeyIdentifierExtension.create(key),
      await x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey),
      new x509.SubjectAlternativeNameExtension(names, true),
    ],
  })
  return Buffer.from(made.rawData)
}

const partsOf = (der: Buffer) => readAll(readOne(der, TAG.SEQUENCE)).map(({ raw }) => raw.toString('hex'))

const seconds = (from: string, to: string) =>
  fc
    .integer({ min: Date.parse(from) / 1000, max: Date.parse(to) / 1000 })
    .map((time) => new Date(time * 1000))
const label = fc.stringMatching(/^[a-z0-9]{1,20}$/)
const FIELDS = fc.record({
  spiffeId: fc
    .array(fc.stringMatching(/^[A-Za-z0-9._-]{1,60}$/), { minLength: 1, maxLength: 20 })
    .map((path) => `spiffe://example.org/${path.join('/')}`),
  dnsNames: fc.array(
    fc.tuple(label, label).map((labels) => labels.join('.')),
    { maxLength: 16 },
  ),
  spki: fc.constantFrom(...KEYS),
  serialNumber: fc
    .uint8Array({ minLength: 1, maxLength: 16 })
    .filter(([first = 0]) => first > 0 && first < 0x80)
    .map((bytes) => Buffer.from(bytes).toString('hex')),
  notBefore: seconds('2026-01-01T00:00:00Z', '2049-12-31T23:59:59Z'),
  notAfter: seconds('2026-01-01T00:00:00Z', '2120-01-01T00:00:00Z'),
})

describe('a leaf', () => {
  it('is byte for byte what the library makes of the same fields', async () => {
    await fc.assert(
      fc.asyncProperty(FIELDS, async (fields) => {
        const [tbs, algorithm] = partsOf(await byLibrary(fields))
        const own = signLeaf(fields, state.issuing)
        expect(writeTbs(fields, state.issuing).toString('hex')).toBe(tbs)
        expect(partsOf(own).slice(0, 2)).toEqual([tbs, algorithm])
      }),
      { numRuns: 100 },
    )
  })

  it('has a signature that OpenSSL verifies, whatever zeros or top bits r and s begin with', () => {
    const [issuing] = state.issuing.chain
    const [spki = new Uint8Array()] = KEYS
    const fields = { spiffeId: 'spiffe://example.org/a', dnsNames: [], spki, serialNumber: '01' }
    const now = new Date(1_800_000_000_000)
    for (let round = 0; round < 300; round++) {
      const der = signLeaf({ ...fields, notBefore: now, notAfter: now }, state.issuing)
      const leaf = new X509Certificate(der)
      expect(issuing !== undefined && leaf.verify(issuing.publicKey)).toBe(true)
    }
  })
})

it.each([
  ['2049-12-31T23:59:59.000Z', '170d3439313233313233353935395a'],
  ['2050-01-01T00:00:00.000Z', '180f32303530303130313030303030305a'],
  ['2026-11-24T12:00:00.999Z', '170d3236313132343132303030305a'],
])('writes the time %s in the form that RFC 5280 asks for', (time, expected) => {
  expect(writeTime(new Date(time)).toString('hex')).toBe(expected)
})

it.each([
  ['00', '020100'],
  ['0000', '020100'],
  ['007f', '02017f'],
  ['80', '02020080'],
  ['0080', '02020080'],
  ['00ff01', '020300ff01'],
])('writes the integer of the bytes %s as short as it may be, and positive', (bytes, expected) => {
  expect(writeInteger(Buffer.from(bytes, 'hex')).toString('hex')).toBe(expected)
})
