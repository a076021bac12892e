import { X509Certificate } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { linkerdIdentity } from '../../../../gateway/listeners/linkerd-identity.ts'
import { parseLinkerdMap } from '../../../../gateway/listeners/linkerd-map.ts'
import { readCertificate } from '../../../../spiffe/certificate.ts'
import { createRoot, type LeafOptions } from '../../../fixtures/pki.ts'

const root = await createRoot({ name: 'root.linkerd.cluster.local' })
const map = parseLinkerdMap({
  '*.*.serviceaccount.identity.linkerd.cluster.local': 'spiffe://cluster.local/ns/{2}/sa/{1}',
})
const NAME = 'cart.shop.serviceaccount.identity.linkerd.cluster.local'

async function identityOf(options: LeafOptions) {
  return linkerdIdentity(readCertificate(new X509Certificate((await root.issue(options)).pem)), map)
}

describe('a leaf of Linkerd', () => {
  test('with one name that is mapped is a workload', async () => {
    expect(await identityOf({ cn: NAME, dns: [NAME] })).toMatchObject({
      ok: true,
      id: { uri: 'spiffe://cluster.local/ns/shop/sa/cart' },
      name: NAME,
    })
  })

  const refused: Record<string, readonly [options: LeafOptions, code: string]> = {
    'no SAN, whatever the common name': [{ cn: NAME }, 'no-name'],
    'an address alone': [{ cn: NAME, ips: ['10.0.0.1'] }, 'no-name'],
    'two names': [{ dns: [NAME, 'other.test'] }, 'several-names'],
    'two names that are one': [{ dns: [NAME, NAME] }, 'several-names'],
    'two names in the print of one': [{ dns: [`${NAME}, DNS:other.test`] }, 'unmapped'],
    'a SPIFFE ID besides': [{ dns: [NAME], uris: ['spiffe://cluster.local/ns/shop/sa/admin'] }, 'has-uri'],
    'a SPIFFE ID alone': [{ uris: ['spiffe://cluster.local/ns/shop/sa/cart'] }, 'has-uri'],
    'another URI': [{ dns: [NAME], uris: ['https://example.org'] }, 'has-uri'],
    'a name that is not mapped': [{ dns: ['linkerd-proxy-injector.linkerd.svc'] }, 'unmapped'],
    'a wildcard': [{ dns: [`*.${NAME.slice(5)}`] }, 'unmapped'],
  }
  test.each(Object.entries(refused))('with %s is none', async (_, [options, code]) => {
    expect(await identityOf(options)).toEqual({ ok: false, code })
  })
})
