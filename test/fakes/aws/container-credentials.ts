// What the ECS agent answers a task that asks for the credentials of its role (AWS docs: "Task IAM role"): the JSON of the
// container credential provider, to whoever shows the token of the task and nobody else.
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface TaskCredentials {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken: string
}

export interface FakeContainerCredentials extends AsyncDisposable {
  /** For the environment of the task. No other source of credentials is left in it. */
  readonly environment: Readonly<Record<string, string>>
  readonly requests: () => number
}

const TOKEN = 'token-of-the-task'
const HOUR = 3_600_000

export async function startFakeContainerCredentials(
  credentials: TaskCredentials,
): Promise<FakeContainerCredentials> {
  let requests = 0
  const server = createServer((request, response) => {
    if (request.url !== '/v2/credentials/role' || request.headers.authorization !== TOKEN) {
      response.writeHead(403).end()
      return
    }
    requests += 1
    response.writeHead(200, { 'content-type': 'application/json' }).end(
      JSON.stringify({
        RoleArn: 'arn:aws:iam::111122223333:role/sallyport-gateway',
        AccessKeyId: credentials.accessKeyId,
        SecretAccessKey: credentials.secretAccessKey,
        Token: credentials.sessionToken,
        Expiration: new Date(Date.now() + 6 * HOUR).toISOString(),
      }),
    )
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    environment: {
      AWS_CONTAINER_CREDENTIALS_FULL_URI: `http://127.0.0.1:${port}/v2/credentials/role`,
      AWS_CONTAINER_AUTHORIZATION_TOKEN: TOKEN,
      AWS_ACCESS_KEY_ID: '',
      AWS_SECRET_ACCESS_KEY: '',
      AWS_SESSION_TOKEN: '',
      AWS_PROFILE: '',
      AWS_EC2_METADATA_DISABLED: 'true',
      AWS_CONFIG_FILE: '/nonexistent',
      AWS_SHARED_CREDENTIALS_FILE: '/nonexistent',
    },
    requests: () => requests,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
