import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { permit } from '../../../../gateway/upstream/permit.ts'
import { UpstreamError } from '../../../../gateway/upstream/types.ts'

const permitFor = (addresses: readonly string[], allowAddresses: readonly string[] = []) => {
  try {
    return permit(addresses, { name: 'bank', allowAddresses })
  } catch (error) {
    if (error instanceof UpstreamError) return error.code
    throw error
  }
}

const CASES: Record<
  string,
  { addresses: readonly string[]; allow?: readonly string[]; result: string | readonly string[] }
> = {
  'public addresses pass in their order, each once': {
    addresses: ['9.9.9.9', '8.8.8.8', '2606:4700::1', '::ffff:9.9.9.9'],
    result: ['9.9.9.9', '8.8.8.8', '2606:4700::1'],
  },
  'what is refused is dropped where something is left': {
    addresses: ['10.0.0.1', '8.8.8.8', '64:ff9b::808:808', 'nonsense'],
    result: ['8.8.8.8'],
  },
  'nothing left: the code of the first': { addresses: ['127.0.0.1', '10.0.0.1'], result: 'address-loopback' },
  'no address': { addresses: [], result: 'dns-not-found' },
  'an answer that is no address': { addresses: ['127.1'], result: 'address-reserved' },
  unspecified: { addresses: ['0.0.0.0'], result: 'address-unspecified' },
  'link-local': { addresses: ['fe80::1'], result: 'address-link-local' },
  metadata: { addresses: ['169.254.169.254'], result: 'address-metadata' },
  private: { addresses: ['10.0.0.1'], result: 'address-private' },
  multicast: { addresses: ['224.0.0.1'], result: 'address-multicast' },
  'a private address inside an exception': {
    addresses: ['10.20.1.1'],
    allow: ['10.20.0.0/16'],
    result: ['10.20.1.1'],
  },
  'a private address beside an exception': {
    addresses: ['10.21.1.1'],
    allow: ['10.20.0.0/16'],
    result: 'address-private',
  },
  'a mapped form meets the IPv4 exception and is dialled as IPv4': {
    addresses: ['::ffff:10.20.1.1'],
    allow: ['10.20.0.0/16'],
    result: ['10.20.1.1'],
  },
  'a mapped form does not slip by': {
    addresses: ['::ffff:10.21.1.1'],
    allow: ['10.20.0.0/16'],
    result: 'address-private',
  },
  'a mapped range is the IPv4 range': {
    addresses: ['10.1.1.1'],
    allow: ['::ffff:10.0.0.0/104'],
    result: ['10.1.1.1'],
  },
  'all of IPv6 is not all of IPv4': { addresses: ['10.1.1.1'], allow: ['::/0'], result: 'address-private' },
  'all of IPv4 is not all of IPv6': {
    addresses: ['fd00::1'],
    allow: ['0.0.0.0/0'],
    result: 'address-private',
  },
  'an IPv4 exception does not open the translator that leads there': {
    addresses: ['64:ff9b::10.20.1.1'],
    allow: ['10.20.0.0/16'],
    result: 'address-private',
  },
  'the translator itself can be excepted': {
    addresses: ['64:ff9b::10.20.1.1'],
    allow: ['64:ff9b::/96'],
    result: ['64:ff9b::a14:101'],
  },
  'an IPv6 exception': { addresses: ['fd12::1'], allow: ['fd12::/16'], result: ['fd12::1'] },
  loopback: { addresses: ['127.0.0.1', '::1'], allow: ['127.0.0.0/8'], result: ['127.0.0.1'] },
  'metadata within a wide exception': {
    addresses: ['169.254.169.254'],
    allow: ['169.254.0.0/16', '0.0.0.0/0'],
    result: 'address-metadata',
  },
  'metadata within an almost exact exception': {
    addresses: ['169.254.169.254'],
    allow: ['169.254.169.254/31'],
    result: 'address-metadata',
  },
  'metadata by its own host route': {
    addresses: ['169.254.169.254'],
    allow: ['169.254.169.254/32'],
    result: ['169.254.169.254'],
  },
  'metadata by the host route of another': {
    addresses: ['169.254.169.254'],
    allow: ['169.254.170.2/32'],
    result: 'address-metadata',
  },
  'IPv6 metadata within a wide exception': {
    addresses: ['fd00:ec2::254'],
    allow: ['fd00::/8'],
    result: 'address-metadata',
  },
  'IPv6 metadata by its own host route': {
    addresses: ['fd00:ec2::254'],
    allow: ['fd00:ec2::254/128'],
    result: ['fd00:ec2::254'],
  },
  'metadata through a translator within a wide exception': {
    addresses: ['64:ff9b::169.254.169.254'],
    allow: ['64:ff9b::/96'],
    result: 'address-metadata',
  },
  'the unspecified address never': {
    addresses: ['0.0.0.0', '::'],
    allow: ['0.0.0.0/0', '0.0.0.0/32', '::/0', '::/128'],
    result: 'address-unspecified',
  },
  'multicast never': {
    addresses: ['224.0.0.1', 'ff02::1', '255.255.255.255'],
    allow: ['0.0.0.0/0', '224.0.0.1/32', '::/0', '255.255.255.255/32'],
    result: 'address-multicast',
  },
}

describe('permit', () => {
  for (const [name, { addresses, allow, result }] of Object.entries(CASES)) {
    test(name, () => {
      expect(permitFor(addresses, allow)).toEqual(result)
    })
  }

  test('says which address, which class and which destination', () => {
    expect(() => permit(['10.0.0.1'], { name: 'bank', allowAddresses: [] })).toThrow(
      '10.0.0.1 is private and destination bank makes no exception',
    )
  })

  test('does not repeat an answer that is not an address', () => {
    expect(() => permit(['x\r\ny'], { name: 'bank', allowAddresses: [] })).toThrow(
      /^an answer that is not an IP address is reserved/,
    )
  })

  test('a host route excepts one address and no other', () => {
    fc.assert(
      fc.property(fc.ipV4(), fc.ipV4(), (listed, asked) => {
        const open = permitFor([asked])
        const result = permitFor([asked], [`${listed}/32`])
        if (listed !== asked) expect(result).toEqual(open)
      }),
    )
  })
})
