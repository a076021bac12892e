// An answer of DynamoDB that is lost on its way: the SDK asks again by itself and finds what its own first try wrote. That
// is no replay, also where a proof is used once (attacks 30, 47).
import { DynamoDBClient } from '@aws-sdk/client-dynamodb'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createDynamoReplayStore } from '../../../../../lambdas/identity/replay/dynamodb.ts'
import { type RunningDynamoDb, startDynamoDb } from '../../../../fakes/dynamodb.ts'
import { startLosingProxy } from '../../../../fakes/losing-proxy.ts'
import { createClock, createCsr, createTestAuthority, provider, random } from '../support.ts'

let dynamo: RunningDynamoDb
beforeAll(async () => {
  dynamo = await startDynamoDb()
  await dynamo.createTable('replay')
})
afterAll(() => dynamo[Symbol.asyncDispose]())

function storeAt(endpoint: string, clock = createClock().now) {
  const client = new DynamoDBClient({
    ...{ endpoint, region: 'eu-west-1', maxAttempts: 2 },
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
  })
  const store = createDynamoReplayStore({ client, table: 'replay', clock, random })
  return { store, [Symbol.dispose]: () => client.destroy() }
}

const entry = (id: string, binding = 'x509:a') => ({
  ...{ id, binding },
  keepUntil: new Date(createClock().now().getTime() + 60_000),
})

test('the connection dies after the first put: it is stored, and a second put is told so', async () => {
  await using proxy = await startLosingProxy(dynamo.endpoint, (count) => count === 1)
  using at = storeAt(proxy.endpoint)
  expect(await at.store.put(entry('lost'))).toBe('stored')
  // Two puts, and the look-up that tells whose item it is.
  expect(proxy.forwarded).toBe(3)
  expect(await at.store.put(entry('lost'))).toBe('same-binding')
  expect(await at.store.put(entry('lost', 'x509:b'))).toBe('other-binding')
})

test('attack 47: what somebody else stored meanwhile stays theirs', async () => {
  using direct = storeAt(dynamo.endpoint)
  expect(await direct.store.put(entry('theirs'))).toBe('stored')
  await using proxy = await startLosingProxy(dynamo.endpoint, (count) => count === 1)
  using at = storeAt(proxy.endpoint)
  expect(await at.store.put(entry('theirs'))).toBe('same-binding')
})

test('attack 30: a token for one use gets its SVID all the same, and no second one', async () => {
  await using proxy = await startLosingProxy(dynamo.endpoint, (count) => count === 1)
  using at = storeAt(proxy.endpoint)
  const authority = await createTestAuthority({
    providers: [provider({ reuse: 'once' })],
    app: { replay: at.store },
  })
  const token = await authority.token()
  expect((await authority.post({ csr: await createCsr() }, token)).status).toBe(201)
  expect((await authority.post({ csr: await createCsr() }, token)).status).toBe(401)
})
