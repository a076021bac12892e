// Linkerd's leaves: the rules of SVIDs but for the name, by Linkerd's own anchors alone.
import { X509Certificate } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { parseLinkerdMap } from '../../../../gateway/listeners/linkerd-map.ts'
import { LinkerdNameError, verifyLinkerdLeaf } from '../../../../gateway/listeners/linkerd-verify.ts'
import { SvidError } from '../../../../spiffe/x509-svid.ts'
import { type Ca, createRoot, EKU, type Issued, KEY_USAGE, type LeafOptions } from '../../../fixtures/pki.ts'

const HOUR = 3_600_000
const NAME = 'api.payments.serviceaccount.identity.linkerd.cluster.local'
const map = parseLinkerdMap({
  '*.*.serviceaccount.identity.linkerd.cluster.local': 'spiffe://l5d.test/ns/{2}/sa/{1}',
  'jobs.batch.test': 'spiffe://other.test/jobs',
})
const root = await createRoot({ name: 'root.linkerd.cluster.local' })
const issuer = await root.subordinate({ name: 'identity.linkerd.cluster.local' })
const other = await createRoot({ name: 'root.linkerd.cluster.local' })

const toX509 = (pem: string) => new X509Certificate(pem)

interface Asked {
  readonly anchor?: Ca
  readonly now?: Date
}

function verify(
  { pem, chainPem }: Pick<Issued, 'pem' | 'chainPem'>,
  { anchor = root, now = new Date() }: Asked = {},
) {
  const [, ...intermediates] = chainPem.split(/(?=-----BEGIN)/).map(toX509)
  const trust = { anchors: [toX509(anchor.pem)], map }
  return verifyLinkerdLeaf({ leaf: toX509(pem), intermediates, trust, trustDomains: ['l5d.test'], now })
}

test('a leaf of the issuer is the workload of its name, with its chain up to the anchor', async () => {
  const { id, chain } = verify(await issuer.issue({ dns: [NAME] }))
  expect(id.uri).toBe('spiffe://l5d.test/ns/payments/sa/api')
  expect(chain.slice(1).map(({ subject }) => subject)).toEqual([
    'CN=identity.linkerd.cluster.local',
    'CN=root.linkerd.cluster.local',
  ])
})

const CA_USAGE = { flags: KEY_USAGE.digitalSignature | KEY_USAGE.keyCertSign, critical: true }
const at = (from: number, to: number) => ({
  notBefore: new Date(Date.now() + from * HOUR),
  notAfter: new Date(Date.now() + to * HOUR),
})
const BOTH: LeafOptions = { dns: [NAME], uris: ['spiffe://l5d.test/ns/payments/sa/api'] }

const REFUSED: Readonly<Record<string, readonly [LeafOptions, string]>> = {
  'no name': [{ cn: 'x' }, 'client-name-unmapped'],
  'two names': [{ dns: [NAME, NAME] }, 'client-name-unmapped'],
  'a name that is not mapped': [{ dns: ['api.other.test'] }, 'client-name-unmapped'],
  'a SPIFFE ID besides': [BOTH, 'client-name-unmapped'],
  'a name of a trust domain that is not let in here': [{ dns: ['jobs.batch.test'] }, 'trust-domain-unknown'],
  'a CA certificate': [{ dns: [NAME], ca: true }, 'is-ca'],
  'a key that may sign certificates': [{ dns: [NAME], keyUsage: CA_USAGE }, 'key-usage'],
  'a purpose of servers alone': [{ dns: [NAME], eku: [EKU.serverAuth] }, 'extended-key-usage'],
  'a weak key': [{ dns: [NAME], key: 'RSA-1024' }, 'weak-key'],
  'a time that is over': [{ dns: [NAME], ...at(-2, -1) }, 'expired'],
  'a time to come': [{ dns: [NAME], ...at(1, 2) }, 'not-yet-valid'],
}

describe('a leaf is refused with', () => {
  test.each(Object.entries(REFUSED))('%s', async (_, [options, code]) => {
    const leaf = await issuer.issue(options)
    expect(() => verify(leaf)).toThrow(expect.objectContaining({ code }))
  })

  test('an issuer that is not sent', async () => {
    const { pem } = await issuer.issue({ dns: [NAME] })
    expect(() => verify({ pem, chainPem: pem })).toThrow(SvidError)
  })

  test('the signature of another CA of the same name', async () => {
    const leaf = await other.issue({ dns: [NAME] })
    expect(() => verify(leaf)).toThrow(expect.objectContaining({ code: 'untrusted' }))
    expect(verify(leaf, { anchor: other }).id.uri).toBe('spiffe://l5d.test/ns/payments/sa/api')
  })

  test('an issuer whose time is over', async () => {
    const old = await root.subordinate({ name: 'old issuer', notAfter: new Date(Date.now() + HOUR) })
    const leaf = await old.issue({ dns: [NAME], notAfter: new Date(Date.now() + 3 * HOUR) })
    expect(verify(leaf).id.uri).toContain('/sa/api')
    const now = new Date(Date.now() + 2 * HOUR)
    expect(() => verify(leaf, { now })).toThrow(expect.objectContaining({ code: 'chain-expired' }))
  })

  test('a name by an error of its own, so that nobody takes it for a bad certificate', async () => {
    const leaf = await issuer.issue({ dns: ['a.test'] })
    expect(() => verify(leaf)).toThrow(LinkerdNameError)
  })
})
