// The one error of DynamoDB that is an answer and no failure.

/** By name, as AWS's documentation advises: with two copies of the SDK in one bundle `instanceof` would be false. */
export function isConditionFailure(error: unknown): boolean {
  return error instanceof Error && error.name === 'ConditionalCheckFailedException'
}
