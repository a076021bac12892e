// The replay store of many instances: one conditional put in DynamoDB, whose answer is the decision. There is no read
// before it, so two parallel requests cannot both find nothing. Needs `PutItem` and `GetItem` on the table.
import { type DynamoDBClient, GetItemCommand, PutItemCommand } from '@aws-sdk/client-dynamodb'
import { isConditionFailure } from '../dynamodb-errors.ts'
import type { PutResult, ReplayEntry, ReplayStore } from './store.ts'

export interface DynamoReplayOptions {
  readonly client: Pick<DynamoDBClient, 'send'>
  /** Name or ARN; its key is the text attribute `id`, its TTL attribute `expiresAt`. */
  readonly table: string
  readonly clock: () => Date
  /** Cryptographically strong bytes. */
  readonly random: (bytes: number) => Uint8Array
}

function keyOf({ id }: Pick<ReplayEntry, 'id'>) {
  return { id: { S: `token#${id}` } }
}

async function peek({ client, table, clock }: DynamoReplayOptions, id: string): Promise<string | null> {
  const { Item: item } = await client.send(
    new GetItemCommand({ TableName: table, Key: keyOf({ id }), ConsistentRead: true }),
  )
  const expiresAt = Number(item?.expiresAt?.N ?? 0)
  return expiresAt > Math.floor(clock().getTime() / 1000) ? (item?.binding?.S ?? null) : null
}

/** What the condition found. */
async function lookUp(options: DynamoReplayOptions, entry: ReplayEntry, attempt: string): Promise<PutResult> {
  const command = new GetItemCommand({
    TableName: options.table,
    Key: keyOf(entry),
    ConsistentRead: true,
  })
  const { Item: item } = await options.client.send(command)
  // The answer to our own put was lost, and the SDK's second try ran into what the first one wrote.
  if (item?.attempt?.S === attempt) return 'stored'
  return item?.binding?.S === entry.binding ? 'same-binding' : 'other-binding'
}

/** A store on a DynamoDB table. */
export function createDynamoReplayStore(options: DynamoReplayOptions): ReplayStore {
  async function put(entry: ReplayEntry): Promise<PutResult> {
    const attempt = Buffer.from(options.random(16)).toString('base64url')
    const command = new PutItemCommand({
      TableName: options.table,
      Item: {
        ...keyOf(entry),
        binding: { S: entry.binding },
        attempt: { S: attempt },
        expiresAt: { N: String(Math.ceil(entry.keepUntil.getTime() / 1000)) },
      },
      // TTL deletes up to days later; what is past its time counts as absent here and now.
      ConditionExpression: 'attribute_not_exists(id) OR expiresAt <= :now',
      ExpressionAttributeValues: { ':now': { N: String(Math.floor(options.clock().getTime() / 1000)) } },
    })
    try {
      await options.client.send(command)
      return 'stored'
    } catch (error) {
      if (!isConditionFailure(error)) throw error
    }
    return lookUp(options, entry, attempt)
  }
  return { put, peek: (id) => peek(options, id) }
}
