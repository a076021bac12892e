// In the Lambda bundle in place of @aws-sdk/client-secrets-manager: what of it the authority imports, which reads alone.
import { AwsJsonClient, type AwsJsonCommand, type AwsJsonConfig } from './client.ts'

export class SecretsManagerClient extends AwsJsonClient {
  constructor(config: AwsJsonConfig) {
    super(config, { name: 'secretsmanager', target: 'secretsmanager', version: '1.1' })
  }
}

export class GetSecretValueCommand implements AwsJsonCommand {
  readonly operation = 'GetSecretValue'
  readonly input: object

  constructor(input: object) {
    this.input = input
  }
}
