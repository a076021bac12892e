// Issuance records in DynamoDB: one item each, never overwritten, acknowledged by a majority of replicas before the
// answer leaves. They have no expiry: who got what is asked years later. Needs `PutItem` on the table.
import { type AttributeValue, type DynamoDBClient, PutItemCommand } from '@aws-sdk/client-dynamodb'
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

/** A store on a DynamoDB table. A record of the same id is a failure: serial numbers do not repeat by chance. */
export function createDynamoIssuanceStore(options: DynamoIssuanceOptions): IssuanceStore {
  return {
    async put(issuance) {
      await options.client.send(
        new PutItemCommand({
          TableName: options.table,
          Item: toItem(issuance),
          ConditionExpression: 'attribute_not_exists(id)',
        }),
      )
    },
  }
}
