import { X509Certificate } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { type CertificateFacts, readCertificate } from '../../../spiffe/certificate.ts'
import { DerError } from '../../../spiffe/der.ts'
import { der, make, p256, WORKLOAD, x509 } from './certificates.ts'
import { errorOf } from './errors.ts'

const keys = await p256()
const OID = {
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  nameConstraints: '2.5.29.30',
  extendedKeyUsage: '2.5.29.37',
} as const
const bytes = (hex: string) => Buffer.from(hex.replaceAll(' ', ''), 'hex')

async function made(...extensions: readonly x509.Extension[]): Promise<X509Certificate> {
  return (await make({ subject: 'CN=x', keys, extensions })).certificate
}

async function factsWith(oid: string, value: Uint8Array, critical = true): Promise<CertificateFacts> {
  return readCertificate(await made(new x509.Extension(oid, critical, new Uint8Array(value))))
}

test('a certificate without extensions has no facts that help it', async () => {
  expect(readCertificate(await made())).toEqual({
    subjectEmpty: false,
    uris: [],
    dnsNames: [],
    otherSanKinds: new Set(),
    sanCritical: false,
    isCa: false,
    pathLength: null,
    keyUsage: null,
    extendedKeyUsage: null,
    nameConstraints: null,
    signatureAlgorithm: '2a8648ce3d040302',
    hasUnknownCritical: false,
  })
})

test('an empty subject is told from one that is there', async () => {
  expect(readCertificate((await make({ subject: '', keys })).certificate).subjectEmpty).toBe(true)
})

describe('names are taken one by one and never from text', () => {
  const uri = (text: string) => der(0x86, text)
  const cases: Record<
    string,
    readonly [names: readonly Buffer[], uris: readonly string[], others: readonly number[]]
  > = {
    'an empty list': [[], [], []],
    'two URIs': [[uri('spiffe://a/b'), uri('spiffe://a/c')], ['spiffe://a/b', 'spiffe://a/c'], []],
    'the same URI twice': [[uri('spiffe://a/b'), uri('spiffe://a/b')], ['spiffe://a/b', 'spiffe://a/b'], []],
    'an empty URI': [[uri('')], [''], []],
    'a URI with a comma and a second one inside': [
      [uri('spiffe://a/b, URI:spiffe://a/admin')],
      ['spiffe://a/b, URI:spiffe://a/admin'],
      [],
    ],
    'a DNS name that looks like a URI in print': [
      [der(0x82, 'x.test, URI:spiffe://a/admin'), uri('spiffe://a/b')],
      ['spiffe://a/b'],
      [2],
    ],
    'a URI with a NUL byte': [[uri('spiffe://a/b\0c')], ['spiffe://a/b\0c'], []],
    'a URI with bytes above 127, one character each': [
      [uri('spiffe://a/\xc3\xa9')],
      ['spiffe://a/\xc3\xa9'],
      [],
    ],
    'mail, directory name and address': [
      [der(0x81, 'a@b'), der(0xa4, der(0x30)), der(0x87, bytes('0a000001'))],
      [],
      [1, 4, 7],
    ],
  }
  test.each(Object.entries(cases))('%s', async (_, [names, uris, others]) => {
    const facts = await factsWith(OID.subjectAltName, der(0x30, ...names), false)
    expect(facts).toMatchObject({ uris, otherSanKinds: new Set(others), sanCritical: false })
  })

  test('DNS names are kept one by one, as they are', async () => {
    const names = [der(0x82, 'a.test, DNS:b.test'), uri('spiffe://a/b'), der(0x82, 'C.test\0'), der(0x82)]
    const facts = await factsWith(OID.subjectAltName, der(0x30, ...names), false)
    expect(facts.dnsNames).toEqual(['a.test, DNS:b.test', 'C.test\0', ''])
  })

  test('a DNS name with another tag than a DNS name has is none', async () => {
    const facts = await factsWith(
      OID.subjectAltName,
      der(0x30, der(0xa2, 'a.test'), der(0x42, 'b.test')),
      false,
    )
    expect(facts).toMatchObject({ dnsNames: [], otherSanKinds: new Set([2]) })
  })

  test('criticality is kept', async () => {
    expect(await factsWith(OID.subjectAltName, der(0x30, uri(WORKLOAD)))).toMatchObject({ sanCritical: true })
  })
})

describe('basic constraints', () => {
  const cases: Record<string, readonly [hex: string, isCa: boolean, pathLength: number | null]> = {
    'an empty sequence is no CA': ['3000', false, null],
    'FALSE written out is no CA': ['3003 010100', false, null],
    'a CA': ['3003 0101ff', true, null],
    'a CA with pathLength 0': ['3006 0101ff 020100', true, 0],
    'a CA with pathLength 127': ['3006 0101ff 02017f', true, 127],
    'a pathLength without cA': ['3003 020103', false, 3],
  }
  test.each(Object.entries(cases))('%s', async (_, [hex, isCa, pathLength]) => {
    expect(await factsWith(OID.basicConstraints, bytes(hex))).toMatchObject({ isCa, pathLength })
  })
})

describe('key usage bits', () => {
  const none = { critical: true, digitalSignature: false, keyCertSign: false, cRLSign: false }
  const cases: Record<string, readonly [hex: string, usage: object]> = {
    digitalSignature: ['0302 0780', { digitalSignature: true }],
    keyCertSign: ['0302 0204', { keyCertSign: true }],
    cRLSign: ['0302 0102', { cRLSign: true }],
    'the other bits of the octet': ['0302 0079', {}],
    'no bits': ['0301 00', {}],
    'no octets': ['0300', {}],
    'all, with decipherOnly in a second octet': [
      '0303 07ff80',
      { digitalSignature: true, keyCertSign: true, cRLSign: true },
    ],
  }
  test.each(Object.entries(cases))('%s', async (_, [hex, usage]) => {
    expect((await factsWith(OID.keyUsage, bytes(hex))).keyUsage).toEqual({ ...none, ...usage })
  })

  test('criticality is kept', async () => {
    expect((await factsWith(OID.keyUsage, bytes('03020780'), false)).keyUsage?.critical).toBe(false)
  })
})

test('name constraints by kind and side', async () => {
  const subtree = (tag: number, name: string) => der(0x30, der(tag, name))
  const value = der(
    0x30,
    der(0xa0, subtree(0x86, 'example.org'), subtree(0x82, 'host')),
    der(0xa1, subtree(0x86, '.evil'), subtree(0x87, '\n\0\0\0')),
  )
  expect((await factsWith(OID.nameConstraints, value)).nameConstraints).toEqual({
    permittedUris: ['example.org'],
    excludedUris: ['.evil'],
    otherKinds: new Set([2, 7]),
  })
})

describe('critical extensions', () => {
  test.each(Object.entries(OID))('%s is understood', async (name, oid) => {
    const value = name === 'keyUsage' ? '03020780' : '3000'
    expect((await factsWith(oid, bytes(value))).hasUnknownCritical).toBe(false)
  })

  test('one that is not known counts if it is critical', async () => {
    expect((await factsWith('1.2.3.4', bytes('0500'))).hasUnknownCritical).toBe(true)
    expect((await factsWith('1.2.3.4', bytes('0500'), false)).hasUnknownCritical).toBe(false)
    expect((await factsWith('2.5.29.36', bytes('3000'))).hasUnknownCritical).toBe(true)
  })
})

describe('what is read in two ways by two readers is refused', () => {
  const cases: Record<string, readonly [oid: string, hex: string]> = {
    'cA that is TRUE in BER alone': [OID.basicConstraints, '3003 010101'],
    'cA without content': [OID.basicConstraints, '3002 0100'],
    'cA of two octets': [OID.basicConstraints, '3004 0102ffff'],
    'a negative pathLength': [OID.basicConstraints, '3006 0101ff 0201ff'],
    'a pathLength of two octets': [OID.basicConstraints, '3007 0101ff 02020080'],
    'a pathLength that is no integer': [OID.basicConstraints, '3006 0101ff 040100'],
    'bytes behind the extension': [OID.basicConstraints, '3000 00'],
    'key usage that is no bit string': [OID.keyUsage, '0402 0780'],
    'key usage as a constructed bit string': [OID.keyUsage, '2304 03020780'],
    'an extended key usage that is no OID': [OID.extendedKeyUsage, '3003 040100'],
    'a list of names cut short': [OID.subjectAltName, '3005 8606 61'],
    'a URI with the universal tag 6': [OID.subjectAltName, '3003 060161'],
    'a URI in constructed form': [OID.subjectAltName, '3003 a60161'],
    'a URI with an application tag': [OID.subjectAltName, '3003 460161'],
    'a subtree without a base': [OID.nameConstraints, '3004 a0023000'],
  }
  test.each(Object.entries(cases))('%s', async (_, [oid, hex]) => {
    const certificate = await made(new x509.Extension(oid, false, new Uint8Array(bytes(hex))))
    errorOf(() => readCertificate(certificate), DerError)
  })

  test('an extension that is there twice', async () => {
    const one = new x509.Extension('1.2.3.4', false, new Uint8Array(bytes('0500')))
    const certificate = await made(one, one)
    errorOf(() => readCertificate(certificate), DerError)
  })

  test('an unknown extension whose critical flag is TRUE in BER alone', async () => {
    const raw = (await made(new x509.Extension('1.2.3.4', true, new Uint8Array(bytes('0500'))))).raw
    const flag = raw.indexOf(bytes('06032a0304 0101ff')) + 7
    raw[flag] = 0x01
    const certificate = new X509Certificate(raw)
    expect(certificate.raw[flag]).toBe(0x01)
    errorOf(() => readCertificate(certificate), DerError)
  })
})
