import fc from 'fast-check'
import { afterEach, expect, test, vi } from 'vitest'
import { BUCKET_MS, Moments } from '../../../../gateway/sessions/moments.ts'

const ascending = (a: number, b: number) => a - b

afterEach(() => void vi.useRealTimers())

test('tells of each at its moment, once, whatever is moved, removed or how the clock leaps', () => {
  vi.useFakeTimers()
  const act = fc.oneof(
    fc.record({ item: fc.nat(5), at: fc.option(fc.integer({ min: -2, max: 60 })) }),
    fc.record({ pass: fc.integer({ min: 1, max: 12 }) }),
    fc.record({ leap: fc.integer({ min: -20, max: 40 }) }),
  )
  fc.assert(
    fc.property(fc.array(act, { maxLength: 60 }), (acts) => {
      let now = 1_000_000
      const due: number[] = []
      const moments = new Moments<number>({ now: () => new Date(now), onDue: (items) => due.push(...items) })
      const set = new Map<number, number>()
      /** What was past at the last tick, or at the first item, is due with the next. */
      let seen = now
      const bucketOf = (at: number) => Math.ceil(at / BUCKET_MS)
      const pass = () => {
        now += BUCKET_MS
        vi.advanceTimersByTime(BUCKET_MS)
        const expected = [...set].filter(([, bucket]) => bucket <= Math.floor(now / BUCKET_MS))
        seen = now
        for (const [item] of expected) set.delete(item)
        const items = expected.map(([item]) => item)
        expect(due.splice(0).toSorted(ascending)).toEqual(items.toSorted(ascending))
      }
      for (const one of acts) {
        if ('leap' in one) now += one.leap * BUCKET_MS
        else if ('pass' in one) for (let n = 0; n < one.pass; n += 1) pass()
        else {
          const at = one.at === null ? null : now + one.at * 97
          moments.set(one.item, at === null ? null : new Date(at))
          set.delete(one.item)
          if (at === null) continue
          if (set.size === 0) seen = now
          const bucket = bucketOf(at)
          set.set(one.item, bucket <= Math.floor(seen / BUCKET_MS) ? -1 : bucket)
        }
        expect(moments.size).toBe(set.size)
      }
      moments.close()
    }),
  )
})

test('has no timer while there is nothing to wait for', () => {
  vi.useFakeTimers()
  const moments = new Moments<string>({ now: () => new Date(), onDue: () => {} })
  expect(vi.getTimerCount()).toBe(0)
  moments.set('a', new Date(Date.now() + 3_600_000))
  expect(vi.getTimerCount()).toBe(1)
  moments.delete('a')
  expect(vi.getTimerCount()).toBe(0)
})
