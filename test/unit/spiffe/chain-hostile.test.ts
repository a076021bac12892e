// Certificates that a peer has made to cost time or to lead the search astray.
import type { X509Certificate } from 'node:crypto'
import * as fc from 'fast-check'
import { describe, expect, test, vi } from 'vitest'
import { SvidError, verifyX509Svid } from '../../../spiffe/x509-svid.ts'
import { createRoot } from '../../fixtures/pki.ts'
import {
  caExtensions,
  leafExtensions,
  type Made,
  make,
  node,
  p256,
  root as makeRoot,
  signerOf,
  trusting,
  WORKLOAD,
} from './certificates.ts'
import { errorOf } from './errors.ts'

const root = await makeRoot()
const rootSigner = signerOf(root)

function verify(leaf: X509Certificate, intermediates: readonly X509Certificate[]) {
  return verifyX509Svid({ leaf, intermediates, bundle: trusting(root), now: new Date(), purpose: 'client' })
}
const codeOf = (...args: Parameters<typeof verify>) => errorOf(() => verify(...args), SvidError).code
const leafBy = async (by: Made) =>
  (await make({ subject: 'CN=leaf', by, extensions: leafExtensions(WORKLOAD) })).certificate

describe('loops', () => {
  test('two CAs that issued each other lead nowhere', async () => {
    const a = await make({ subject: 'CN=A', extensions: caExtensions() })
    const b = await make({ subject: 'CN=B', by: a, extensions: caExtensions() })
    const aByB = await make({ subject: 'CN=A', by: b, keys: a.keys, extensions: caExtensions() })
    expect(codeOf(await leafBy(a), [aByB.certificate, b.certificate])).toBe('untrusted')
  })

  test('a way out of the loop is found', async () => {
    const a = await make({ subject: 'CN=A', extensions: caExtensions() })
    const b = await make({ subject: 'CN=B', by: a, extensions: caExtensions() })
    const aByB = await make({ subject: 'CN=A', by: b, keys: a.keys, extensions: caExtensions() })
    const bByRoot = await make({ subject: 'CN=B', by: rootSigner, keys: b.keys, extensions: caExtensions() })
    const { chain } = verify(await leafBy(a), [aByB.certificate, b.certificate, bByRoot.certificate])
    expect(chain.map(({ subject }) => subject)).toEqual(['CN=leaf', 'CN=A', 'CN=B', 'CN=Root'])
  })

  test('a CA that issued itself, with our root above, is passed once', async () => {
    const own = await make({ subject: 'CN=A', extensions: caExtensions() })
    const byRoot = await make({ subject: 'CN=A', by: rootSigner, keys: own.keys, extensions: caExtensions() })
    expect(verify(await leafBy(own), [own.certificate, byRoot.certificate]).id.uri).toBe(WORKLOAD)
    expect(codeOf(await leafBy(own), [own.certificate])).toBe('untrusted')
  })

  test('a leaf that names itself as its issuer', async () => {
    const leaf = await make({ subject: 'CN=x', extensions: leafExtensions(WORKLOAD) })
    expect(codeOf(leaf.certificate, [leaf.certificate])).toBe('untrusted')
  })
})

test('sixteen CAs that all seem to issue each other cost a bounded number of signatures', async () => {
  const keys = await p256()
  const cas = await Promise.all(
    Array.from({ length: 16 }, () => make({ subject: 'CN=A', keys, extensions: caExtensions() })),
  )
  const [first] = cas
  if (first === undefined) throw new Error('there are sixteen')
  const leaf = await leafBy(first)
  // One class has them all, so what the search calls is what is counted.
  const verifySignature = vi.spyOn(Object.getPrototypeOf(leaf) as X509Certificate, 'verify')
  try {
    expect(
      codeOf(
        leaf,
        cas.map(({ certificate }) => certificate),
      ),
    ).toBe('untrusted')
    // Twice 48: once within the time of the certificates and once to learn whether time is to blame.
    expect(verifySignature.mock.calls.length).toBeLessThanOrEqual(96)
    expect(verifySignature.mock.calls.length).toBeGreaterThan(16)
  } finally {
    verifySignature.mockRestore()
  }
})

describe('names and key identifiers', () => {
  test('spare the signatures of certificates that cannot be the issuer', async () => {
    const strangers = await Promise.all(
      Array.from({ length: 8 }, async (_, index) =>
        node((await createRoot({ name: `Stranger ${index}` })).pem),
      ),
    )
    const ca = await root.subordinate({ name: 'CA' })
    const leaf = node((await ca.issue({ uris: [WORKLOAD] })).pem)
    const verifySignature = vi.spyOn(Object.getPrototypeOf(leaf) as X509Certificate, 'verify')
    try {
      expect(verify(leaf, [...strangers, ...ca.above.map(node)]).chain).toHaveLength(3)
      expect(verifySignature).toHaveBeenCalledTimes(2)
    } finally {
      verifySignature.mockRestore()
    }
  })

  test('must fit even where the signature does', async () => {
    const ca = await make({ subject: 'CN=A', by: rootSigner, extensions: caExtensions() })
    expect(verify(await leafBy(ca), [ca.certificate]).id.uri).toBe(WORKLOAD)
    expect(codeOf(await leafBy({ ...ca, subject: 'CN=B' }), [ca.certificate])).toBe('untrusted')
  })
})

test('property: of a pile of CAs a chain is found if the links are all there, in whatever order', async () => {
  const links: Made[] = []
  for (let level = 0; level < 4; level += 1) {
    const by = links.at(-1) ?? rootSigner
    links.push(await make({ subject: `CN=${level}`, by, extensions: caExtensions() }))
  }
  const [, , , last] = links
  if (last === undefined) throw new Error('there are four')
  const leaf = await leafBy(last)
  const twins = await Promise.all(
    links.map(
      async ({ subject }) =>
        (await make({ subject, by: rootSigner, extensions: caExtensions() })).certificate,
    ),
  )
  const pile = fc.shuffledSubarray([...links.map(({ certificate }) => certificate), ...twins])
  fc.assert(
    fc.property(pile, (pile) => {
      const complete = links.every(({ certificate }) => pile.includes(certificate))
      if (complete) expect(verify(leaf, pile).chain).toHaveLength(6)
      else expect(codeOf(leaf, pile)).toBe('untrusted')
    }),
    { numRuns: 150 },
  )
})
