import * as fc from 'fast-check'
import { BlockList, isIP, SocketAddress } from 'node:net'
import { describe, expect, test } from 'vitest'
import { type AddressClass, canonicalAddress, classify } from '../../../../gateway/upstream/address-class.ts'

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
    '100.64.0.1',
    '100.127.255.255',
    'fc00::1',
    'fd12:3456::1',
    'fec0::1',
    '::ffff:10.1.2.3',
    '64:ff9b::10.0.0.1',
    '2002:a00:1::',
  ],
  multicast: ['224.0.0.1', '239.255.255.255', '255.255.255.255', 'ff02::1', '::ffff:224.0.0.1'],
  reserved: [
    '192.0.0.1',
    '192.0.2.1',
    '192.88.99.1',
    '198.18.0.1',
    '198.51.100.1',
    '203.0.113.9',
    '240.0.0.1',
    '192.175.48.1',
    '2001:db8::1',
    '3fff::1',
    '2001:2::1',
    '100::1',
    '5f00::1',
    // Not allocated by IANA: ipaddr.js calls it unicast.
    '4000::1',
    'e000::1',
    '1::1',
    // A public address inside a translator's or tunnel's form.
    '64:ff9b::8.8.8.8',
    '64:ff9b:1::8.8.8.8',
    '2002:808:808::1',
    '2001:0:808:808::f7f7:f7f7',
    '::8.8.8.8',
    '::ffff:0:8.8.8.8',
    '2a00::5efe:808:808',
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
        for (const prefix of ['64:ff9b::', '::ffff:0:']) {
          expect(classify(`${prefix}${address}`)).toBe(plain === 'public' ? 'reserved' : plain)
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
