import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { Backlog } from '../../../../gateway/audit/backlog.ts'

test('bytes, age and losses are those of a plain list, whatever happens in whatever order', () => {
  const step = fc.oneof(
    fc.record({ do: fc.constant('add' as const), bytes: fc.integer({ min: 1, max: 100 }) }),
    fc.record({ do: fc.constant('done' as const), bytes: fc.constant(0) }),
    fc.record({ do: fc.constant('abandon' as const), bytes: fc.constant(0) }),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      let now = 0
      const backlog = new Backlog(() => now)
      let model: { bytes: number; since: number }[] = []
      let dropped = 0
      for (const { do: action, bytes } of steps) {
        now += 7
        const waiting = model.reduce((sum, one) => sum + one.bytes, 0)
        if (action === 'add') {
          const fits = waiting + bytes <= 500
          expect(backlog.add(bytes, 500)).toBe(fits)
          if (fits) model.push({ bytes, since: now })
          else dropped += 1
        } else if (action === 'done') {
          backlog.done()
          model.shift()
        } else {
          backlog.abandon()
          dropped += model.length
          model = []
        }
        expect(backlog.state('X')).toEqual({
          failure: 'X',
          backlogBytes: model.reduce((sum, one) => sum + one.bytes, 0),
          oldestWaitMs: model[0] === undefined ? 0 : now - model[0].since,
          dropped,
        })
      }
    }),
  )
})
