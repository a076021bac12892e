import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseDuration } from '../../../common/duration.ts'

describe('a duration', () => {
  test.each([
    ['0ms', 0],
    ['0h', 0],
    ['300ms', 300],
    ['5s', 5_000],
    ['10m', 600_000],
    ['1h', 3_600_000],
    ['90m', 5_400_000],
    ['596h', 2_145_600_000],
    ['2147483s', 2_147_483_000],
    ['2147483647ms', 2_147_483_647],
  ])('%s is %i ms', (text, ms) => {
    expect(parseDuration(text)).toBe(ms)
  })
})

describe('not a duration', () => {
  const cases: Record<string, string> = {
    nothing: '',
    'no unit': '5',
    'no number': 's',
    'a fraction': '1.5s',
    'an exponent': '1e3s',
    'a minus': '-1s',
    'a plus': '+1s',
    'a leading zero': '05s',
    'two zeros': '00s',
    'an underscore': '1_000ms',
    'a blank between': '5 s',
    'a blank in front': ' 5s',
    'a line break behind': '5s\n',
    'two units': '1m30s',
    'a unit in capitals': '5S',
    'minutes in capitals, which some read as months': '5M',
    'a unit that is not known here': '1d',
    microseconds: '5us',
    'a unit that is a name of every object': '1constructor',
    'digits that are not ASCII': '٥s',
    'one millisecond more than a timer holds': '2147483648ms',
    'a second more than a timer holds': '2147484s',
    'hours beyond what a timer holds': '597h',
    'eleven digits': '10000000000ms',
    'a number that is no number any more': `${'9'.repeat(400)}h`,
  }
  test.each(Object.entries(cases))('%s', (_, text) => {
    expect(parseDuration(text)).toBeNull()
  })
})

describe('properties', () => {
  const UNITS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }
  const unit = fc.constantFrom(...(Object.keys(UNITS) as (keyof typeof UNITS)[]))

  test('number and unit are multiplied, as long as a timer of Node can hold it', () => {
    fc.assert(
      fc.property(fc.nat({ max: 9_999_999_999 }), unit, (count, unit) => {
        const ms = count * UNITS[unit]
        expect(parseDuration(`${count}${unit}`)).toBe(ms < 2 ** 31 ? ms : null)
      }),
    )
  })

  test('any text gives null or a duration that a timer keeps', () => {
    const near = fc.string({ unit: fc.constantFrom(...Array.from('0123456789msh. -')), maxLength: 14 })
    fc.assert(
      fc.property(fc.oneof(near, fc.string()), (text) => {
        const ms = parseDuration(text)
        if (ms !== null) expect(Number.isInteger(ms) && ms >= 0 && ms < 2 ** 31).toBe(true)
      }),
      { numRuns: 1000 },
    )
  })
})
