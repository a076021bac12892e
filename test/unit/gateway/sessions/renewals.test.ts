import fc from 'fast-check'
import { expect, test } from 'vitest'
import { RENEWAL_WINDOW_MS, Renewals } from '../../../../gateway/sessions/renewals.ts'

test('says the same as a list of all that was ever shown', () => {
  const shown = fc.record({
    workload: fc.constantFrom('a', 'b'),
    expiresAt: fc.integer({ min: 0, max: 20 }).map((n) => n * 100_000),
    after: fc.integer({ min: 0, max: RENEWAL_WINDOW_MS }),
  })
  fc.assert(
    fc.property(fc.array(shown, { maxLength: 40 }), (acts) => {
      const renewals = new Renewals()
      const all: { workload: string; expiresAt: number; at: number }[] = []
      let now = 0
      for (const { workload, expiresAt, after } of acts) {
        now += after
        renewals.accepted(workload, expiresAt, now)
        all.push({ workload, expiresAt, at: now })
        for (const asked of [0, 500_000, 1_000_000, 1_900_000]) {
          const ats = all
            .filter(
              (one) =>
                one.workload === workload && one.expiresAt > asked && now - one.at <= RENEWAL_WINDOW_MS,
            )
            .map(({ at }) => at)
          const expected = ats.length === 0 ? null : Math.max(...ats) + RENEWAL_WINDOW_MS
          expect(renewals.livesUntil(workload, asked, now)).toBe(expected)
        }
      }
    }),
  )
})

test('remembers no more than it needs of a workload that shows thousands of SVIDs', () => {
  const renewals = new Renewals()
  for (let n = 0; n < 10_000; n += 1) renewals.accepted('a', 1_000_000 - n, n / 100)
  expect(renewals.livesUntil('a', 500_000, 100)).toBe(9_999 / 100 + RENEWAL_WINDOW_MS)
  renewals.forget('a')
  expect(renewals.size).toBe(0)
})
