// The second lock against the first: what permit.ts refuses the block list has, and what permit.ts lets through it has not.
import * as fc from 'fast-check'
import ipaddr from 'ipaddr.js'
import { isIP } from 'node:net'
import { describe, expect, test } from 'vitest'
import { canonicalAddress, ownNetwork } from '../../../../gateway/upstream/address-class.ts'
import { createBlockLists } from '../../../../gateway/upstream/block-list.ts'
import { embeddedAddresses } from '../../../../gateway/upstream/embedded-address.ts'
import { permit } from '../../../../gateway/upstream/permit.ts'
import { SPECIAL_RANGES } from '../../../../gateway/upstream/special-ranges.ts'

const network = ownNetwork(['10.20.0.0/16', '172.217.0.0/16', '2600:1f18:1:100::/56'])
const blockListFor = createBlockLists(network)

function isBlocked(address: string, allowAddresses: readonly string[] = []): boolean {
  return blockListFor({ allowAddresses }).check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4')
}

function isPermitted(address: string, allowAddresses: readonly string[] = []): boolean {
  try {
    permit([address], 443, { name: 'bank', allowAddresses }, { network, isOwnListener: () => false })
    return true
  } catch {
    return false
  }
}

describe('the block list', () => {
  test.each<[string, string, readonly string[], boolean]>([
    ['public', '8.8.8.8', [], false],
    ['public, IPv6', '2606:4700::1', [], false],
    ['loopback', '127.0.0.1', [], true],
    ['loopback, mapped', '::ffff:127.0.0.1', [], true],
    ['loopback that is excepted', '127.0.0.1', ['127.0.0.0/8'], false],
    ['loopback before the exception', '127.0.0.255', ['127.0.1.0/24'], true],
    ['loopback behind the exception', '127.0.2.0', ['127.0.1.0/24'], true],
    ['metadata', '169.254.169.254', [], true],
    ['metadata in a wide exception', '169.254.169.254', ['169.254.0.0/16', '0.0.0.0/0'], true],
    ['what is beside it in that exception', '169.254.169.252', ['169.254.0.0/16'], false],
    ['metadata by its own host route', '169.254.169.254', ['169.254.169.254/32'], false],
    ['the unspecified address never', '0.0.0.0', ['0.0.0.0/0', '0.0.0.0/32'], true],
    ['multicast never', 'ff02::1', ['::/0', 'ff02::1/128'], true],
    ['the VPC', '10.20.1.1', [], true],
    ['the VPC in a public range', '172.217.1.1', [], true],
    ['the VPC in IPv6', '2600:1f18:1:1ff::1', [], true],
    ['beside the VPC', '2600:1f18:1:200::', [], false],
    ['the VPC’s resolver in a wide exception', '10.20.0.2', ['10.20.0.0/16'], true],
    ['what is not handed out', '4000::1', [], true],
    ['what is not handed out, by an exception', '4000::1', ['4000::/3'], false],
    ['NAT64', '64:ff9b::808:808', [], true],
    ['NAT64 by an exception', '64:ff9b::808:808', ['64:ff9b::/96'], false],
    ['all of IPv6 is not all of IPv4', '10.1.1.1', ['::/0'], true],
    ['all of IPv4 is not all of IPv6', 'fd00::1', ['0.0.0.0/0'], true],
    ['exceptions that overlap', '10.1.1.1', ['10.0.0.0/9', '10.1.0.0/16'], false],
  ])('%s: %s', (_name, address, allow, expected) => {
    expect(isBlocked(address, allow)).toBe(expected)
  })

  test('is one for all destinations without exceptions, and one for each of the others', () => {
    const excepting = { allowAddresses: ['10.0.0.0/8'] }
    expect(blockListFor({ allowAddresses: [] })).toBe(blockListFor({ allowAddresses: [] }))
    expect(blockListFor(excepting)).toBe(blockListFor(excepting))
    expect(blockListFor(excepting)).not.toBe(blockListFor({ allowAddresses: [] }))
  })
})

/** At the edges of the ranges, where a fault would be. */
const ranges = [...SPECIAL_RANGES.map(({ range }) => range), '10.20.0.0/16', '2600:1f18:1:100::/56']
const edge = fc.constantFrom(...ranges).chain((range) => {
  const [network = ''] = range.split('/')
  return fc.constantFrom(
    network,
    network.replace(/[^.:]*$/, (end) => (end === '' ? '1' : '255')),
  )
})
const address = fc
  .oneof(
    fc.ipV4(),
    fc.ipV6(),
    edge,
    fc.nat(255).map((last) => `10.20.0.${last}`),
    fc.ipV4().map((v4) => `64:ff9b::${v4}`),
  )
  .map((text) => canonicalAddress(text) ?? '::1')
const exception = fc.oneof(
  fc.constantFrom(...ranges),
  fc.constantFrom(
    '0.0.0.0/0',
    '10.0.0.0/8',
    '10.20.0.0/24',
    '10.20.0.2/32',
    '169.254.169.254/32',
    '64:ff9b::/96',
  ),
)

test('what the first lock lets through, the second does', () => {
  fc.assert(
    fc.property(address, fc.array(exception, { maxLength: 3 }), (one, allow) => {
      if (isPermitted(one, allow)) expect(isBlocked(one, allow)).toBe(false)
    }),
    { numRuns: 500 },
  )
})

test('what the first lock refuses, the second does, but for an address inside another', () => {
  fc.assert(
    fc.property(address, fc.array(exception, { maxLength: 3 }), (one, allow) => {
      const parsed = ipaddr.parse(one)
      if (parsed instanceof ipaddr.IPv6 && embeddedAddresses(parsed).length > 0) return
      expect(isBlocked(one, allow)).toBe(!isPermitted(one, allow))
    }),
    { numRuns: 500 },
  )
})

test('without an exception the second refuses the forms that have a range, whatever is inside', () => {
  fc.assert(
    fc.property(
      fc.ipV4(),
      fc.constantFrom('64:ff9b::', '64:ff9b:1:2::', '::ffff:0:', '::'),
      (inside, prefix) => {
        expect(isBlocked(`${prefix}${inside}`)).toBe(true)
      },
    ),
  )
})
