// How many SVIDs a registration gave in the minute at hand. The count and the limit are judged in one step, so that no
// number of parallel requests gets past it. The minute is the clock's: at its turn up to twice the limit may pass.
import { type DynamoDBClient, UpdateItemCommand } from '@aws-sdk/client-dynamodb'
import { isConditionFailure } from '../dynamodb-errors.ts'

const MINUTE_MS = 60_000
/** How long an item of a past minute stays for TTL to find. */
const KEEP_SECONDS = 300

/** The minute in which something was counted, so that it is given back to that one and no later one. */
export type CountedMinute = number

export interface RateCounter {
  /** Counts one; null where the limit of this minute is reached. @throws where it cannot be counted */
  take(name: string, perMinute: number): Promise<CountedMinute | null>
  /** Counts one less, where what was counted came to nothing. @throws where it cannot */
  giveBack(name: string, minute: CountedMinute): Promise<void>
}

/** A counter of one process. */
export function createMemoryRateCounter(options: { readonly clock: () => Date }): RateCounter {
  let minute = 0
  const counts = new Map<string, number>()
  function take(name: string, perMinute: number): CountedMinute | null {
    const now = Math.floor(options.clock().getTime() / MINUTE_MS)
    // Names are those of registrations, so there are never more than the configuration has.
    // A clock that was set back stays in the minute that it had reached.
    if (now > minute) {
      counts.clear()
      minute = now
    }
    const count = counts.get(name) ?? 0
    if (count >= perMinute) return null
    counts.set(name, count + 1)
    return minute
  }
  function giveBack(name: string, of: CountedMinute): void {
    const count = counts.get(name) ?? 0
    if (of === minute && count > 0) counts.set(name, count - 1)
  }
  return {
    take: async (name, perMinute) => take(name, perMinute),
    giveBack: async (name, of) => giveBack(name, of),
  }
}

export interface DynamoRateOptions {
  readonly client: Pick<DynamoDBClient, 'send'>
  /** That of the replay store. */
  readonly table: string
  readonly clock: () => Date
}

function itemOf(options: DynamoRateOptions, name: string, minute: CountedMinute) {
  return { TableName: options.table, Key: { id: { S: `rate#${name}#${minute}` } } }
}

async function takeItem(
  options: DynamoRateOptions,
  name: string,
  perMinute: number,
): Promise<CountedMinute | null> {
  const now = options.clock().getTime()
  const minute = Math.floor(now / MINUTE_MS)
  const command = new UpdateItemCommand({
    ...itemOf(options, name, minute),
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
    return minute
  } catch (error) {
    if (isConditionFailure(error)) return null
    throw error
  }
}

async function giveItemBack(options: DynamoRateOptions, name: string, minute: CountedMinute): Promise<void> {
  const command = new UpdateItemCommand({
    ...itemOf(options, name, minute),
    UpdateExpression: 'ADD issued :less',
    // Never below nothing, and no item where TTL took it: either would be a limit that is too high.
    ConditionExpression: 'issued > :none',
    ExpressionAttributeValues: { ':less': { N: '-1' }, ':none': { N: '0' } },
  })
  try {
    await options.client.send(command)
  } catch (error) {
    if (!isConditionFailure(error)) throw error
  }
}

/** A counter of all instances. Needs `UpdateItem` on the table. */
export function createDynamoRateCounter(options: DynamoRateOptions): RateCounter {
  return {
    take: (name, perMinute) => takeItem(options, name, perMinute),
    giveBack: (name, minute) => giveItemBack(options, name, minute),
  }
}
