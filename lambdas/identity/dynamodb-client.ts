// The DynamoDB client of the authority: short time-outs, since a request waits for it, and one retry.
import { DynamoDBClient } from '@aws-sdk/client-dynamodb'

/** Milliseconds; a healthy table answers in under ten. */
const CONNECTION_TIMEOUT_MS = 1_000
const REQUEST_TIMEOUT_MS = 2_000

/** Region, credentials and (in tests, by AWS_ENDPOINT_URL_DYNAMODB) endpoint as the SDK finds them. */
export function createDynamoClient(): DynamoDBClient {
  return new DynamoDBClient({
    maxAttempts: 2,
    requestHandler: {
      connectionTimeout: CONNECTION_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      // Without it the SDK writes a warning and goes on waiting.
      throwOnRequestTimeout: true,
    },
  })
}
