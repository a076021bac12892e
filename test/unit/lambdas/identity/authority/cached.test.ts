// The document between requests: how often it is read, and what is given where it cannot be.
import { expect, test } from 'vitest'
import { DocumentCache } from '../../../../../lambdas/identity/authority/cached.ts'
import type { LogRecord } from '../../../../../lambdas/identity/log.ts'
import { createClock } from '../support.ts'

function setUp() {
  const clock = createClock()
  const log: LogRecord[] = []
  const source = { sequence: 1, failing: false, calls: 0 }
  const cache = new DocumentCache({
    read: async () => {
      source.calls += 1
      if (source.failing) throw new Error('no answer')
      return { sequence: source.sequence }
    },
    sequenceOf: ({ sequence }) => sequence,
    clock: clock.now,
    log: (record) => log.push(record),
  })
  return { clock, log, source, cache, sequence: async () => (await cache.current()).sequence }
}

test('it is read once a minute, and not before', async () => {
  const { clock, source, sequence } = setUp()
  expect(await sequence()).toBe(1)
  source.sequence = 2
  clock.advance(59_999)
  expect(await sequence()).toBe(1)
  clock.advance(1)
  expect(await sequence()).toBe(2)
  expect(source.calls).toBe(2)
})

test('while the first reading fails, a hundred requests cause one in five seconds', async () => {
  const { clock, source, cache, sequence } = setUp()
  source.failing = true
  for (let request = 0; request < 50; request++) await expect(cache.current()).rejects.toThrow('no answer')
  const together = await Promise.allSettled(Array.from({ length: 50 }, () => cache.current()))
  expect(together.every(({ status }) => status === 'rejected')).toBe(true)
  expect(source.calls).toBe(1)
  clock.advance(4_999)
  await expect(cache.current()).rejects.toThrow('no answer')
  source.failing = false
  await expect(cache.current()).rejects.toThrow('no answer')
  expect(source.calls).toBe(1)
  clock.advance(1)
  expect(await sequence()).toBe(1)
})

test('after a failure the last good one goes on, and is tried again after five seconds', async () => {
  const { clock, source, cache, log, sequence } = setUp()
  await sequence()
  source.failing = true
  clock.advance(60_000)
  for (let request = 0; request < 100; request++) expect(await sequence()).toBe(1)
  expect(source.calls).toBe(2)
  expect(log).toHaveLength(1)
  Object.assign(source, { failing: false, sequence: 2 })
  clock.advance(4_999)
  expect(await sequence()).toBe(1)
  expect(clock.now().getTime() - cache.readAt().getTime()).toBe(64_999)
  clock.advance(1)
  expect(await sequence()).toBe(2)
  expect(cache.readAt()).toEqual(clock.now())
})

test('a clock that is set back by a day does not keep the document for a day', async () => {
  const { clock, source, sequence } = setUp()
  await sequence()
  source.sequence = 2
  clock.advance(-86_400_000)
  expect(await sequence()).toBe(2)
})
