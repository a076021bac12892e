import type { X509Certificate } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { SvidError, verifyX509Svid } from '../../../spiffe/x509-svid.ts'
import { type Ca, createRoot } from '../../fixtures/pki.ts'
import {
  caExtensions,
  leafExtensions,
  type Made,
  make,
  node,
  root as makeRoot,
  signerOf,
  trusting,
  WORKLOAD,
} from './certificates.ts'
import { errorOf } from './errors.ts'

const root = await makeRoot()

/** A leaf below `depth` CAs that are below the root, and these CAs from the leaf upwards. */
async function below(top: Ca, depth: number): Promise<{ leaf: X509Certificate; cas: X509Certificate[] }> {
  let ca = top
  for (let level = 1; level <= depth; level += 1) ca = await ca.subordinate({ name: `CA ${level}` })
  const leaf = node((await ca.issue({ uris: [WORKLOAD] })).pem)
  return { leaf, cas: ca.above.map(node) }
}

function verify(leaf: X509Certificate, intermediates: readonly X509Certificate[], ...roots: readonly Ca[]) {
  const bundle = trusting(...(roots.length === 0 ? [root] : roots))
  return verifyX509Svid({ leaf, intermediates, bundle, now: new Date(), purpose: 'client' })
}

const codeOf = (...args: Parameters<typeof verify>) => errorOf(() => verify(...args), SvidError).code
const subjects = (chain: readonly X509Certificate[]) => chain.map(({ subject }) => subject)

describe('a chain that is found', async () => {
  const { leaf, cas } = await below(root, 3)
  const unrelated = node((await createRoot({ name: 'Unrelated' })).pem)
  const expected = [leaf.subject, 'CN=CA 3', 'CN=CA 2', 'CN=CA 1', 'CN=Root']
  const cases: Record<string, readonly X509Certificate[]> = {
    'in order': cas,
    'in reverse': cas.toReversed(),
    'with the root among what was sent': [...cas, node(root.pem)],
    'with the leaf among what was sent': [leaf, ...cas],
    'with each sent twice': [...cas, ...cas],
    'with a stranger in front': [unrelated, ...cas],
  }
  test.each(Object.entries(cases))('%s', (_, intermediates) => {
    expect(subjects(verify(leaf, intermediates).chain)).toEqual(expected)
  })

  test('the root is the one of the bundle, not the one that was sent', () => {
    const own = node(root.pem)
    const sent = node(root.pem)
    const bundle = {
      trustDomain: 'example.org',
      x509Authorities: [own],
      jwtAuthorities: [],
      sequence: null,
      refreshHintSeconds: null,
    }
    const { chain } = verifyX509Svid({
      leaf,
      intermediates: [sent, ...cas],
      bundle: () => bundle,
      now: new Date(),
      purpose: 'client',
    })
    expect(chain.at(-1)).toBe(own)
  })

  test('with the second of two roots, as while a root is replaced', async () => {
    expect(verify(leaf, cas, await createRoot({ name: 'New' }), root).id.uri).toBe(WORKLOAD)
    expect(verify(leaf, cas, await makeRoot(), root).id.uri).toBe(WORKLOAD)
  })

  test('with an intermediate as the root that is trusted, whatever lies above', async () => {
    const middle = await root.subordinate({ name: 'Middle' })
    const leaf = node((await middle.issue({ uris: [WORKLOAD] })).pem)
    expect(subjects(verify(leaf, [], middle).chain)).toEqual([leaf.subject, 'CN=Middle'])
    expect(codeOf(leaf, [])).toBe('untrusted')
  })

  test('by the way that is in time, where the same CA has an expired certificate too', async () => {
    const ca = await make({ subject: 'CN=CA', by: signerOf(root), extensions: caExtensions() })
    const expired = await make({
      subject: 'CN=CA',
      by: signerOf(root),
      keys: ca.keys,
      notAfter: new Date(Date.now() - 1000),
      extensions: caExtensions(),
    })
    const leaf = await make({ subject: 'CN=x', by: ca, extensions: leafExtensions(WORKLOAD) })
    const { chain } = verify(leaf.certificate, [expired.certificate, ca.certificate])
    expect(chain[1]?.fingerprint256).toBe(ca.certificate.fingerprint256)
    expect(codeOf(leaf.certificate, [expired.certificate])).toBe('chain-expired')
  })
})

describe('the length of a chain', () => {
  test('six CAs are found, the root among them, and seven are not', async () => {
    const six = await below(root, 5)
    expect(verify(six.leaf, six.cas).chain).toHaveLength(7)
    const seven = await below(root, 6)
    expect(codeOf(seven.leaf, seven.cas)).toBe('untrusted')
  })

  test('sixteen certificates may be sent besides the leaf, and no more', async () => {
    const { leaf, cas } = await below(root, 1)
    const sixteen = Array.from({ length: 16 }, () => cas).flat()
    expect(verify(leaf, sixteen).chain).toHaveLength(3)
    expect(codeOf(leaf, [...sixteen, ...cas])).toBe('untrusted')
  })

  const limits: Record<string, readonly [limit: number, depth: number, ok: boolean]> = {
    'pathLength 0 directly above the leaf': [0, 0, true],
    'pathLength 0 above one CA': [0, 1, false],
    'pathLength 1 above one CA': [1, 1, true],
    'pathLength 1 above two CAs': [1, 2, false],
    'pathLength 2 above two CAs': [2, 2, true],
  }
  test.each(Object.entries(limits))('%s, as root', async (_, [pathLength, depth, ok]) => {
    const top = await createRoot({ name: 'Top', pathLength })
    const { leaf, cas } = await below(top, depth)
    if (ok) expect(verify(leaf, cas, top).chain).toHaveLength(depth + 2)
    else expect(codeOf(leaf, cas, top)).toBe('untrusted')
  })

  test.each(Object.entries(limits))('%s, as intermediate', async (_, [pathLength, depth, ok]) => {
    const { leaf, cas } = await below(await root.subordinate({ name: 'Top', pathLength }), depth)
    if (ok) expect(verify(leaf, cas).chain).toHaveLength(depth + 3)
    else expect(codeOf(leaf, cas)).toBe('untrusted')
  })
})

describe('a chain that is broken', () => {
  test('each intermediate is needed', async () => {
    const { leaf, cas } = await below(root, 2)
    for (const missing of cas) {
      expect(
        codeOf(
          leaf,
          cas.filter((ca) => ca !== missing),
        ),
      ).toBe('untrusted')
    }
  })

  test.each([
    ['expired', { notAfter: new Date(Date.now() - 1000) }],
    ['not yet valid', { notBefore: new Date(Date.now() + 3_600_000) }],
  ])('an intermediate that is %s', async (_, dates) => {
    const ca = await root.subordinate({ name: 'CA', ...dates })
    const leaf = node((await ca.issue({ uris: [WORKLOAD] })).pem)
    expect(codeOf(leaf, ca.above.map(node))).toBe('chain-expired')
  })

  test('time is not blamed where the chain would be refused anyway', async () => {
    const ca = await (await makeRoot()).subordinate({ name: 'CA', notAfter: new Date(Date.now() - 1000) })
    const leaf = node((await ca.issue({ uris: [WORKLOAD] })).pem)
    expect(codeOf(leaf, ca.above.map(node))).toBe('untrusted')
  })

  test('a leaf signed by another leaf', async () => {
    const parent = await root.issue({ cn: 'parent', uris: ['spiffe://example.org/parent'] })
    const by: Made = { subject: 'CN=parent', keys: parent.keys, certificate: node(parent.pem) }
    const leaf = await make({ subject: 'CN=x', by, extensions: leafExtensions(WORKLOAD) })
    expect(verify(by.certificate, []).id.path).toBe('/parent')
    expect(codeOf(leaf.certificate, [by.certificate])).toBe('untrusted')
  })

  // Without key identifiers names alone lead from one certificate to the next, and the signature has to decide.
  test('an intermediate of the right name with another key', async () => {
    const ca = await make({ subject: 'CN=CA', by: signerOf(root), extensions: caExtensions() })
    const forger = await make({ subject: 'CN=CA', extensions: caExtensions() })
    const leaf = await make({ subject: 'CN=x', by: forger, extensions: leafExtensions(WORKLOAD) })
    expect(codeOf(leaf.certificate, [ca.certificate])).toBe('untrusted')
    expect(codeOf(leaf.certificate, [forger.certificate])).toBe('untrusted')
  })

  test('an intermediate that names our root as its issuer and signed itself', async () => {
    const forger = await make({ subject: 'CN=CA' })
    const forged = await make({
      subject: 'CN=CA',
      by: { subject: 'CN=Root', keys: forger.keys },
      keys: forger.keys,
      extensions: caExtensions(),
    })
    const leaf = await make({ subject: 'CN=x', by: forger, extensions: leafExtensions(WORKLOAD) })
    expect(codeOf(leaf.certificate, [forged.certificate])).toBe('untrusted')
  })
})
