import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { Later } from '../../../gateway/later.ts'
import { heldMemory } from '../../fixtures/heap.ts'

const nextTurn = () => new Promise<void>((resolve) => setImmediate(resolve))

test('all of it is done, each once and in order, whatever is added and flushed in between', async () => {
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.constant('add' as const) },
    { weight: 1, arbitrary: fc.constantFrom('turn' as const, 'flush' as const) },
  )
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), fc.integer({ min: 0, max: 3 }), async (steps, ms) => {
      let clock = 0
      let added = 0
      const done: number[] = []
      const work = (item: number) => {
        clock += ms / 3
        done.push(item)
      }
      const later = new Later<number>(work, { monotonic: () => clock })
      for (const one of steps) {
        if (one === 'add') {
          later.add(added)
          added += 1
        } else if (one === 'turn') await nextTurn()
        else {
          later.flush()
          expect(done).toHaveLength(added)
        }
        expect(later.length).toBe(added - done.length)
      }
      while (later.length > 0) await nextTurn()
      expect(done).toEqual(Array.from({ length: added }, (_, item) => item))
    }),
    { numRuns: 50 },
  )
})

/** Each item takes 0.4 ms. */
function scene() {
  const clock = { now: 0 }
  const done: number[] = []
  const work = (item: number) => {
    clock.now += 0.4
    done.push(item)
  }
  return { clock, done, later: new Later<number>(work, { monotonic: () => clock.now }) }
}

test('no more in a turn than a millisecond takes', async () => {
  const { done, later } = scene()
  for (let item = 0; item < 7; item += 1) later.add(item)
  expect(done).toEqual([])
  await nextTurn()
  expect(done).toEqual([0, 1, 2])
  await nextTurn()
  expect(done).toEqual([0, 1, 2, 3, 4, 5])
})

test('one in a turn where others are in a hurry, until the first has waited for a second', async () => {
  const { clock, done, later } = scene()
  for (let item = 0; item < 400; item += 1) later.add(item)
  for (let turn = 0; turn < 240; turn += 1) {
    clock.now += 4
    await nextTurn()
    if (clock.now < 1_000) expect(done).toHaveLength(turn + 1)
  }
  const early = done.length
  clock.now += 4
  await nextTurn()
  expect(done).toHaveLength(early + 3)
})

test('as much of a turn as others take, up to 8 ms, when the first has waited for three seconds', async () => {
  for (const [turnMs, expected] of [
    [1, 3],
    [4, 10],
    [50, 20],
  ] as const) {
    const { clock, done, later } = scene()
    for (let item = 0; item < 30; item += 1) later.add(item)
    clock.now += 2_999
    await nextTurn()
    expect(done).toHaveLength(3)
    clock.now += turnMs
    await nextTurn()
    expect(done).toHaveLength(3 + expected)
  }
})

test('says how many wait, and for how long the first has', async () => {
  const { clock, later } = scene()
  expect(later.oldestWaitMs).toBe(0)
  for (let item = 0; item < 4; item += 1) {
    later.add(item)
    clock.now += 0.25
  }
  expect([later.length, later.oldestWaitMs]).toEqual([4, 1])
  await nextTurn()
  // Three took 1.2 ms, and the fourth came at 0.75 ms.
  expect(later.length).toBe(1)
  expect(later.oldestWaitMs).toBeCloseTo(1.45)
  later.flush()
  expect([later.length, later.oldestWaitMs]).toEqual([0, 0])
})

test('where no more may wait the first is done at once, in order', () => {
  const done: number[] = []
  const later = new Later<number>((item) => void done.push(item), { max: 3 })
  let most = 0
  for (let item = 0; item < 10_000; item += 1) {
    later.add(item)
    most = Math.max(most, later.length)
  }
  expect(most).toBe(3)
  expect(done).toHaveLength(9_997)
  later.flush()
  expect(done).toEqual(Array.from({ length: 10_000 }, (_, item) => item))
})

const ITEM_BYTES = 8_000

test('what is done is forgotten, though there has always been more', () => {
  const later = new Later<readonly number[]>(() => {}, { max: 10 })
  const before = heldMemory()
  // Not buffers: V8 counts those until it has swept them, in a thread of its own.
  for (let item = 0; item < 20_000; item += 1) later.add(Array.from({ length: ITEM_BYTES / 8 }, () => item))
  expect(later.length).toBe(10)
  // A quarter of them all: some megabytes are the test runner's own.
  expect(heldMemory() - before).toBeLessThan((20_000 * ITEM_BYTES) / 4)
})

test('one that is done may add others and have all of them done: each is begun in order and once', async () => {
  const done: number[] = []
  let added = 100
  const later: Later<number> = new Later<number>(
    (item) => {
      done.push(item)
      if (item % 7 === 0 && added < 200) later.add(added++)
      if (item % 11 === 0) later.flush()
    },
    { max: 30 },
  )
  for (let item = 0; item < 100; item += 1) later.add(item)
  while (later.length > 0) await nextTurn()
  expect(done.toSorted((a, b) => a - b)).toEqual(Array.from({ length: added }, (_, item) => item))
  const before = done.filter((item) => item < 100)
  expect(before).toEqual(Array.from({ length: 100 }, (_, item) => item))
})

test('one that throws is told of and keeps no other from its turn', async () => {
  const done: number[] = []
  const told: unknown[] = []
  const work = (item: number) => {
    if (item % 2 === 0) throw new Error(`no ${item}`)
    done.push(item)
  }
  const later = new Later<number>(work, { onError: (error) => void told.push(String(error)) })
  for (let item = 0; item < 4; item += 1) later.add(item)
  while (later.length > 0) await nextTurn()
  for (let item = 4; item < 7; item += 1) later.add(item)
  later.flush()
  expect(done).toEqual([1, 3, 5])
  expect(told).toEqual([0, 2, 4, 6].map((item) => `Error: no ${item}`))
})
