import { randomBytes } from 'node:crypto'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createIds } from '../../../../gateway/audit/ids.ts'

const at = (ms: number) => () => new Date(ms)
const bytes = (value: number) => (size: number) => new Uint8Array(size).fill(value)

describe('createIds', () => {
  test('encodes time and randomness as the ULID specification does', () => {
    // The example time of the specification, 1469918176385, is 01ARYZ6S41.
    expect(createIds({ now: at(1_469_918_176_385), random: bytes(0) })()).toBe('01ARYZ6S410000000000000000')
    expect(createIds({ now: at(2 ** 48 - 1), random: bytes(0xff) })()).toBe('7ZZZZZZZZZZZZZZZZZZZZZZZZZ')
  })

  test('every one is greater than the one before, whatever the clock does', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: -5, max: 2 ** 41 }), { minLength: 2, maxLength: 50 }),
        (times) => {
          let index = 0
          const next = createIds({ now: () => new Date(times[index] ?? 0), random: randomBytes })
          const ids = times.map(() => {
            const id = next()
            index += 1
            return id
          })
          expect(ids).toEqual(ids.toSorted())
          expect(new Set(ids).size).toBe(ids.length)
          for (const id of ids) expect(id).toMatch(/^[0-7][0-9A-HJKMNP-TV-Z]{25}$/)
        },
      ),
    )
  })

  test('within one millisecond the step is random, so that a client cannot count its neighbours', () => {
    const next = createIds({ now: at(1), random: randomBytes })
    const tails = Array.from({ length: 20 }, () => next().slice(-4))
    const steps = new Set(tails.map((tail) => tail.charCodeAt(3)))
    expect(steps.size).toBeGreaterThan(3)
  })

  test('where the random part is used up, the next millisecond is taken', () => {
    const next = createIds({ now: at(0), random: bytes(0xff) })
    expect(next()).toBe('0000000000ZZZZZZZZZZZZZZZZ')
    expect(next()).toBe('0000000001ZZZZZZZZZZZZZZZZ')
  })
})
