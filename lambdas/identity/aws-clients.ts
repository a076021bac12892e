// The authority's AWS clients: short time-outs, since a request waits for them, and one retry. On a server all that the
// SDK finds counts (environment, files, SSO, container, instance); on Lambda the environment alone, where Lambda puts it.
import { DynamoDBClient } from '@aws-sdk/client-dynamodb'
import { SecretsManagerClient } from '@aws-sdk/client-secrets-manager'
import { AWS_CALLS } from './authority/aws-calls.ts'

/** Milliseconds. A healthy table answers in under ten. */
const DYNAMO_TIMEOUT_MS = 2_000

export interface AwsClientOptions {
  /** Where credentials, region and endpoints are, and nowhere else; null = wherever the SDK looks. */
  readonly environment: NodeJS.ProcessEnv | null
}

/** Lambda renews credentials by new instances, so they are never asked for elsewhere. */
function credentialsOf(env: NodeJS.ProcessEnv) {
  const { AWS_ACCESS_KEY_ID: id = '', AWS_SECRET_ACCESS_KEY: key = '', AWS_SESSION_TOKEN: token = '' } = env
  if (id === '' || key === '') throw new Error('AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set')
  return { accessKeyId: id, secretAccessKey: key, ...(token === '' ? {} : { sessionToken: token }) }
}

/** What else the SDK would look for in files: each setting that is left out costs a look at two of them. */
function settingsOf(env: NodeJS.ProcessEnv, service: 'DYNAMODB' | 'SECRETS_MANAGER') {
  const endpoint = env[`AWS_ENDPOINT_URL_${service}`] ?? env.AWS_ENDPOINT_URL ?? ''
  return {
    credentials: async () => credentialsOf(env),
    region: env.AWS_REGION ?? env.AWS_DEFAULT_REGION ?? '',
    useFipsEndpoint: env.AWS_USE_FIPS_ENDPOINT === 'true',
    useDualstackEndpoint: env.AWS_USE_DUALSTACK_ENDPOINT === 'true',
    ignoreConfiguredEndpointUrls: true,
    ...(endpoint === '' ? {} : { endpoint }),
    retryMode: 'standard',
    authSchemePreference: [],
    userAgentAppId: async () => undefined,
  }
}

function common(requestTimeout: number) {
  return {
    ...AWS_CALLS,
    // The stack of a command is the same each time.
    cacheMiddleware: true,
    requestHandler: { ...AWS_CALLS.requestHandler, requestTimeout },
  }
}

export function createDynamoClient({ environment }: AwsClientOptions): DynamoDBClient {
  const settings =
    environment === null
      ? {}
      : {
          ...settingsOf(environment, 'DYNAMODB'),
          accountIdEndpointMode: 'disabled' as const,
          endpointDiscoveryEnabled: false,
        }
  return new DynamoDBClient({ ...common(DYNAMO_TIMEOUT_MS), ...settings })
}

export function createSecretsClient({ environment }: AwsClientOptions): SecretsManagerClient {
  const settings = environment === null ? {} : settingsOf(environment, 'SECRETS_MANAGER')
  return new SecretsManagerClient({ ...common(AWS_CALLS.requestHandler.requestTimeout), ...settings })
}
