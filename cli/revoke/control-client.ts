// The control API of AWS AppConfig, by the SDK's default credentials, region and endpoint (`AWS_ENDPOINT_URL_APPCONFIG`).
// Loaded when it is first asked: most revocations on a developer's machine are of a file.
import type { AppConfigClient } from '@aws-sdk/client-appconfig'

const CONNECTION_TIMEOUT_MS = 2_000
const REQUEST_TIMEOUT_MS = 10_000
const ATTEMPTS = 3

export async function createControlClient(): Promise<AppConfigClient> {
  const { AppConfigClient } = await import('@aws-sdk/client-appconfig')
  return new AppConfigClient({
    maxAttempts: ATTEMPTS,
    requestHandler: {
      connectionTimeout: CONNECTION_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      // Without it the SDK writes a warning and goes on waiting.
      throwOnRequestTimeout: true,
    },
  })
}
