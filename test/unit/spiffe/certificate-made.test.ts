// Another writer of certificates as the judge of the reader.
import { X509Certificate } from 'node:crypto'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { readCertificate } from '../../../spiffe/certificate.ts'
import { DerError } from '../../../spiffe/der.ts'
import { KEY_USAGE } from '../../fixtures/pki.ts'
import { caExtensions, leafExtensions, make, p256, WORKLOAD, x509 } from './certificates.ts'
import { idParts, idText } from './ids.ts'

const keys = await p256()
const KIND = { email: 1, dns: 2, url: 6, ip: 7 } as const

const name: fc.Arbitrary<x509.JsonGeneralName> = fc.oneof(
  idParts.map((parts) => ({ type: 'url' as const, value: idText(parts) })),
  fc.constantFrom({ type: 'url' as const, value: 'https://example.org/a, URI:spiffe://td/admin' }),
  fc.domain().map((value) => ({ type: 'dns' as const, value })),
  fc.ipV4().map((value) => ({ type: 'ip' as const, value })),
  fc.constantFrom({ type: 'email' as const, value: 'a@example.org' }),
)

const FLAGS = [
  KEY_USAGE.digitalSignature,
  KEY_USAGE.nonRepudiation,
  KEY_USAGE.keyEncipherment,
  KEY_USAGE.keyAgreement,
  KEY_USAGE.keyCertSign,
  KEY_USAGE.cRLSign,
  KEY_USAGE.decipherOnly,
]
const spec = fc.record({
  // 1950 to 2049 is written as UTCTime, later as GeneralizedTime.
  dates: fc
    .tuple(
      fc.date({ min: new Date('1970-01-02'), max: new Date('2100-01-01'), noInvalidDate: true }),
      fc.integer({ min: 0, max: 3_000_000_000 }),
    )
    .map(([from, seconds]) => {
      const notBefore = new Date(Math.floor(from.getTime() / 1000) * 1000)
      return { notBefore, notAfter: new Date(notBefore.getTime() + seconds * 1000) }
    }),
  // Without leading zeros and positive, as a serial number is.
  serial: fc
    .uint8Array({ minLength: 1, maxLength: 20 })
    .map((bytes) => Buffer.from([((bytes[0] ?? 0) % 127) + 1, ...bytes.slice(1)]).toString('hex')),
  subject: fc.constantFrom('', 'CN=a', 'CN=a,O=b'),
  names: fc.array(name, { maxLength: 5 }),
  sanCritical: fc.boolean(),
  ca: fc.option(fc.record({ isCa: fc.boolean(), pathLength: fc.option(fc.nat(127), { nil: undefined }) }), {
    nil: undefined,
  }),
  usage: fc.option(
    fc.record({
      flags: fc.subarray(FLAGS, { minLength: 1 }).map((flags) => flags.reduce((all, flag) => all | flag)),
      critical: fc.boolean(),
    }),
  ),
  eku: fc.option(fc.uniqueArray(fc.constantFrom('1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2'), { minLength: 1 })),
})
const EKU_OCTETS: Readonly<Record<string, string>> = {
  '1.3.6.1.5.5.7.3.1': '2b06010505070301',
  '1.3.6.1.5.5.7.3.2': '2b06010505070302',
}

test('what @peculiar/x509 writes is what is read', async () => {
  await fc.assert(
    fc.asyncProperty(spec, async ({ dates, serial, subject, names, sanCritical, ca, usage, eku }) => {
      const { certificate } = await make({
        subject,
        keys,
        ...dates,
        serialNumber: serial,
        extensions: [
          ...(names.length === 0 ? [] : [new x509.SubjectAlternativeNameExtension(names, sanCritical)]),
          ...(ca === undefined ? [] : [new x509.BasicConstraintsExtension(ca.isCa, ca.pathLength, true)]),
          ...(usage === null ? [] : [new x509.KeyUsagesExtension(usage.flags, usage.critical)]),
          ...(eku === null ? [] : [new x509.ExtendedKeyUsageExtension(eku)]),
        ],
      })
      expect(readCertificate(certificate)).toEqual({
        subjectEmpty: subject === '',
        uris: names.filter(({ type }) => type === 'url').map(({ value }) => value),
        dnsNames: names.filter(({ type }) => type === 'dns').map(({ value }) => value),
        otherSanKinds: new Set(
          names.filter(({ type }) => type !== 'url').map(({ type }) => KIND[type as keyof typeof KIND]),
        ),
        sanCritical: names.length > 0 && sanCritical,
        isCa: ca?.isCa ?? false,
        pathLength: ca?.pathLength ?? null,
        keyUsage: usage && {
          critical: usage.critical,
          digitalSignature: (usage.flags & KEY_USAGE.digitalSignature) !== 0,
          keyCertSign: (usage.flags & KEY_USAGE.keyCertSign) !== 0,
          cRLSign: (usage.flags & KEY_USAGE.cRLSign) !== 0,
        },
        extendedKeyUsage: eku && new Set(eku.map((oid) => EKU_OCTETS[oid])),
        nameConstraints: null,
        signatureAlgorithm: '2a8648ce3d040302',
        hasUnknownCritical: false,
      })
      // The verdict on time and the records take these from Node.
      expect(certificate.validFromDate).toEqual(dates.notBefore)
      expect(certificate.validToDate).toEqual(dates.notAfter)
      expect(certificate.serialNumber.toLowerCase()).toBe(serial)
    }),
    { numRuns: 150 },
  )
})

test('a certificate with changed bytes is read or is a DerError', async () => {
  const certificates = [
    (await make({ subject: 'CN=x', keys, extensions: leafExtensions(WORKLOAD) })).certificate.raw,
    (await make({ subject: 'CN=x', keys, extensions: caExtensions({ pathLength: 1 }) })).certificate.raw,
  ]
  const change = fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 }))
  fc.assert(
    fc.property(
      fc.constantFrom(...certificates),
      fc.array(change, { minLength: 1, maxLength: 3 }),
      (raw, changes) => {
        const changed = Buffer.from(raw)
        for (const [at, octet] of changes) changed[at % changed.length] = octet
        let certificate: X509Certificate
        try {
          certificate = new X509Certificate(changed)
        } catch {
          return
        }
        try {
          readCertificate(certificate)
        } catch (error) {
          expect(error).toBeInstanceOf(DerError)
        }
      },
    ),
    { numRuns: 2000 },
  )
})
