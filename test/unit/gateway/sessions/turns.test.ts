import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { Turns } from '../../../../gateway/sessions/turns.ts'

const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

function scene() {
  const clock = { now: 0 }
  const turns = new Turns(() => clock.now)
  const judged: number[] = []
  const request = async (item: number, ms: number) => {
    // As a session does: who asks may be known at once or later.
    await Promise.resolve()
    const wait = turns.enter()
    if (wait !== null) await wait
    judged.push(item)
    clock.now += ms
  }
  return { clock, judged, request }
}

test('a burst holds the loop for no longer than a slice and one request', async () => {
  const { judged, request } = scene()
  for (let item = 0; item < 20; item += 1) void request(item, 3)
  expect(judged).toEqual([])
  await Promise.resolve()
  for (let turns = 1; judged.length < 20; turns += 1) {
    await turn()
    // Three of 3 ms each: the fourth would begin after 9.
    expect(judged.length).toBeLessThanOrEqual((turns + 1) * 3)
  }
  expect(judged).toEqual(Array.from({ length: 20 }, (_, item) => item))
})

test('who is fast does not wait for a turn', async () => {
  const { judged, request } = scene()
  await Promise.all(Array.from({ length: 1_000 }, async (_, item) => request(item, 0.001)))
  expect(judged).toHaveLength(1_000)
})

test('each is judged once and in the order of asking, whenever it comes and however long it takes', async () => {
  const step = fc.record({ ms: fc.integer({ min: 0, max: 9 }), turn: fc.boolean() })
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      const { judged, request } = scene()
      const all: Promise<void>[] = []
      for (const [item, one] of steps.entries()) {
        all.push(request(item, one.ms))
        if (one.turn) await turn()
      }
      await Promise.all(all)
      expect(judged).toEqual(steps.map((_, item) => item))
    }),
    { numRuns: 50 },
  )
})
