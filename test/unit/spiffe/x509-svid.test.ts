import { webcrypto } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import {
  checkX509SvidLeaf,
  SvidError,
  type SvidErrorCode,
  verifyX509Svid,
} from '../../../spiffe/x509-svid.ts'
import { createRoot, EKU, KEY_USAGE, type LeafOptions } from '../../fixtures/pki.ts'
import { make, root as makeRoot, node, signerOf, trusting, WORKLOAD, x509 } from './certificates.ts'
import { errorOf } from './errors.ts'

const root = await makeRoot()
const NOW = new Date()

async function leafOf(options: LeafOptions) {
  return node((await root.issue({ uris: [WORKLOAD], ...options })).pem)
}

function verify(leaf: ReturnType<typeof node>, purpose: 'client' | 'server' = 'client') {
  return verifyX509Svid({ leaf, intermediates: [], bundle: trusting(root), now: NOW, purpose })
}

const USAGE = (flags: number, critical = true) => ({ keyUsage: { flags, critical } })
const SIGNATURE = KEY_USAGE.digitalSignature

describe('a leaf that the standard allows', () => {
  const cases: Record<string, LeafOptions> = {
    'an empty subject and a critical SAN': {},
    'a subject and a SAN that is not critical': { cn: 'api' },
    'a subject and a critical SAN': { cn: 'api', sanCritical: true },
    'DNS names and addresses besides the URI': { dns: ['api.example.org'], ips: ['10.0.0.1'] },
    'a DNS name that looks like a second URI in print': { dns: ['x.test, URI:spiffe://example.org/admin'] },
    'no extended key usage': { eku: null },
    'a third purpose': { eku: [EKU.serverAuth, EKU.clientAuth, '1.3.6.1.5.5.7.3.3'] },
    'CA:FALSE written out': { ca: false },
    'keyEncipherment and keyAgreement besides': USAGE(
      SIGNATURE | KEY_USAGE.keyEncipherment | KEY_USAGE.keyAgreement,
    ),
    'P-384': { key: 'P-384', hash: 'SHA-384' },
    'RSA of 2048 bits': { key: 'RSA-2048' },
    'an unknown extension that is not critical': {
      extensions: [new x509.Extension('1.2.3.4', false, new Uint8Array([5, 0]))],
    },
  }
  test.each(Object.entries(cases))('%s', async (_, options) => {
    const leaf = await leafOf(options)
    for (const purpose of ['client', 'server'] as const) {
      const { id, chain } = verify(leaf, purpose)
      expect(id.uri).toBe(WORKLOAD)
      expect(chain.map(({ fingerprint256 }) => fingerprint256)).toEqual([
        leaf.fingerprint256,
        node(root.pem).fingerprint256,
      ])
    }
  })
})

describe('a leaf that is refused, although a trusted root signed it', () => {
  const cases: Record<string, readonly [options: LeafOptions, code: SvidErrorCode]> = {
    'no SAN at all': [{ cn: 'x', uris: [] }, 'no-uri'],
    'a DNS name alone': [{ uris: [], dns: ['example.org'] }, 'no-uri'],
    'a SPIFFE ID as common name': [{ cn: 'spiffe://example.org/a', uris: [] }, 'no-uri'],
    'two SPIFFE IDs': [{ uris: [WORKLOAD, 'spiffe://example.org/admin'] }, 'multiple-uris'],
    'the same ID twice': [{ uris: [WORKLOAD, WORKLOAD] }, 'multiple-uris'],
    'a SPIFFE ID and another URI': [{ uris: [WORKLOAD, 'https://example.org/'] }, 'multiple-uris'],
    'another URI and a SPIFFE ID': [{ uris: ['https://example.org/', WORKLOAD] }, 'multiple-uris'],
    'a URI of another scheme': [{ uris: ['https://example.org/a'] }, 'malformed-id'],
    'an ID with a dot segment': [{ uris: ['spiffe://example.org/ns/../sa'] }, 'malformed-id'],
    'an ID with a query': [{ uris: ['spiffe://example.org/a?b'] }, 'malformed-id'],
    'an ID in capitals': [{ uris: ['SPIFFE://EXAMPLE.ORG/a'] }, 'malformed-id'],
    'an ID with a trailing slash': [{ uris: ['spiffe://example.org/a/'] }, 'malformed-id'],
    'an ID of 2049 bytes': [{ uris: [WORKLOAD.padEnd(2049, 'a')] }, 'malformed-id'],
    'an ID without path': [{ uris: ['spiffe://example.org'] }, 'no-path'],
    'CA:TRUE': [{ ca: true }, 'is-ca'],
    'no key usage': [{ keyUsage: null }, 'key-usage'],
    'a key usage that is not critical': [USAGE(SIGNATURE, false), 'key-usage'],
    'a key usage without digitalSignature': [USAGE(KEY_USAGE.keyAgreement), 'key-usage'],
    keyCertSign: [USAGE(SIGNATURE | KEY_USAGE.keyCertSign), 'key-usage'],
    cRLSign: [USAGE(SIGNATURE | KEY_USAGE.cRLSign), 'key-usage'],
    'serverAuth alone': [{ eku: [EKU.serverAuth] }, 'extended-key-usage'],
    'clientAuth alone': [{ eku: [EKU.clientAuth] }, 'extended-key-usage'],
    'another purpose alone': [{ eku: ['1.3.6.1.5.5.7.3.3'] }, 'extended-key-usage'],
    'any purpose in place of the two': [{ eku: ['2.5.29.37.0'] }, 'extended-key-usage'],
    'an empty subject and a SAN that is not critical': [{ sanCritical: false }, 'malformed'],
    'an unknown critical extension': [
      { extensions: [new x509.Extension('1.2.3.4', true, new Uint8Array([5, 0]))] },
      'malformed',
    ],
    'the same extension twice': [
      {
        extensions: [
          new x509.SubjectAlternativeNameExtension([{ type: 'url', value: 'spiffe://example.org/b' }]),
        ],
      },
      'malformed',
    ],
    'a SHA-1 signature': [{ hash: 'SHA-1' }, 'weak-signature'],
    'RSA of 1024 bits': [{ key: 'RSA-1024' }, 'weak-key'],
    'a trust domain without bundle': [{ uris: ['spiffe://other.org/payments/api'] }, 'trust-domain-unknown'],
    'a trust domain below ours': [{ uris: ['spiffe://a.example.org/api'] }, 'trust-domain-unknown'],
  }
  test.each(Object.entries(cases))('%s', async (_, [options, code]) => {
    const leaf = await leafOf(options)
    expect(errorOf(() => verify(leaf), SvidError).code).toBe(code)
    // What is wrong with the leaf itself is found without any bundle.
    if (code === 'trust-domain-unknown') expect(checkX509SvidLeaf(leaf).uri).toBe(options.uris?.[0])
    else expect(errorOf(() => checkX509SvidLeaf(leaf), SvidError).code).toBe(code)
  })

  test('a key that cannot be read at all', async () => {
    const spki = await webcrypto.subtle.exportKey('spki', root.keys.publicKey)
    const offCurve = new Uint8Array(spki)
    offCurve.fill(0xff, -32)
    const { certificate } = await make({
      subject: 'CN=x',
      by: signerOf(root),
      spki: offCurve,
      extensions: [
        new x509.KeyUsagesExtension(SIGNATURE, true),
        new x509.SubjectAlternativeNameExtension([{ type: 'url', value: WORKLOAD }]),
      ],
    })
    expect(errorOf(() => verify(certificate), SvidError).code).toBe('weak-key')
  })
})

describe('a leaf that nobody trusts', () => {
  test('signed by an unknown root', async () => {
    const other = await createRoot({ name: 'Other' })
    const leaf = node((await other.issue({ uris: [WORKLOAD] })).pem)
    expect(errorOf(() => verify(leaf), SvidError).code).toBe('untrusted')
  })

  test('signed by a root of the same name with another key', async () => {
    const twin = await makeRoot()
    const leaf = node((await twin.issue({ uris: [WORKLOAD] })).pem)
    expect(errorOf(() => verify(leaf), SvidError).code).toBe('untrusted')
  })

  test('signed by itself', async () => {
    const { certificate } = await make({
      subject: 'CN=self',
      extensions: [
        new x509.KeyUsagesExtension(SIGNATURE, true),
        new x509.SubjectAlternativeNameExtension([{ type: 'url', value: WORKLOAD }]),
      ],
    })
    expect(errorOf(() => verify(certificate), SvidError).code).toBe('untrusted')
  })

  test('of our trust domain, signed by the root of another one', async () => {
    const other = await createRoot({ name: 'Other' })
    const [ours, theirs] = [trusting(root), trusting(other)('example.org')]
    const leaf = node((await other.issue({ uris: [WORKLOAD] })).pem)
    const bundle = (trustDomain: string) => (trustDomain === 'other.org' ? theirs : ours(trustDomain))
    const act = () => verifyX509Svid({ leaf, intermediates: [], bundle, now: NOW, purpose: 'client' })
    expect(errorOf(act, SvidError).code).toBe('untrusted')
  })

  test('where the bundle is empty, because everything was revoked', async () => {
    const leaf = await leafOf({})
    const empty = {
      trustDomain: 'example.org',
      x509Authorities: [],
      jwtAuthorities: [],
      sequence: 1,
      refreshHintSeconds: 1,
    }
    const act = () =>
      verifyX509Svid({ leaf, intermediates: [], bundle: () => empty, now: NOW, purpose: 'client' })
    expect(errorOf(act, SvidError).code).toBe('untrusted')
  })
})
