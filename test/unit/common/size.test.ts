import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseSize } from '../../../common/size.ts'

describe('a size', () => {
  test.each([
    ['0B', 0],
    ['1B', 1],
    ['512KiB', 524_288],
    ['8MiB', 8_388_608],
    ['1GiB', 1_073_741_824],
    ['9999999999B', 9_999_999_999],
    ['8388607GiB', 9_007_198_180_999_168],
  ])('%s is %i bytes', (text, bytes) => {
    expect(parseSize(text)).toBe(bytes)
  })
})

describe('not a size', () => {
  const cases: Record<string, string> = {
    nothing: '',
    'no unit': '512',
    'no number': 'MiB',
    'decimal units, which mean something else': '1MB',
    'a letter for a unit': '1M',
    'a unit in small letters': '1mib',
    bits: '1b',
    'a fraction': '0.5MiB',
    'a minus': '-1B',
    'a leading zero': '01B',
    'a blank between': '1 MiB',
    'a line break behind': '1MiB\n',
    'an exponent': '1e3B',
    hexadecimal: '0x10B',
    'a unit that is not known here': '1TiB',
    'eleven digits': '10000000000B',
    '2^53 bytes, where whole numbers end': '8388608GiB',
    'a number that is no number any more': `${'9'.repeat(400)}B`,
  }
  test.each(Object.entries(cases))('%s', (_, text) => {
    expect(parseSize(text)).toBeNull()
  })
})

test('property: number and unit are multiplied exactly, or the text is refused', () => {
  const UNITS = { B: 1n, KiB: 1024n, MiB: 1024n ** 2n, GiB: 1024n ** 3n }
  const unit = fc.constantFrom(...(Object.keys(UNITS) as (keyof typeof UNITS)[]))
  fc.assert(
    fc.property(fc.nat({ max: 9_999_999_999 }), unit, (count, unit) => {
      const exact = BigInt(count) * UNITS[unit]
      const bytes = parseSize(`${count}${unit}`)
      expect(bytes === null ? null : BigInt(bytes)).toBe(exact < 2n ** 53n ? exact : null)
    }),
  )
})
