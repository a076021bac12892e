// How many SVIDs a registration gave in the minute at hand. The count and the limit are judged in one step, so that no
// number of parallel requests gets past it. The minute is the clock's: at its turn up to twice the limit may pass.
import { type DynamoDBClient, UpdateItemCommand } from '@aws-sdk/client-dynamodb'
import { isConditionFailure } from '../dynamodb-errors.ts'

const MINUTE_MS = 60_000
/** How long an item of a past minute stays for TTL to find. */
const KEEP_SECONDS = 300

export interface RateCounter {
  /** Counts one; false where the limit of this minute is reached. @throws where it cannot be counted */
  take(name: string, perMinute: number): Promise<boolean>
}

/** A counter of one process. */
export function createMemoryRateCounter(options: { readonly clock: () => Date }): RateCounter {
  let minute = 0
  const counts = new Map<string, number>()
  function take(name: string, perMinute: number): boolean {
    const now = Math.floor(options.clock().getTime() / MINUTE_MS)
    // Names are those of registrations, so there are never more than the configuration has.
    // A clock that was set back stays in the minute that it had reached.
    if (now > minute) {
      counts.clear()
      minute = now
    }
    const count = counts.get(name) ?? 0
    if (count >= perMinute) return false
    counts.set(name, count + 1)
    return true
  }
  return { take: async (name, perMinute) => take(name, perMinute) }
}

export interface DynamoRateOptions {
  readonly client: Pick<DynamoDBClient, 'send'>
  /** That of the replay store. */
  readonly table: string
  readonly clock: () => Date
}

/** A counter of all instances. Needs `UpdateItem` on the table. */
export function createDynamoRateCounter(options: DynamoRateOptions): RateCounter {
  return {
    async take(name, perMinute) {
      const now = options.clock().getTime()
      const minute = Math.floor(now / MINUTE_MS)
      const command = new UpdateItemCommand({
        TableName: options.table,
        Key: { id: { S: `rate#${name}#${minute}` } },
        UpdateExpression: 'SET expiresAt = :end ADD issued :one',
        ConditionExpression: 'attribute_not_exists(issued) OR issued < :limit',
        ExpressionAttributeValues: {
          ':one': { N: '1' },
          ':limit': { N: String(perMinute) },
          ':end': { N: String(Math.ceil(now / 1000) + KEEP_SECONDS) },
        },
      })
      try {
        await options.client.send(command)
        return true
      } catch (error) {
        if (isConditionFailure(error)) return false
        throw error
      }
    },
  }
}
