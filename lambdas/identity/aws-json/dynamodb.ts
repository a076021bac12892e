// In the Lambda bundle in place of @aws-sdk/client-dynamodb: what of it the authority's stores import.
import { AwsJsonClient, type AwsJsonCommand, type AwsJsonConfig } from './client.ts'

export class DynamoDBClient extends AwsJsonClient {
  constructor(config: AwsJsonConfig) {
    super(config, { name: 'dynamodb', target: 'DynamoDB_20120810', version: '1.0' })
  }
}

class Command implements AwsJsonCommand {
  readonly operation: string
  readonly input: object

  constructor(operation: string, input: object) {
    this.operation = operation
    this.input = input
  }
}

export class GetItemCommand extends Command {
  constructor(input: object) {
    super('GetItem', input)
  }
}

export class PutItemCommand extends Command {
  constructor(input: object) {
    super('PutItem', input)
  }
}

export class UpdateItemCommand extends Command {
  constructor(input: object) {
    super('UpdateItem', input)
  }
}
