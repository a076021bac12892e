// The arithmetic behind the table of docs/performance.md.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { percentile, ratioToBetter, spread } from '../../../../scripts/bench/figures.ts'

const values = fc.array(fc.double({ min: 0.001, max: 1e6, noNaN: true }), { minLength: 1, maxLength: 50 })

describe('a spread', () => {
  test.each([
    ['one value', [3], { min: 3, median: 3, max: 3 }],
    ['an odd number of them, in any order', [9, 1, 5], { min: 1, median: 5, max: 9 }],
    ['an even number: the mean of the two in the middle', [4, 1, 2, 9], { min: 1, median: 3, max: 9 }],
    ['numbers and not texts', [10, 9, 100], { min: 9, median: 10, max: 100 }],
  ])('of %s', (_name, list, expected) => {
    expect(spread(list)).toEqual(expected)
  })

  test('of none is an error', () => {
    expect(() => spread([])).toThrow(RangeError)
  })

  test('property: as many values lie under the median as above it', () => {
    fc.assert(
      fc.property(values, (list) => {
        const { min, median, max } = spread(list)
        expect(min).toBeLessThanOrEqual(median)
        expect(max).toBeGreaterThanOrEqual(median)
        const under = list.filter((value) => value < median).length
        const above = list.filter((value) => value > median).length
        expect(Math.max(under, above)).toBeLessThanOrEqual(list.length / 2)
      }),
    )
  })
})

describe('a percentile', () => {
  const hundred = Array.from({ length: 100 }, (_, at) => 100 - at)
  test.each([
    [0.5, 50],
    [0.99, 99],
    [1, 100],
    [0, 1],
  ])('%d of a hundred', (share, expected) => {
    expect(percentile(hundred, share)).toBe(expected)
  })

  test('property: is one of the values, and enough of them do not exceed it', () => {
    fc.assert(
      fc.property(values, fc.double({ min: 0.01, max: 1, noNaN: true }), (list, share) => {
        const found = percentile(list, share)
        expect(list).toContain(found)
        const within = list.filter((value) => value <= found).length
        expect(within).toBeGreaterThanOrEqual(share * list.length - 1e-9)
      }),
    )
  })
})

describe('a ratio', () => {
  test('is to the peer with the smaller median, within each round', () => {
    const peers = { HAProxy: [2, 2, 4], nginx: [3, 1, 9] }
    expect(ratioToBetter([2, 3, 8], peers)).toEqual({ to: 'HAProxy', min: 1, median: 1.5, max: 2 })
  })

  test('to nobody is an error', () => {
    expect(() => ratioToBetter([1], {})).toThrow(RangeError)
  })
})
