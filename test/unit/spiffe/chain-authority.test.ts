// What a CA certificate must be to stand in a chain, as root and as intermediate.
import { describe, expect, test } from 'vitest'
import { SvidError, verifyX509Svid } from '../../../spiffe/x509-svid.ts'
import { createRoot, EKU, KEY_USAGE } from '../../fixtures/pki.ts'
import {
  caExtensions,
  der,
  leafExtensions,
  type Made,
  make,
  node,
  root as makeRoot,
  signerOf,
  trusting,
  WORKLOAD,
  x509,
} from './certificates.ts'

const root = await makeRoot()
const signer = signerOf(root)
const [, keyUsage] = caExtensions()
const [basicConstraints] = caExtensions()
if (keyUsage === undefined || basicConstraints === undefined) throw new Error('a CA has two extensions')

/** `valid` or the code, for a leaf below `ca` as an intermediate of our root. */
async function verdict(
  ca: Made,
  options: { purpose?: 'client' | 'server'; asRoot?: boolean; dns?: string } = {},
): Promise<string> {
  const [usage] = leafExtensions(WORKLOAD)
  const names: x509.JsonGeneralNames = [
    { type: 'url', value: WORKLOAD },
    ...(options.dns === undefined ? [] : [{ type: 'dns' as const, value: options.dns }]),
  ]
  const leaf = await make({
    subject: 'CN=x',
    by: ca,
    extensions: [...(usage === undefined ? [] : [usage]), new x509.SubjectAlternativeNameExtension(names)],
  })
  try {
    verifyX509Svid({
      leaf: leaf.certificate,
      intermediates: options.asRoot === true ? [] : [ca.certificate],
      bundle: options.asRoot === true ? trusting(ca.certificate) : trusting(root),
      now: new Date(),
      purpose: options.purpose ?? 'client',
    })
    return 'valid'
  } catch (error) {
    if (error instanceof SvidError) return error.code
    throw error
  }
}

const san = (...uris: readonly string[]) =>
  new x509.SubjectAlternativeNameExtension(uris.map((value) => ({ type: 'url' as const, value })))
const eku = (...oids: readonly string[]) => new x509.ExtendedKeyUsageExtension([...oids])

describe('an intermediate', () => {
  const cases: Record<
    string,
    readonly [extensions: readonly x509.Extension[], expected: 'valid' | 'untrusted']
  > = {
    'a CA that may sign certificates': [caExtensions(), 'valid'],
    'no basic constraints': [[keyUsage], 'untrusted'],
    'CA:FALSE': [[new x509.BasicConstraintsExtension(false, undefined, true), keyUsage], 'untrusted'],
    'no key usage': [[basicConstraints], 'untrusted'],
    'a key usage without keyCertSign': [
      caExtensions({ keyUsage: KEY_USAGE.digitalSignature | KEY_USAGE.cRLSign }),
      'untrusted',
    ],
    'an unknown critical extension': [
      [...caExtensions(), new x509.Extension('1.2.3.4', true, new Uint8Array([5, 0]))],
      'untrusted',
    ],
    'an unknown extension that is not critical': [
      [...caExtensions(), new x509.Extension('1.2.3.4', false, new Uint8Array([5, 0]))],
      'valid',
    ],
    'an extension that cannot be read': [
      [...caExtensions(), new x509.Extension('2.5.29.30', false, new Uint8Array([5, 0]))],
      'untrusted',
    ],
    // OpenSSL reads this one, so that nothing but our own reader stands in the way.
    'a pathLength beyond what is of use': [
      [keyUsage, new x509.Extension('2.5.29.19', true, new Uint8Array([0x30, 7, 1, 1, 0xff, 2, 2, 0, 0x80]))],
      'untrusted',
    ],
    'the ID of our trust domain': [[...caExtensions(), san('spiffe://example.org')], 'valid'],
    'the ID of another trust domain': [[...caExtensions(), san('spiffe://other.org')], 'untrusted'],
    'an ID with a path': [[...caExtensions(), san('spiffe://example.org/ca')], 'untrusted'],
    'our ID and another one': [
      [...caExtensions(), san('spiffe://example.org', 'spiffe://other.org')],
      'untrusted',
    ],
    clientAuth: [[...caExtensions(), eku(EKU.clientAuth)], 'valid'],
    'serverAuth alone, for a client': [[...caExtensions(), eku(EKU.serverAuth)], 'untrusted'],
    'any purpose': [[...caExtensions(), eku('2.5.29.37.0')], 'valid'],
    'another purpose': [[...caExtensions(), eku('1.3.6.1.5.5.7.3.3')], 'untrusted'],
  }
  test.each(Object.entries(cases))('%s', async (_, [extensions, expected]) => {
    expect(await verdict(await make({ subject: 'CN=CA', by: signer, extensions }))).toBe(expected)
  })

  test('the purpose asked for is what counts', async () => {
    const caFor = (oid: string) =>
      make({ subject: 'CN=CA', by: signer, extensions: [...caExtensions(), eku(oid)] })
    expect(await verdict(await caFor(EKU.serverAuth), { purpose: 'server' })).toBe('valid')
    expect(await verdict(await caFor(EKU.clientAuth), { purpose: 'server' })).toBe('untrusted')
  })
})

describe('weak CAs', () => {
  test('an intermediate with RSA of 1024 bits', async () => {
    const weak = await root.subordinate({ name: 'CA', key: 'RSA-1024' })
    expect(await verdict({ ...signerOf(weak), certificate: node(weak.pem) })).toBe('untrusted')
  })

  test('a root with RSA of 1024 bits', async () => {
    const weak = await createRoot({ name: 'Weak', key: 'RSA-1024' })
    expect(await verdict({ ...signerOf(weak), certificate: node(weak.pem) }, { asRoot: true })).toBe(
      'untrusted',
    )
  })

  test('a SHA-1 signature spoils an intermediate and no root, which is trusted as a key', async () => {
    const intermediate = await make({
      subject: 'CN=CA',
      by: signer,
      hash: 'SHA-1',
      extensions: caExtensions(),
    })
    expect(await verdict(intermediate)).toBe('untrusted')
    const old = await make({ subject: 'CN=Old', hash: 'SHA-1', extensions: caExtensions() })
    expect(await verdict(old, { asRoot: true })).toBe('valid')
  })
})

describe('a root keeps to the same rules', () => {
  const cases: Record<
    string,
    readonly [extensions: readonly x509.Extension[], expected: 'valid' | 'untrusted']
  > = {
    'a CA that may sign certificates': [caExtensions(), 'valid'],
    'no key usage': [[basicConstraints], 'untrusted'],
    'the ID of another trust domain': [[...caExtensions(), san('spiffe://other.org')], 'untrusted'],
    'serverAuth alone, for a client': [[...caExtensions(), eku(EKU.serverAuth)], 'untrusted'],
  }
  test.each(Object.entries(cases))('%s', async (_, [extensions, expected]) => {
    expect(await verdict(await make({ subject: 'CN=Top', extensions }), { asRoot: true })).toBe(expected)
  })
})

describe('name constraints', () => {
  const [PERMITTED, EXCLUDED, URI, DNS] = [0xa0, 0xa1, 0x86, 0x82]
  type Entry = readonly [side: number, tag: number, name: string]
  const constraint = (...entries: readonly Entry[]) => {
    const sides = [PERMITTED, EXCLUDED].flatMap((side) => {
      const subtrees = entries.filter(([of]) => of === side).map(([, tag, name]) => der(0x30, der(tag, name)))
      return subtrees.length === 0 ? [] : [der(side, ...subtrees)]
    })
    return new x509.Extension('2.5.29.30', true, new Uint8Array(der(0x30, ...sides)))
  }
  const cases: Record<string, readonly [x509.Extension, expected: 'valid' | 'untrusted', dns?: string]> = {
    'our trust domain is permitted': [constraint([PERMITTED, URI, 'example.org']), 'valid'],
    'in capitals, as host names may be': [constraint([PERMITTED, URI, 'Example.ORG']), 'valid'],
    'another one is permitted': [constraint([PERMITTED, URI, 'other.org']), 'untrusted'],
    'one of two that are permitted': [
      constraint([PERMITTED, URI, 'other.org'], [PERMITTED, URI, 'example.org']),
      'valid',
    ],
    'what lies below org is permitted': [constraint([PERMITTED, URI, '.org']), 'valid'],
    'what lies below our trust domain is permitted, which it is not itself': [
      constraint([PERMITTED, URI, '.example.org']),
      'untrusted',
    ],
    'a name that ours ends with, without dot': [constraint([PERMITTED, URI, 'ample.org']), 'untrusted'],
    'a name that begins with ours': [constraint([PERMITTED, URI, 'example.org.evil']), 'untrusted'],
    'our trust domain is excluded': [constraint([EXCLUDED, URI, 'example.org']), 'untrusted'],
    'what lies below org is excluded': [constraint([EXCLUDED, URI, '.org']), 'untrusted'],
    'another one is excluded': [constraint([EXCLUDED, URI, 'other.org']), 'valid'],
    'permitted and excluded': [
      constraint([PERMITTED, URI, '.org'], [EXCLUDED, URI, 'example.org']),
      'untrusted',
    ],
    'DNS names are constrained and the leaf has none': [constraint([PERMITTED, DNS, 'example.org']), 'valid'],
    'DNS names are constrained and the leaf has one': [
      constraint([PERMITTED, DNS, 'example.org']),
      'untrusted',
      'api.example.org',
    ],
    'URIs are constrained and the leaf has a DNS name too': [
      constraint([PERMITTED, URI, 'example.org']),
      'valid',
      'api.example.org',
    ],
  }
  test.each(Object.entries(cases))('%s', async (_, [extension, expected, dns]) => {
    const extensions = [...caExtensions(), extension]
    const options = dns === undefined ? {} : { dns }
    expect(await verdict(await make({ subject: 'CN=CA', by: signer, extensions }), options)).toBe(expected)
    const top = await make({ subject: 'CN=Top', extensions })
    expect(await verdict(top, { ...options, asRoot: true })).toBe(expected)
  })
})
