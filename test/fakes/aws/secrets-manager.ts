// Secrets Manager on loopback, in its own protocol (AWS JSON 1.1), for the real SDK client; and, for tests of millions of
// steps, the same store behind the client's `send` without a socket.
import { SecretsManagerClient } from '@aws-sdk/client-secrets-manager'
import { createServer } from 'node:http'
import { type SecretsStore, ServiceError } from './secrets-store.ts'

const ACTIONS: Readonly<Record<string, (store: SecretsStore, input: object) => object>> = {
  GetSecretValue: (store, input) => store.get(input),
  PutSecretValue: (store, input) => store.put(input),
  UpdateSecretVersionStage: (store, input) => store.move(input),
  DescribeSecret: (store) => store.describe(),
}

/** Called before each action; what it throws is the answer. */
export type Interrupt = (action: string, phase: 'before' | 'after') => void

export interface FakeSecretsManager extends AsyncDisposable {
  readonly client: SecretsManagerClient
  readonly endpoint: string
  readonly secrets: Map<string, SecretsStore>
  /** While set, every request is answered with 500. */
  failing: boolean
  /** While set, no request is answered. */
  hanging: boolean
  readonly requests: string[]
}

function act(
  stores: ReadonlyMap<string, SecretsStore>,
  action: string,
  input: { SecretId?: string },
): object {
  const store = stores.get(input.SecretId ?? '')
  const handle = ACTIONS[action]
  if (handle === undefined) throw new ServiceError('UnknownOperationException', action)
  if (store === undefined) throw new ServiceError('ResourceNotFoundException', 'There is no such secret.')
  return handle(store, input)
}

/** The store behind `send`, for a secret of any id. */
export function directClient(store: SecretsStore, interrupt: Interrupt = () => undefined) {
  const send = async (command: {
    readonly input: object
    readonly constructor: { readonly name: string }
  }) => {
    const action = command.constructor.name.replace(/Command$/, '')
    interrupt(action, 'before')
    const handle = ACTIONS[action]
    if (handle === undefined) throw new ServiceError('UnknownOperationException', action)
    const answer = handle(store, command.input)
    interrupt(action, 'after')
    return answer
  }
  return { send } as unknown as Pick<SecretsManagerClient, 'send'>
}

export async function startFakeSecretsManager(): Promise<FakeSecretsManager> {
  const secrets = new Map<string, SecretsStore>()
  const requests: string[] = []
  const fake = { failing: false, hanging: false }
  const server = createServer((request, response) => {
    let text = ''
    request.on('data', (part: Buffer) => {
      text += part.toString()
    })
    request.on('end', () => {
      const action = String(request.headers['x-amz-target']).replace(/^secretsmanager\./, '')
      requests.push(action)
      const reply = (status: number, body: object) => {
        response.writeHead(status, { 'content-type': 'application/x-amz-json-1.1' }).end(JSON.stringify(body))
      }
      if (fake.hanging) return
      if (fake.failing) {
        reply(500, { __type: 'InternalServiceError', Message: 'x' })
        return
      }
      try {
        reply(200, act(secrets, action, JSON.parse(text) as object))
      } catch (error) {
        const { name, message } = error as Error
        reply(400, { __type: name, Message: message })
      }
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const bound = server.address()
  const endpoint = `http://127.0.0.1:${typeof bound === 'object' && bound !== null ? bound.port : 0}`
  const client = new SecretsManagerClient({
    endpoint,
    region: 'eu-west-1',
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
    maxAttempts: 1,
  })
  return Object.assign(fake, {
    client,
    endpoint,
    secrets,
    requests,
    async [Symbol.asyncDispose]() {
      client.destroy()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  })
}
