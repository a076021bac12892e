// The IPv4 addresses inside an IPv6 address, against addresses that are written here by the layouts of the standards.
import * as fc from 'fast-check'
import ipaddr from 'ipaddr.js'
import { describe, expect, test } from 'vitest'
import { embeddedAddresses } from '../../../../gateway/upstream/embedded-address.ts'

const inside = (text: string) => embeddedAddresses(ipaddr.IPv6.parse(text)).map(String)

test.each<[string, string, readonly string[]]>([
  ['NAT64', '64:ff9b::c000:221', ['192.0.2.33']],
  // The examples of RFC 6052 §2.4, in the local-use prefix.
  ['NAT64 of the operator, /48', '64:ff9b:1:c000:2:2100::', ['192.0.2.33', '2.33.0.0']],
  ['NAT64 of the operator, /56', '64:ff9b:1:1c0:0:221::', ['192.0.2.33']],
  ['NAT64 of the operator, /64', '64:ff9b:1:122:c0:2:2100:0', ['192.0.2.33', '33.0.0.0']],
  ['NAT64 of the operator, /96', '64:ff9b:1:122:344::c000:221', ['192.0.2.33']],
  ['NAT64 of the operator, and nothing inside', '64:ff9b:1::', ['0.0.0.0']],
  ['6to4', '2002:c000:221::1', ['192.0.2.33']],
  ['Teredo: client and server', '2001:0:4136:e378:8000:63bf:3fff:fdd2', ['192.0.2.45', '65.54.227.120']],
  ['IPv4-translated', '::ffff:0:c000:221', ['192.0.2.33']],
  ['IPv4-compatible', '::c000:221', ['192.0.2.33']],
  ['ISATAP', '2a00:1:2:3:0:5efe:c000:221', ['192.0.2.33']],
  ['ISATAP of a global address', 'fe80::200:5efe:c000:221', ['192.0.2.33']],
  ['the unspecified address', '::', []],
  ['loopback', '::1', []],
  ['beside NAT64', '64:ff9b:0:0:0:1:c000:221', []],
  ['beside the local-use prefix', '64:ff9b:2::c000:221', []],
  ['beside 6to4', '2003:c000:221::1', []],
  ['beside Teredo', '2001:1:4136:e378:8000:63bf:3fff:fdd2', []],
  ['almost ISATAP', '2a00::100:5efe:c000:221', []],
])('%s: %s', (_name, text, expected) => {
  expect(inside(text)).toEqual(expected)
})

describe('an operator’s own prefix', () => {
  test('of whatever length shows the address that was put there', () => {
    const octets = fc.tuple(fc.integer({ min: 1, max: 255 }), fc.nat(255), fc.nat(255), fc.nat(255))
    fc.assert(
      fc.property(octets, fc.constantFrom(48, 56, 64, 96), ([a, b, c, d], bits) => {
        const bytes = [0, 0x64, 0xff, 0x9b, 0, 1, ...Array.from({ length: 10 }, () => 0)]
        // RFC 6052 §2.2: from the end of the prefix on, with octet 8 jumped over.
        let at = bits / 8
        for (const octet of [a, b, c, d]) {
          if (at === 8) at += 1
          bytes[at] = octet
          at += 1
        }
        expect(embeddedAddresses(new ipaddr.IPv6(bytes)).map(String)).toContain([a, b, c, d].join('.'))
      }),
    )
  })
})
