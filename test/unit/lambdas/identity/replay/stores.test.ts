// Both replay stores against one table of behaviours, DynamoDB's by dynalite (attacks 29, 30 and 47).
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createDynamoReplayStore } from '../../../../../lambdas/identity/replay/dynamodb.ts'
import { createMemoryReplayStore } from '../../../../../lambdas/identity/replay/memory.ts'
import { type RunningDynamoDb, startDynamoDb } from '../../../../fakes/dynamodb.ts'
import { createClock, random } from '../support.ts'

let dynamo: RunningDynamoDb
beforeAll(async () => {
  dynamo = await startDynamoDb()
  await dynamo.createTable('replay')
})
afterAll(() => dynamo[Symbol.asyncDispose]())

const kinds = {
  memory: (clock: () => Date) => createMemoryReplayStore({ clock }),
  DynamoDB: (clock: () => Date) =>
    createDynamoReplayStore({ client: dynamo.client, table: 'replay', clock, random }),
}

describe.each(Object.entries(kinds))('%s', (_name, create) => {
  function setUp() {
    const clock = createClock()
    const store = create(clock.now)
    const id = crypto.randomUUID()
    const put = (binding: string, seconds = 60, name = id) =>
      store.put({ id: name, binding, keepUntil: new Date(clock.now().getTime() + seconds * 1000) })
    return { clock, put, id, peek: (name: string = id) => store.peek(name) }
  }

  test('the first is stored, the second is told what it found', async () => {
    const { put } = setUp()
    expect(await put('x509:a')).toBe('stored')
    expect(await put('x509:a')).toBe('same-binding')
    expect(await put('x509:b')).toBe('other-binding')
  })

  test('attack 47: of 50 at once with 50 keys, one wins', async () => {
    const { put } = setUp()
    const all = await Promise.all(Array.from({ length: 50 }, (_, index) => put(`x509:${index}`)))
    expect(all.filter((result) => result === 'stored')).toHaveLength(1)
    expect(all.filter((result) => result === 'other-binding')).toHaveLength(49)
  })

  test('attack 30: it is remembered to the last second, and no longer', async () => {
    const { clock, put } = setUp()
    await put('x509:a', 60.5)
    clock.advance(60_000)
    expect(await put('x509:b')).toBe('other-binding')
    clock.advance(1_000)
    expect(await put('x509:b')).toBe('stored')
    expect(await put('x509:a')).toBe('other-binding')
  })

  test('a look tells what a put would find, and changes nothing', async () => {
    const { clock, put, peek } = setUp()
    expect(await peek()).toBeNull()
    await put('x509:a', 60.5)
    for (let round = 0; round < 2; round++) expect(await peek()).toBe('x509:a')
    expect(await peek('another id')).toBeNull()
    clock.advance(60_000)
    expect(await peek()).toBe('x509:a')
    clock.advance(1_000)
    expect(await peek()).toBeNull()
    expect(await put('x509:b')).toBe('stored')
  })

  test('attack 29: ids that share all but their end are two', async () => {
    const { put, id } = setUp()
    expect(await put('x509:a', 60, `${id}${'x'.repeat(500)}1`)).toBe('stored')
    expect(await put('x509:a', 60, `${id}${'x'.repeat(500)}2`)).toBe('stored')
  })

  test('any text is an id and a binding', async () => {
    const { put, id } = setUp()
    await fc.assert(
      fc.asyncProperty(fc.string({ minLength: 1 }), fc.string({ minLength: 1 }), async (name, binding) => {
        const first = await put(binding, 60, `${id}${name}`)
        expect(['stored', 'same-binding', 'other-binding']).toContain(first)
        if (first === 'stored') expect(await put(binding, 60, `${id}${name}`)).toBe('same-binding')
      }),
      { numRuns: 30 },
    )
  })
})

test('a table that is not there is a failure, not an answer', async () => {
  const store = createDynamoReplayStore({
    client: dynamo.client,
    table: 'other',
    clock: () => new Date(),
    random,
  })
  await expect(store.put({ id: 'a', binding: 'b', keepUntil: new Date() })).rejects.toThrow()
  await expect(store.peek('a')).rejects.toThrow()
})
