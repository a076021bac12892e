import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ownNetwork } from '../../../../gateway/upstream/address-class.ts'
import { NO_SURROUNDINGS, permit } from '../../../../gateway/upstream/permit.ts'
import { UpstreamError } from '../../../../gateway/upstream/types.ts'

const SURROUNDINGS = {
  network: ownNetwork(['10.20.0.0/16', '172.217.0.0/16', '2600:1f18:1:100::/56']),
  isOwnListener: (address: string, port: number) => address === '127.0.0.9' && port === 443,
}

const permitFor = (addresses: readonly string[], allowAddresses: readonly string[] = []) => {
  try {
    return permit(addresses, 443, { name: 'bank', allowAddresses }, SURROUNDINGS)
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
  'carrier-grade NAT': { addresses: ['100.64.0.1'], result: 'address-cgnat' },
  'carrier-grade NAT by an exception': {
    addresses: ['100.64.0.1'],
    allow: ['100.64.0.0/10'],
    result: ['100.64.0.1'],
  },
  benchmark: { addresses: ['198.18.0.1'], result: 'address-benchmark' },
  documentation: { addresses: ['203.0.113.9'], result: 'address-documentation' },
  embedded: { addresses: ['2002:808:808::1'], result: 'address-embedded' },
  reserved: { addresses: ['240.0.0.1'], result: 'address-reserved' },
  multicast: { addresses: ['224.0.0.1'], result: 'address-multicast' },
  'the VPC, in a private range': { addresses: ['10.20.1.1'], result: 'address-vpc' },
  'the VPC, in a public range': { addresses: ['172.217.1.1'], result: 'address-vpc' },
  'the VPC, in IPv6': { addresses: ['2600:1f18:1:1ff::1'], result: 'address-vpc' },
  'beside the VPC': { addresses: ['2600:1f18:1:200::1'], result: ['2600:1f18:1:200::1'] },
  'the VPC by an exception': {
    addresses: ['10.20.1.1', '10.20.2.1'],
    allow: ['10.20.1.0/24'],
    result: ['10.20.1.1'],
  },
  'the VPC behind a translator': {
    addresses: ['64:ff9b::172.217.1.1'],
    allow: ['64:ff9b::/96'],
    result: 'address-vpc',
  },
  'the VPC’s resolver within a wide exception': {
    addresses: ['10.20.0.2'],
    allow: ['10.20.0.0/16'],
    result: 'address-metadata',
  },
  'the VPC’s resolver by its own host route': {
    addresses: ['10.20.0.2'],
    allow: ['10.20.0.2/32'],
    result: ['10.20.0.2'],
  },
  'a port of the gateway’s own never': {
    addresses: ['127.0.0.9'],
    allow: ['127.0.0.0/8', '127.0.0.9/32'],
    result: 'address-own-listener',
  },
  'neither mapped nor through a translator': {
    addresses: ['64:ff9b::127.0.0.9', '::ffff:127.0.0.9'],
    allow: ['127.0.0.0/8', '64:ff9b::/96'],
    result: 'address-own-listener',
  },
  'an address beside a port of the gateway’s own': {
    addresses: ['127.0.0.9', '127.0.0.8'],
    allow: ['127.0.0.0/8'],
    result: ['127.0.0.8'],
  },
  'a private address inside an exception': {
    addresses: ['10.30.1.1'],
    allow: ['10.30.0.0/16'],
    result: ['10.30.1.1'],
  },
  'a private address beside an exception': {
    addresses: ['10.31.1.1'],
    allow: ['10.30.0.0/16'],
    result: 'address-private',
  },
  'a mapped form meets the IPv4 exception and is dialled as IPv4': {
    addresses: ['::ffff:10.30.1.1'],
    allow: ['10.30.0.0/16'],
    result: ['10.30.1.1'],
  },
  'a mapped form does not slip by': {
    addresses: ['::ffff:10.31.1.1'],
    allow: ['10.30.0.0/16'],
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
    addresses: ['64:ff9b::10.30.1.1'],
    allow: ['10.30.0.0/16'],
    result: 'address-embedded',
  },
  'a translator alone does not open what lies behind it': {
    addresses: ['64:ff9b::10.30.1.1'],
    allow: ['64:ff9b::/96', '::/0'],
    result: 'address-private',
  },
  'a translator and what lies behind it': {
    addresses: ['64:ff9b::10.30.1.1'],
    allow: ['64:ff9b::/96', '10.30.0.0/16'],
    result: ['64:ff9b::a1e:101'],
  },
  'a public address behind a translator': { addresses: ['64:ff9b::8.8.8.8'], result: 'address-embedded' },
  'a public address behind a translator that is excepted': {
    addresses: ['64:ff9b::8.8.8.8'],
    allow: ['64:ff9b::/96'],
    result: ['64:ff9b::808:808'],
  },
  'a public address behind a translator of the operator’s own prefix': {
    addresses: ['64:ff9b:1:2::8.8.8.8'],
    allow: ['64:ff9b:1:2::/96'],
    result: ['64:ff9b:1:2::808:808'],
  },
  'metadata behind a translator, by its own host route': {
    addresses: ['64:ff9b::169.254.169.254'],
    allow: ['64:ff9b::/96', '169.254.169.254/32'],
    result: ['64:ff9b::a9fe:a9fe'],
  },
  'multicast behind a translator never': {
    addresses: ['64:ff9b::224.0.0.1'],
    allow: ['64:ff9b::/96', '224.0.0.1/32'],
    result: 'address-multicast',
  },
  'both ends of Teredo count': {
    addresses: ['2001:0:7f00:1::f7f7:f7f7'],
    allow: ['2001::/32'],
    result: 'address-loopback',
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

const BANK = { name: 'bank', allowAddresses: [] }

describe('permit', () => {
  for (const [name, { addresses, allow, result }] of Object.entries(CASES)) {
    test(name, () => {
      expect(permitFor(addresses, allow)).toEqual(result)
    })
  }

  test('says which address, which class and which destination', () => {
    expect(() => permit(['10.0.0.1'], 443, BANK, NO_SURROUNDINGS)).toThrow(
      '10.0.0.1 is private and destination bank makes no exception',
    )
  })

  test('says which address inside another it was', () => {
    expect(() => permit(['2002:a00:1::'], 443, BANK, NO_SURROUNDINGS)).toThrow(
      '2002:a00:1:: is private (10.0.0.1 inside it) and destination bank makes no exception',
    )
  })

  test('says on which port the gateway itself listens', () => {
    expect(() => permit(['127.0.0.9'], 443, BANK, SURROUNDINGS)).toThrow(
      '127.0.0.9 on port 443 is this gateway',
    )
  })

  test('does not repeat an answer that is not an address', () => {
    expect(() => permit(['x\r\ny'], 443, BANK, NO_SURROUNDINGS)).toThrow(
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
