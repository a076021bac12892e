// When an identity is renewed, and what happens while it cannot be.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { watchIdentity } from '../../../../cli/identity/watch.ts'
import { jitter, renewalDelay, retryDelay } from '../../../../common/authority/timing.ts'

const NOW = new Date('2026-11-24T12:00:00.000Z')
const after = (ms: number) => new Date(NOW.getTime() + ms)

describe('the wait for a renewal', () => {
  test.for<[string, number, number, number]>([
    ['a tenth early', 1_800_000, 0, 1_620_000],
    ['in the middle', 1_800_000, 0.5, 1_800_000],
    ['almost a tenth late', 1_800_000, 0.999_999, 1_980_000],
    ['of what is due is a second', 0, 0.5, 1_000],
    ['of what is overdue is a second', -3_600_000, 0, 1_000],
    ['of a hundred days is no more than a timer holds', 100 * 86_400_000, 0.5, 2_147_483_647],
  ])('%s', ([, ms, random, expected]) => {
    expect(Math.abs(renewalDelay(after(ms), NOW, random) - expected)).toBeLessThanOrEqual(2)
  })

  test('spreads a fleet over a fifth of it, evenly on both sides', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 10_000, max: 86_400_000 }),
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        (ms, random) => {
          const wait = jitter(ms, random)
          expect(wait).toBeGreaterThanOrEqual(Math.floor(ms * 0.9))
          expect(wait).toBeLessThanOrEqual(Math.ceil(ms * 1.1))
          expect(Math.abs(wait + jitter(ms, 1 - random) - 2 * ms)).toBeLessThanOrEqual(2)
        },
      ),
    )
  })
})

test('the wait after failures doubles from five seconds to a minute', () => {
  expect([1, 2, 3, 4, 5, 6, 1000].map((failures) => retryDelay(failures, 0.5))).toEqual([
    5_000, 10_000, 20_000, 40_000, 60_000, 60_000, 60_000,
  ])
})

test('failures make it wait longer, and a success starts over', async () => {
  const waits: number[] = []
  const failures: unknown[] = []
  const outcomes = ['fail', 'fail', 'renew', 'fail', 'stop']
  const watching = watchIdentity(after(60_000), {
    clock: () => NOW,
    random: () => 0.5,
    sleep: async (ms) => {
      waits.push(ms)
      if (outcomes[0] === 'stop') throw new Error('stopped')
    },
    renew: async () => {
      if (outcomes.shift() === 'fail') throw new Error('no')
      return after(120_000)
    },
    onFailure: (error) => failures.push(error),
  })
  await expect(watching).rejects.toThrow('stopped')
  expect(waits).toEqual([60_000, 5_000, 10_000, 120_000, 5_000])
  expect(failures).toHaveLength(3)
})
