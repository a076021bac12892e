// Which network a source is of: by its endpoint alone where it has one, else the closest range, whatever the order.
import fc from 'fast-check'
import ipaddr from 'ipaddr.js'
import { describe, expect, test } from 'vitest'
import type { Network } from '../../../../gateway/config/types.ts'
import { createIdentifyNetwork } from '../../../../gateway/listeners/networks.ts'

const NETWORKS: readonly Network[] = [
  { name: 'everybody', sources: ['0.0.0.0/0'], vpcEndpoints: [] },
  { name: 'office', sources: ['10.0.0.0/8', '2001:db8::/32'], vpcEndpoints: ['vpce-0a'] },
  {
    name: 'batch',
    sources: ['10.0.4.0/24', '2001:db8:4::/48', '192.0.2.7/32'],
    vpcEndpoints: ['vpce-0b', 'vpce-0c'],
  },
]

function nameOf(networks: readonly Network[], ip: string, vpcEndpoint: string | null = null): string | null {
  const identity = createIdentifyNetwork(networks)({ ip, port: 1, vpcEndpoint })
  if (!identity.ok) {
    expect(identity).toEqual({ ok: false, code: 'client-network-unknown', detail: null })
    return null
  }
  const { principal, ...rest } = identity
  const nothing = { serialNumber: '', tokenId: null, tokenKeyId: null, expiresAt: null, chain: [] }
  expect(rest).toEqual({ ok: true, credential: 'network', ...nothing })
  return principal.kind === 'network' ? principal.name : 'a workload'
}

describe('a source', () => {
  test.each<[string, string | null, string | null]>([
    ['10.0.4.9', null, 'batch'],
    ['10.0.5.9', null, 'office'],
    ['11.0.0.1', null, 'everybody'],
    ['192.0.2.7', null, 'batch'],
    ['192.0.2.8', null, 'everybody'],
    ['2001:db8:4::1', null, 'batch'],
    ['2001:db8:5::1', null, 'office'],
    // 0.0.0.0/0 is everybody of IPv4 alone.
    ['2001:db9::1', null, null],
    ['::ffff:10.0.4.9', null, 'batch'],
    ['10.0.4.9', 'vpce-0a', 'office'],
    ['11.0.0.1', 'vpce-0c', 'batch'],
    // Whose VPC is behind an endpoint that nobody lists, nobody knows: he may have given himself any address.
    ['10.0.4.9', 'vpce-0d', null],
    ['2001:db9::1', 'vpce-0d', null],
    ['nonsense', null, null],
    ['', null, null],
  ])('%s by endpoint %s is of %s', (ip, vpcEndpoint, name) => {
    expect(nameOf(NETWORKS, ip, vpcEndpoint)).toBe(name)
    expect(nameOf(NETWORKS.toReversed(), ip, vpcEndpoint)).toBe(name)
  })

  test('is of none where there are none', () => {
    expect(nameOf([], '10.0.0.1', 'vpce-0a')).toBeNull()
  })
})

test('the closest of any ranges wins', () => {
  const range = fc
    .tuple(fc.integer({ min: 0, max: 0xffffffff }), fc.integer({ min: 0, max: 32 }))
    .map(([bits, length]) => {
      const address = [24, 16, 8, 0].map((shift) => (bits >>> shift) & 0xff).join('.')
      return `${ipaddr.IPv4.networkAddressFromCIDR(`${address}/${length}`).toString()}/${length}`
    })
  fc.assert(
    fc.property(fc.uniqueArray(range, { maxLength: 12 }), fc.ipV4(), (list, ip) => {
      const networks = list.map((text) => ({ name: text, sources: [text], vpcEndpoints: [] }))
      const covering = list
        .filter((text) => ipaddr.IPv4.parse(ip).match(ipaddr.IPv4.parseCIDR(text)))
        .toSorted((a, b) => Number(b.split('/')[1]) - Number(a.split('/')[1]))
      expect(nameOf(networks, ip)).toBe(covering[0] ?? null)
    }),
  )
})
