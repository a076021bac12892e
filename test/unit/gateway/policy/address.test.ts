import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { canonicalAddress } from '../../../../gateway/policy/address.ts'

describe('canonicalAddress', () => {
  test.each([
    ['10.0.0.1', '10.0.0.1'],
    ['::ffff:10.0.0.1', '10.0.0.1'],
    ['::ffff:a00:1', '10.0.0.1'],
    ['0:0:0:0:0:ffff:10.0.0.1', '10.0.0.1'],
    ['fe80::1%eth0', 'fe80::1'],
    ['fe80::1%25', 'fe80::1'],
    ['2001:DB8:0:0:0:0:0:1', '2001:db8::1'],
    ['::1', '::1'],
    ['::', '::'],
    ['64:ff9b::10.0.0.1', '64:ff9b::a00:1'],
  ])('%s is %s', (text, expected) => {
    expect(canonicalAddress(text)).toBe(expected)
  })

  test.each([
    '',
    'localhost',
    '0177.0.0.1',
    '2130706433',
    '10.1',
    '10.0.0.1/8',
    '[::1]',
    '10.0.0.1:80',
    ' 10.0.0.1',
    '::1%',
    '::1%a b',
  ])('%j is no address', (text) => {
    expect(() => canonicalAddress(text)).toThrow(TypeError)
  })

  test('is its own canonical form', () => {
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (text) => {
        const once = canonicalAddress(text)
        expect(canonicalAddress(once)).toBe(once)
      }),
    )
  })
})
