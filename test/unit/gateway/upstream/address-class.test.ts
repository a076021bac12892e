import * as fc from 'fast-check'
import { BlockList, isIP, SocketAddress } from 'node:net'
import { describe, expect, test } from 'vitest'
import { canonicalAddress, classify, ownNetwork } from '../../../../gateway/upstream/address-class.ts'
import type { AddressClass } from '../../../../gateway/upstream/special-ranges.ts'

const CASES: Record<AddressClass, readonly string[]> = {
  public: [
    '8.8.8.8',
    '1.1.1.1',
    '93.184.215.14',
    '172.15.255.255',
    '172.32.0.0',
    '100.63.255.255',
    '100.128.0.0',
    '2606:4700:4700::1111',
    '2a00:1450:4001:80b::200e',
    '::ffff:8.8.8.8',
  ],
  unspecified: ['0.0.0.0', '0.1.2.3', '::', '::ffff:0.0.0.0', '64:ff9b::'],
  loopback: [
    '127.0.0.1',
    '127.255.255.254',
    '::1',
    '::ffff:127.0.0.1',
    '::ffff:7f00:1',
    '64:ff9b::127.0.0.1',
    '64:ff9b:1::127.0.0.1',
    // RFC 6052 §2.2 with a prefix of 48, 56 and 64.
    '64:ff9b:1:7f00:0:100::',
    '64:ff9b:1:7f:0:1::',
    '64:ff9b:1:0:7f:0:100:0',
    '2002:7f00:1::',
    '::127.0.0.1',
    '::ffff:0:127.0.0.1',
    // Teredo: the client 127.0.0.1 with every bit flipped, behind a public server.
    '2001:0:808:808::80ff:fffe',
    '2a00::5efe:7f00:1',
    '2a00::200:5efe:7f00:1',
  ],
  'link-local': [
    '169.254.0.1',
    '169.254.169.252',
    'fe80::1',
    'febf::1',
    'fe80::5efe:808:808',
    '169.254.79.1',
    '::ffff:169.254.1.1',
    '2002:a9fe:1::',
  ],
  metadata: [
    '169.254.169.254',
    '169.254.170.2',
    '169.254.170.23',
    '169.254.169.253',
    '169.254.169.123',
    'fd00:ec2::254',
    'fd00:ec2::23',
    'fd00:ec2::253',
    'fd00:ec2::123',
    'fd00:ec2:1::1',
    '168.63.129.16',
    '100.100.100.200',
    '192.0.0.192',
    'fd20:ce::254',
    '169.254.42.42',
    'fd00:42::42',
    '169.254.0.23',
    'fe80::a9fe:a9fe',
    '64:ff9b::168.63.129.16',
    '64:ff9b:1:a9fe:a9:fe00::',
    'FD00:0EC2:0:0::254',
    '::ffff:169.254.169.254',
    '::ffff:a9fe:a9fe',
    '::169.254.169.254',
    '64:ff9b::a9fe:a9fe',
    '2002:a9fe:a9fe::1',
    '2001:0:808:808::5601:5601',
    '2001:0:a9fe:a9fe::f7f7:f7f7',
  ],
  private: [
    '10.0.0.1',
    '172.16.0.1',
    '172.31.255.255',
    '192.168.1.1',
    'fc00::1',
    'fd00:ec1:ffff::1',
    'fd00:ec3::1',
    'fd12:3456::1',
    'fec0::1',
    '::ffff:10.1.2.3',
    '64:ff9b::10.0.0.1',
    '2002:a00:1::',
  ],
  multicast: ['224.0.0.1', '239.255.255.255', '255.255.255.255', 'ff02::1', '::ffff:224.0.0.1'],
  cgnat: ['100.64.0.1', '100.127.255.255', '::ffff:100.64.0.1', '64:ff9b::100.64.0.1'],
  // What is configured alone; below.
  vpc: [],
  benchmark: ['198.18.0.1', '198.19.255.255', '2001:2::1', '2001:2:0:ffff::1', '::ffff:198.18.0.1'],
  documentation: ['192.0.2.1', '198.51.100.1', '203.0.113.9', '2001:db8::1', '3fff::1', '3fff:fff::1'],
  embedded: [
    // A public address inside a translator's or tunnel's form.
    '64:ff9b::8.8.8.8',
    '64:ff9b:1::8.8.8.8',
    '64:ff9b:1:808:8:800::',
    '2002:808:808::1',
    '2001:0:808:808::f7f7:f7f7',
    '::8.8.8.8',
    '::ffff:0:8.8.8.8',
    '2a00::5efe:808:808',
    '2a00::200:5efe:808:808',
  ],
  reserved: [
    '192.0.0.1',
    '192.88.99.1',
    '240.0.0.1',
    '192.175.48.1',
    '2001:1::1',
    '2001:1ff:ffff::1',
    '2001:2:1::1',
    '64:ff9b:2::808:808',
    '64:ff9b::1:808:808',
    '100::1',
    '100:0:0:1::1',
    '100:0:0:2::1',
    '5f00::1',
    // Not allocated by IANA: ipaddr.js calls it unicast.
    '4000::1',
    'e000::1',
    '1::1',
    // Not addresses at all.
    '',
    'localhost',
    '127.1',
    '0177.0.0.1',
    '2130706433',
    '0x7f.0.0.1',
    '８.8.8.8',
    '8.8.8.8 ',
    '8.8.8.8\0',
    'fe80::1%eth0',
    '::ffff:8.8.8.8%1',
    '[::1]',
    '8.8.8.8/32',
  ],
}

describe('classify', () => {
  for (const [expected, addresses] of Object.entries(CASES)) {
    test.each(addresses)(`${expected}: %j`, (address) => {
      expect(classify(address)).toBe(expected)
    })
  }

  test('what is public is in no range that an independent list refuses', () => {
    const refused = new BlockList()
    for (const [network, bits] of [
      ['0.0.0.0', 8],
      ['10.0.0.0', 8],
      ['100.64.0.0', 10],
      ['127.0.0.0', 8],
      ['169.254.0.0', 16],
      ['172.16.0.0', 12],
      ['192.0.0.0', 24],
      ['192.168.0.0', 16],
      ['192.31.196.0', 24],
      ['192.52.193.0', 24],
      ['192.88.99.0', 24],
      ['192.175.48.0', 24],
      ['198.18.0.0', 15],
      ['224.0.0.0', 3],
    ] as const) {
      refused.addSubnet(network, bits, 'ipv4')
    }
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (address) => {
        if (classify(address) !== 'public') return
        const family = isIP(address) === 4 ? 'ipv4' : 'ipv6'
        expect(refused.check(address, family)).toBe(false)
        expect(family === 'ipv4' || /^(?:::ffff:|[23])/i.test(canonicalLong(address))).toBe(true)
      }),
      { numRuns: 2_000 },
    )
  })

  test('no IPv4 address gets a better class by being written inside IPv6', () => {
    fc.assert(
      fc.property(fc.ipV4(), (address) => {
        const plain = classify(address)
        expect(classify(`::ffff:${address}`)).toBe(plain)
        for (const prefix of [
          '64:ff9b::',
          '64:ff9b:1::',
          '64:ff9b:1:7::',
          '::ffff:0:',
          '2a00::5efe:',
          '2a00::200:5efe:',
        ]) {
          expect(classify(`${prefix}${address}`)).toBe(plain === 'public' ? 'embedded' : plain)
        }
      }),
    )
  })

  test('any text at all has a class and never throws', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        if (isIP(text) === 0) expect(classify(text)).toBe('reserved')
      }),
    )
  })
})

/** The first and the last address of every block, as of October 2025, and the class of all between them. */
const REGISTRIES: readonly (readonly [block: string, first: string, last: string, AddressClass])[] = [
  // https://www.iana.org/assignments/iana-ipv4-special-registry
  ['0.0.0.0/8', '0.0.0.0', '0.255.255.255', 'unspecified'],
  ['0.0.0.0/32', '0.0.0.0', '0.0.0.0', 'unspecified'],
  ['10.0.0.0/8', '10.0.0.0', '10.255.255.255', 'private'],
  ['100.64.0.0/10', '100.64.0.0', '100.127.255.255', 'cgnat'],
  ['127.0.0.0/8', '127.0.0.0', '127.255.255.255', 'loopback'],
  ['169.254.0.0/16', '169.254.0.0', '169.254.255.255', 'link-local'],
  ['172.16.0.0/12', '172.16.0.0', '172.31.255.255', 'private'],
  ['192.0.0.0/24', '192.0.0.0', '192.0.0.255', 'reserved'],
  ['192.0.0.0/29', '192.0.0.0', '192.0.0.7', 'reserved'],
  ['192.0.0.8/32', '192.0.0.8', '192.0.0.8', 'reserved'],
  ['192.0.0.9/32', '192.0.0.9', '192.0.0.9', 'reserved'],
  ['192.0.0.10/32', '192.0.0.10', '192.0.0.10', 'reserved'],
  ['192.0.0.170/32', '192.0.0.170', '192.0.0.170', 'reserved'],
  ['192.0.0.171/32', '192.0.0.171', '192.0.0.171', 'reserved'],
  ['192.0.2.0/24', '192.0.2.0', '192.0.2.255', 'documentation'],
  ['192.31.196.0/24', '192.31.196.0', '192.31.196.255', 'reserved'],
  ['192.52.193.0/24', '192.52.193.0', '192.52.193.255', 'reserved'],
  ['192.88.99.0/24', '192.88.99.0', '192.88.99.255', 'reserved'],
  ['192.88.99.2/32', '192.88.99.2', '192.88.99.2', 'reserved'],
  ['192.168.0.0/16', '192.168.0.0', '192.168.255.255', 'private'],
  ['192.175.48.0/24', '192.175.48.0', '192.175.48.255', 'reserved'],
  ['198.18.0.0/15', '198.18.0.0', '198.19.255.255', 'benchmark'],
  ['198.51.100.0/24', '198.51.100.0', '198.51.100.255', 'documentation'],
  ['203.0.113.0/24', '203.0.113.0', '203.0.113.255', 'documentation'],
  ['240.0.0.0/4', '240.0.0.0', '255.255.255.254', 'reserved'],
  ['255.255.255.255/32', '255.255.255.255', '255.255.255.255', 'multicast'],
  // https://www.iana.org/assignments/multicast-addresses
  ['224.0.0.0/4', '224.0.0.0', '239.255.255.255', 'multicast'],
  // https://www.iana.org/assignments/iana-ipv6-special-registry
  ['::1/128', '::1', '::1', 'loopback'],
  ['::/128', '::', '::', 'unspecified'],
  ['::ffff:0:0/96', '::ffff:0.0.0.0', '::ffff:0.255.255.255', 'unspecified'],
  ['64:ff9b::/96', '64:ff9b::1.0.0.0', '64:ff9b::9.255.255.255', 'embedded'],
  ['64:ff9b:1::/48', '64:ff9b:1::1.0.0.0', '64:ff9b:1:ffff:ffff:ffff:5fff:ffff', 'embedded'],
  ['100::/64', '100::', '100::ffff:ffff:ffff:ffff', 'reserved'],
  ['100:0:0:1::/64', '100:0:0:1::', '100:0:0:1:ffff:ffff:ffff:ffff', 'reserved'],
  ['2001::/23', '2001:40::', '2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff', 'reserved'],
  ['2001::/32', '2001:0:100::f7f7:f7f7', '2001:0:808:808:ffff:ffff:f7f7:f7f7', 'embedded'],
  ['2001:1::1/128', '2001:1::1', '2001:1::1', 'reserved'],
  ['2001:1::2/128', '2001:1::2', '2001:1::2', 'reserved'],
  ['2001:1::3/128', '2001:1::3', '2001:1::3', 'reserved'],
  ['2001:2::/48', '2001:2::', '2001:2:0:ffff:ffff:ffff:ffff:ffff', 'benchmark'],
  ['2001:3::/32', '2001:3::', '2001:3:ffff:ffff:ffff:ffff:ffff:ffff', 'reserved'],
  ['2001:4:112::/48', '2001:4:112::', '2001:4:112:ffff:ffff:ffff:ffff:ffff', 'reserved'],
  ['2001:10::/28', '2001:10::', '2001:1f:ffff:ffff:ffff:ffff:ffff:ffff', 'reserved'],
  ['2001:20::/28', '2001:20::', '2001:2f:ffff:ffff:ffff:ffff:ffff:ffff', 'reserved'],
  ['2001:30::/28', '2001:30::', '2001:3f:ffff:ffff:ffff:ffff:ffff:ffff', 'reserved'],
  ['2001:db8::/32', '2001:db8::', '2001:db8:ffff:ffff:ffff:ffff:ffff:ffff', 'documentation'],
  ['2002::/16', '2002:100::', '2002:9ff:ffff:ffff:ffff:ffff:ffff:ffff', 'embedded'],
  ['2620:4f:8000::/48', '2620:4f:8000::', '2620:4f:8000:ffff:ffff:ffff:ffff:ffff', 'reserved'],
  ['3fff::/20', '3fff::', '3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff', 'documentation'],
  ['5f00::/16', '5f00::', '5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff', 'reserved'],
  ['fc00::/7', 'fc00::', 'fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', 'private'],
  ['fe80::/10', 'fe80::', 'febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff', 'link-local'],
  ['ff00::/8', 'ff00::', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', 'multicast'],
]

test.each(REGISTRIES)('%s of the registries, from %s to %s, is %s', (_block, first, last, expected) => {
  expect(classify(first)).toBe(expected)
  expect(classify(last)).toBe(expected)
})

test.each([
  ['1.0.0.0', '9.255.255.255', '11.0.0.0', '100.63.255.255', '100.128.0.0', '126.255.255.255', '128.0.0.0'],
  ['169.253.255.255', '169.255.0.0', '172.15.255.255', '172.32.0.0', '191.255.255.255', '192.0.1.0'],
  ['192.0.3.0', '192.31.195.255', '192.31.197.0', '192.52.194.0', '192.88.98.255', '192.88.100.0'],
  ['192.167.255.255', '192.169.0.0', '192.175.47.255', '198.17.255.255', '198.20.0.0', '198.51.99.255'],
  ['203.0.112.255', '203.0.114.0', '223.255.255.255', '168.63.129.15', '168.63.129.17'],
  ['2000::', '2001:200::', '2001:db7:ffff::', '2001:db9::', '2003::', '2620:4f:7fff::', '2620:4f:8001::'],
  ['3ffe:ffff::', '3fff:1000::', '3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', '2001:ffff::'],
])('what lies beside the blocks of the registries is public: %s …', (...addresses) => {
  expect(addresses.filter((address) => classify(address) !== 'public')).toEqual([])
})

describe('in a VPC', () => {
  const network = ownNetwork(['10.20.0.0/16', '100.64.0.0/16', '172.217.16.0/20', '2600:1f18:1:100::/56'])
  test.each<[string, string, AddressClass]>([
    ['its first address', '10.20.0.0', 'vpc'],
    ['its last address', '10.20.255.255', 'vpc'],
    ['its resolver', '10.20.0.2', 'metadata'],
    ['what is beside its resolver', '10.20.0.3', 'vpc'],
    ['its resolver by a translator', '64:ff9b::10.20.0.2', 'metadata'],
    ['what is beside it', '10.21.0.0', 'private'],
    ['the resolver’s place in another network', '10.21.0.2', 'private'],
    ['a block in the shared range', '100.64.9.9', 'vpc'],
    ['what is beside that block', '100.65.0.0', 'cgnat'],
    ['a block in a public range', '172.217.16.9', 'vpc'],
    ['the resolver of such a block', '172.217.16.2', 'metadata'],
    ['what is beside that block', '172.217.32.0', 'public'],
    ['a block of IPv6', '2600:1f18:1:1ff::9', 'vpc'],
    ['what is beside it', '2600:1f18:1:200::', 'public'],
    ['a mapped address', '::ffff:10.20.1.1', 'vpc'],
    ['an address inside another', '2002:ad9:1009::', 'private'],
    ['an address of the VPC inside another', '2002:acd9:1009::', 'vpc'],
  ])('%s', (_name, address, expected) => {
    expect(classify(address, network)).toBe(expected)
  })

  test('no block makes a worse class better', () => {
    const everything = { ...network, vpc: ownNetwork(['0.0.0.0/0', '::/0']).vpc }
    for (const found of ['unspecified', 'loopback', 'link-local', 'metadata', 'multicast'] as const) {
      const plain = CASES[found].filter((address) => !address.includes(':'))
      for (const address of plain) expect(classify(address, everything)).toBe(found)
    }
  })
})

describe('canonicalAddress', () => {
  test.each([
    ['1.2.3.4', '1.2.3.4'],
    ['::ffff:1.2.3.4', '1.2.3.4'],
    ['::FFFF:0102:0304', '1.2.3.4'],
    ['2001:DB8:0:0:0:0:0:1', '2001:db8::1'],
    ['::', '::'],
    ['::1', '::1'],
    ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'],
    ['1:0:2:3:4:5:6:7', '1:0:2:3:4:5:6:7'],
    ['127.1', null],
    ['01.2.3.4', null],
    ['fe80::1%eth0', null],
    ['[::1]', null],
    ['a.example', null],
  ])('%j is written %j', (text, expected) => {
    expect(canonicalAddress(text)).toBe(expected)
  })

  test('is the address still, and always the same text', () => {
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (text) => {
        const canonical = canonicalAddress(text) ?? ''
        expect(canonicalAddress(canonical)).toBe(canonical)
        expect(canonicalLong(canonical)).toBe(canonicalLong(text))
      }),
      { numRuns: 2_000 },
    )
  })
})

/** Node's own normal form, with IPv4 as mapped IPv6, as an oracle that shares no code with ipaddr.js. */
function canonicalLong(text: string): string {
  const address = isIP(text) === 4 ? `::ffff:${text}` : text
  return new SocketAddress({ address, family: 'ipv6' }).address
}

test('the same address is judged by each network anew', () => {
  const [one, other] = [ownNetwork(['172.217.16.0/20']), ownNetwork(['142.250.0.0/16'])]
  expect([one, other, one].map((network) => classify('172.217.16.9', network))).toEqual([
    ...['vpc', 'public', 'vpc'],
  ])
  expect(classify('172.217.16.9')).toBe('public')
})
