// Limits: exact by registration and minute, approximate by source.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  createDynamoRateCounter,
  createMemoryRateCounter,
} from '../../../../../lambdas/identity/limits/counter.ts'
import { createSourceLimiter } from '../../../../../lambdas/identity/limits/source-bucket.ts'
import { type RunningDynamoDb, startDynamoDb } from '../../../../fakes/dynamodb.ts'
import { createClock } from '../support.ts'

let dynamo: RunningDynamoDb
beforeAll(async () => {
  dynamo = await startDynamoDb()
  await dynamo.createTable('replay')
})
afterAll(() => dynamo[Symbol.asyncDispose]())

const counters = {
  memory: (clock: () => Date) => createMemoryRateCounter({ clock }),
  DynamoDB: (clock: () => Date) => createDynamoRateCounter({ client: dynamo.client, table: 'replay', clock }),
}

describe.each(Object.entries(counters))('the counter in %s', (_name, create) => {
  test('lets exactly the limit through, however many come at once', async () => {
    const counter = create(createClock().now)
    const name = crypto.randomUUID()
    const all = await Promise.all(Array.from({ length: 50 }, () => counter.take(name, 7)))
    expect(all.filter((minute) => minute !== null)).toHaveLength(7)
  })

  test('begins anew with the minute, and for each registration', async () => {
    const clock = createClock()
    const counter = create(clock.now)
    const name = crypto.randomUUID()
    const minute = Math.floor(clock.now().getTime() / 60_000)
    expect([await counter.take(name, 1), await counter.take(name, 1)]).toEqual([minute, null])
    expect(await counter.take(`${name}-other`, 1)).toBe(minute)
    clock.advance(60_000)
    expect(await counter.take(name, 1)).toBe(minute + 1)
  })

  test('gives back what came to nothing, to its own minute and never below none', async () => {
    const clock = createClock()
    const counter = create(clock.now)
    const name = crypto.randomUUID()
    const minute = (await counter.take(name, 1)) ?? 0
    await counter.giveBack(name, minute)
    await counter.giveBack(name, minute)
    expect([await counter.take(name, 1), await counter.take(name, 1)]).toEqual([minute, null])
    clock.advance(60_000)
    expect(await counter.take(name, 1)).toBe(minute + 1)
    await counter.giveBack(name, minute)
    expect(await counter.take(name, 1)).toBeNull()
    await counter.giveBack(`${name}-unknown`, minute)
    expect(await counter.take(`${name}-unknown`, 1)).toBe(minute + 1)
  })
})

test('a counter that cannot count is a failure, not a yes', async () => {
  const counter = createDynamoRateCounter({ client: dynamo.client, table: 'none', clock: () => new Date() })
  await expect(counter.take('a', 1)).rejects.toThrow()
  await expect(counter.giveBack('a', 1)).rejects.toThrow()
})

describe('the bucket of a source', () => {
  test('holds a minute of requests and fills again', () => {
    const clock = createClock()
    const { take } = createSourceLimiter({ perMinute: 60, clock: clock.now })
    const taken = Array.from({ length: 61 }, () => take('192.0.2.1'))
    expect(taken.filter(Boolean)).toHaveLength(60)
    expect(take('192.0.2.2')).toBe(true)
    clock.advance(2_000)
    expect([take('192.0.2.1'), take('192.0.2.1'), take('192.0.2.1')]).toEqual([true, true, false])
    clock.advance(-10_000)
    expect(take('192.0.2.1')).toBe(false)
    clock.advance(10_000)
    expect(take('192.0.2.1')).toBe(false)
  })

  test.each<[string, string, boolean]>([
    ['2001:db8::1', '2001:db8:0:0:ffff::2', true],
    ['2001:db8:0:1::1', '2001:db8:0:2::1', false],
    ['2001:0db8::1', '2001:db8::2', true],
    ['::1', '::2', true],
    ['::ffff:192.0.2.1', '192.0.2.1', true],
    ['::ffff:c000:201', '192.0.2.1', true],
    ['fe80::1%eth0', 'fe80::2', true],
    ['192.0.2.1', '192.0.2.2', false],
  ])('%s and %s: one bucket %s', (one, other, same) => {
    const { take } = createSourceLimiter({ perMinute: 1, clock: createClock().now })
    expect(take(one)).toBe(true)
    expect(take(other)).toBe(!same)
  })
})
