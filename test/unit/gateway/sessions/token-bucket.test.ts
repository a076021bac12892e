import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { Flow } from '../../../../gateway/sessions/flow.ts'
import { ByteBucket } from '../../../../gateway/sessions/token-bucket.ts'

const KIB = 1024
const RATE = 256 * KIB

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const bucket = (perSecond = RATE) => new ByteBucket({ perSecond, now: () => Date.now() })

/** Moves chunks as fast as it may. */
function greedy(buckets: readonly ByteBucket[], chunk = 16 * KIB) {
  const flow = new Flow(() => buckets)
  const moved = { bytes: 0, over: false }
  const go = () => {
    while (!moved.over) {
      moved.bytes += chunk
      if (flow.spend(chunk)) continue
      flow.wait(go)
      return
    }
  }
  go()
  return { moved, flow }
}

test('a greedy session gets the rate, and a quarter of a second of it to begin with', async () => {
  const { moved } = greedy([bucket()])
  await vi.advanceTimersByTimeAsync(10_000)
  expect(moved.bytes).toBeGreaterThan(9.5 * RATE)
  expect(moved.bytes).toBeLessThan(10.5 * RATE)
})

test('chunks larger than a turn are paid for with time', async () => {
  const { moved } = greedy([bucket()], 64 * KIB)
  await vi.advanceTimersByTimeAsync(10_000)
  expect(moved.bytes).toBeGreaterThan(9.5 * RATE)
  expect(moved.bytes).toBeLessThan(10.6 * RATE)
})

test('several share it evenly', async () => {
  const shared = bucket()
  const all = [greedy([shared]), greedy([shared]), greedy([shared]), greedy([shared])]
  await vi.advanceTimersByTimeAsync(20_000)
  const total = all.reduce((sum, { moved }) => sum + moved.bytes, 0)
  expect(total).toBeLessThan(20.6 * RATE)
  for (const { moved } of all) expect(moved.bytes).toBeGreaterThan(4.3 * RATE)
})

test('with two limits the narrower one counts, and the wider is shared by others', async () => {
  const wide = bucket(4 * RATE)
  const narrow = bucket(RATE)
  const held = greedy([wide, narrow])
  const free = greedy([wide])
  await vi.advanceTimersByTimeAsync(10_000)
  expect(held.moved.bytes).toBeLessThan(10.6 * RATE)
  expect(held.moved.bytes).toBeGreaterThan(8 * RATE)
  expect(free.moved.bytes).toBeGreaterThan(25 * RATE)
})

test('who ends leaves the line and gives back what he has not used', async () => {
  const shared = bucket()
  const gone = greedy([shared])
  const stays = greedy([shared])
  gone.moved.over = true
  gone.flow.end()
  await vi.advanceTimersByTimeAsync(10_000)
  expect(stays.moved.bytes).toBeGreaterThan(9.3 * RATE)
  stays.moved.over = true
  stays.flow.end()
  expect(shared.waiting).toBe(0)
  expect(vi.getTimerCount()).toBe(0)
})

test('a rate that is raised counts for who waits already', async () => {
  const slow = bucket(KIB)
  const { moved } = greedy([slow], 64 * KIB)
  const before = moved.bytes
  await vi.advanceTimersByTimeAsync(1_000)
  expect(moved.bytes).toBe(before)
  slow.configure(RATE)
  await vi.advanceTimersByTimeAsync(1_000)
  expect(moved.bytes).toBeGreaterThan(before + 0.5 * RATE)
})
