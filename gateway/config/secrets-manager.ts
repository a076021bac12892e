// Secrets from AWS Secrets Manager. The SDK is loaded when the first secret is read, since most gateways have none. The
// stage is always named: without one, an answer may be that of any version in the middle of a rotation.
import type { GetSecretValueCommandOutput, SecretsManagerClient } from '@aws-sdk/client-secrets-manager'
import { Secret } from '../../common/secret.ts'
import { MAX_SECRET_BYTES, type ReadSecret, SecretError, type SecretErrorCode } from './secrets.ts'

type Client = Pick<SecretsManagerClient, 'send'>

export interface SecretsManagerOptions {
  /** Default: the SDK's own client with its default credentials and endpoint (`AWS_ENDPOINT_URL_SECRETS_MANAGER`). */
  readonly clientFor?: (region: string) => Client
}

/** The SDK itself would wait without end for a connection that nobody answers. Milliseconds. */
const CONNECTION_TIMEOUT_MS = 2_000
const REQUEST_TIMEOUT_MS = 5_000
const ATTEMPTS = 3

/** A client for each region, made when it is first needed and kept. */
export function createReadSecret({ clientFor }: SecretsManagerOptions = {}): ReadSecret {
  const clients = new Map<string, Client>()
  return async ({ arn, region }, abortSignal) => {
    const { GetSecretValueCommand, SecretsManagerClient } = await import('@aws-sdk/client-secrets-manager')
    const make = clientFor ?? ((of: string) => new SecretsManagerClient(clientOptions(of)))
    const client = clients.get(region) ?? make(region)
    clients.set(region, client)
    try {
      const command = new GetSecretValueCommand({ SecretId: arn, VersionStage: 'AWSCURRENT' })
      return textOf(await client.send(command, abortSignal === undefined ? {} : { abortSignal }))
    } catch (error) {
      throw error instanceof SecretError ? error : secretError(error, region)
    }
  }
}

function clientOptions(region: string) {
  return {
    region,
    maxAttempts: ATTEMPTS,
    requestHandler: {
      connectionTimeout: CONNECTION_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      // Without it the SDK writes a warning and goes on waiting.
      throwOnRequestTimeout: true,
    },
  }
}

function textOf({ SecretString }: Pick<GetSecretValueCommandOutput, 'SecretString'>): Secret {
  if (SecretString === undefined) {
    throw new SecretError('unusable', 'the secret holds binary data', { hint: 'store PEM text, or JSON' })
  }
  if (Buffer.byteLength(SecretString) > MAX_SECRET_BYTES) {
    throw new SecretError('unusable', `the secret is larger than ${MAX_SECRET_BYTES} bytes`, {
      hint: 'no secret of Secrets Manager is: look at the endpoint',
    })
  }
  return new Secret(SecretString)
}

const PERMIT =
  'the role of this process needs secretsmanager:GetSecretValue on this ARN, and kms:Decrypt where a key of its own encrypts it'

const CODES: Readonly<Record<string, readonly [SecretErrorCode, string]>> = {
  ResourceNotFoundException: [
    'missing',
    'look at the ARN; the secret must have a version that is AWSCURRENT',
  ],
  AccessDeniedException: ['not-permitted', PERMIT],
  DecryptionFailure: ['not-decrypted', PERMIT],
  CredentialsProviderError: ['no-credentials', 'give this process a role, or AWS credentials'],
  UnrecognizedClientException: ['no-credentials', 'the AWS credentials of this process are not valid'],
  ExpiredTokenException: ['no-credentials', 'the AWS credentials of this process have expired'],
}

function secretError(error: unknown, region: string): SecretError {
  const { name, message } = error instanceof Error ? error : new Error(String(error))
  const [code, hint] = CODES[name] ?? [
    'unreachable',
    `look at the way from here to Secrets Manager in ${region}, such as its VPC endpoint`,
  ]
  return new SecretError(code, `${name}: ${message}`.replaceAll(/[^\x20-\x7e]/g, '?').slice(0, 500), {
    cause: error,
    hint,
  })
}
