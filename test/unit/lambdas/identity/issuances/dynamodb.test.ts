// Issuance records in DynamoDB, by dynalite (attack 52).
import { ScanCommand } from '@aws-sdk/client-dynamodb'
import { expect, test } from 'vitest'
import { createDynamoIssuanceStore } from '../../../../../lambdas/identity/issuances/dynamodb.ts'
import type { Issuance } from '../../../../../lambdas/identity/issuances/store.ts'
import { startDynamoDb } from '../../../../fakes/dynamodb.ts'

const facts = {
  spiffeId: 'spiffe://example.org/a',
  registration: 'a',
  proof: { issuer: 'https://issuer.example', subject: 's', tokenId: 't' },
  issuedAt: '2026-11-24T12:00:00.000Z',
  expiresAt: '2026-11-24T13:00:00.000Z',
  requestId: 'r',
}
const x509: Issuance = { kind: 'x509', serialNumber: '5f', certificateSha256: 'ab', ...facts }
const jwt: Issuance = {
  kind: 'jwt',
  tokenId: '5f',
  audience: 'https://partner.example',
  keyId: 'k',
  ...facts,
}

test('each record is one item with all its fields, and is never overwritten', async () => {
  await using dynamo = await startDynamoDb()
  await dynamo.createTable('issuances')
  const store = createDynamoIssuanceStore({ client: dynamo.client, table: 'issuances' })
  await store.put(x509)
  await store.put(jwt)
  // The SDK's second try after a lost answer.
  await store.put(x509)
  await expect(store.put({ ...x509, spiffeId: 'spiffe://example.org/evil' })).rejects.toThrow()
  const { Items: items = [] } = await dynamo.client.send(new ScanCommand({ TableName: 'issuances' }))
  expect(items.map(({ id }) => id?.S ?? '').toSorted()).toEqual(['jwt#5f', 'x509#5f'])
  const found = items.find(({ kind }) => kind?.S === 'x509')
  expect(found).toMatchObject({
    spiffeId: { S: 'spiffe://example.org/a' },
    certificateSha256: { S: 'ab' },
    proof: { M: { issuer: { S: 'https://issuer.example' }, tokenId: { S: 't' } } },
  })
})

test('attack 52: a table that does not answer is a failure', async () => {
  const dynamo = await startDynamoDb()
  const store = createDynamoIssuanceStore({ client: dynamo.client, table: 'issuances' })
  await expect(store.put(x509)).rejects.toThrow()
  await dynamo[Symbol.asyncDispose]()
  await expect(store.put(x509)).rejects.toThrow()
})
