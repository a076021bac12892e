import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { LineQueue } from '../../../../gateway/audit/line-queue.ts'

test('every line is taken once, in order, whole, and no more at a time than is asked for', () => {
  const step = fc.oneof(
    fc.record({ add: fc.string({ unit: 'grapheme', maxLength: 20 }) }),
    fc.record({ take: fc.integer({ min: 1, max: 60 }) }),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const queue = new LineQueue()
      let model: string[] = []
      const take = (most: number) => {
        const { data, ends } = queue.take(most)
        const lines = ends.map((end, index) => data.subarray(ends[index - 1] ?? 0, end).toString())
        expect(lines).toEqual(model.slice(0, lines.length).map((line) => `${line}\n`))
        expect(lines.length).toBeGreaterThan(0)
        expect(lines.length === 1 || data.length <= most).toBe(true)
        expect(data.length).toBe(ends.at(-1))
        model = model.slice(lines.length)
      }
      for (const one of steps) {
        if ('add' in one) {
          queue.add(one.add, Buffer.byteLength(one.add) + 1)
          model.push(one.add)
        } else if (queue.length > 0) take(one.take)
        expect(queue.length).toBe(model.length)
      }
      while (queue.length > 0) take(60)
      expect(model).toEqual([])
    }),
  )
})
