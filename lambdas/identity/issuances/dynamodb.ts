// Issuance records in DynamoDB: one item each, never overwritten, acknowledged by a majority of replicas before the
// answer leaves. They have no expiry: who got what is asked years later. Needs `PutItem` and `GetItem` on the table.
import { isDeepStrictEqual } from 'node:util'
import {
  type AttributeValue,
  type DynamoDBClient,
  GetItemCommand,
  PutItemCommand,
} from '@aws-sdk/client-dynamodb'
import { isConditionFailure } from '../dynamodb-errors.ts'
import type { Issuance, IssuanceStore } from './store.ts'

export interface DynamoIssuanceOptions {
  readonly client: Pick<DynamoDBClient, 'send'>
  /** Name or ARN; its key is the text attribute `id`. */
  readonly table: string
}

function toItem(issuance: Issuance): Record<string, AttributeValue> {
  const { proof, ...fields } = issuance
  const texts = Object.entries(fields).map(([name, value]): [string, AttributeValue] => [name, { S: value }])
  const { issuer, subject, tokenId } = proof
  const of = issuance.kind === 'x509' ? issuance.serialNumber : issuance.tokenId
  return {
    ...Object.fromEntries(texts),
    id: { S: `${issuance.kind}#${of}` },
    proof: { M: { issuer: { S: issuer }, subject: { S: subject }, tokenId: { S: tokenId } } },
  }
}

/** Whether this very record is there. */
async function stands(
  options: DynamoIssuanceOptions,
  item: Record<string, AttributeValue>,
): Promise<boolean> {
  const Key = { id: item.id ?? { S: '' } }
  const found = await options.client.send(
    new GetItemCommand({ TableName: options.table, Key, ConsistentRead: true }),
  )
  return isDeepStrictEqual({ ...found.Item }, item)
}

/** A store on a DynamoDB table. Another record of the same id is a failure: serial numbers do not repeat by chance. */
export function createDynamoIssuanceStore(options: DynamoIssuanceOptions): IssuanceStore {
  return {
    async put(issuance) {
      const Item = toItem(issuance)
      const ConditionExpression = 'attribute_not_exists(id)'
      try {
        await options.client.send(new PutItemCommand({ TableName: options.table, Item, ConditionExpression }))
      } catch (error) {
        // Where the answer was lost, the client's own second try finds what the first one wrote.
        if (!isConditionFailure(error) || !(await stands(options, Item))) throw error
      }
    },
  }
}
