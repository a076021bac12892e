// ListTasks and DescribeTasks of the ECS API on loopback, for the real SDK client, as strict as the service: a cluster and
// service that it knows, pages, a hundred tasks at most, and tasks that have gone among the failures.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeTasks.html
import { createServer } from 'node:http'

export interface FakeTask {
  readonly id: string
  readonly desired: 'RUNNING' | 'STOPPED'
  readonly status: string
  /** Null: no network interface yet. */
  readonly address: string | null
}

export interface FakeEcs extends AsyncDisposable {
  readonly endpoint: string
  readonly tasks: FakeTask[]
  /** Names of the actions. */
  readonly requests: string[]
}

const CLUSTER = 'sallyport-prod'
const SERVICE = 'gateway'
const PAGE = 2
const MOST = 100

interface Input {
  readonly cluster?: string
  readonly serviceName?: string
  readonly desiredStatus?: string
  readonly nextToken?: string
  readonly tasks?: readonly string[]
}

class Refusal extends Error {}

export async function startFakeEcs(): Promise<FakeEcs> {
  const tasks: FakeTask[] = []
  const requests: string[] = []
  const arnOf = (id: string) => `arn:aws:ecs:eu-west-1:111122223333:task/${CLUSTER}/${id}`
  const list = ({ serviceName, desiredStatus = 'RUNNING', nextToken }: Input) => {
    if (serviceName !== SERVICE) throw new Refusal('ServiceNotFoundException')
    const arns = tasks.filter(({ desired }) => desired === desiredStatus).map(({ id }) => arnOf(id))
    const from = Number(nextToken ?? 0)
    const more = from + PAGE < arns.length
    return { taskArns: arns.slice(from, from + PAGE), ...(more ? { nextToken: String(from + PAGE) } : {}) }
  }
  const describe = ({ tasks: asked = [] }: Input) => {
    if (asked.length === 0 || asked.length > MOST) throw new Refusal('InvalidParameterException')
    const found = tasks.filter(({ id }) => asked.includes(arnOf(id)))
    return {
      tasks: found.map(({ id, status, desired, address }) => ({
        taskArn: arnOf(id),
        lastStatus: status,
        desiredStatus: desired,
        attachments: [
          { type: 'ServiceConnect', details: [] },
          {
            type: 'ElasticNetworkInterface',
            details: address === null ? [] : [{ name: 'privateIPv4Address', value: address }],
          },
        ],
      })),
      failures: asked
        .filter((arn) => !found.some(({ id }) => arnOf(id) === arn))
        .map((arn) => ({ arn, reason: 'MISSING' })),
    }
  }
  const server = createServer((request, response) => {
    let text = ''
    request.on('data', (chunk: Buffer) => {
      text += chunk.toString()
    })
    request.on('end', () => {
      const action = String(request.headers['x-amz-target']).replace(
        'AmazonEC2ContainerServiceV20141113.',
        '',
      )
      requests.push(action)
      try {
        const input = JSON.parse(text) as Input
        if (input.cluster !== CLUSTER) throw new Refusal('ClusterNotFoundException')
        const answer = action === 'ListTasks' ? list(input) : describe(input)
        response.writeHead(200, { 'content-type': 'application/x-amz-json-1.1' })
        response.end(JSON.stringify(answer))
      } catch (error) {
        const type = error instanceof Refusal ? error.message : 'ServerException'
        response.writeHead(400, { 'content-type': 'application/x-amz-json-1.1' })
        response.end(JSON.stringify({ __type: type, message: String(error) }))
      }
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const bound = server.address()
  return {
    endpoint: `http://127.0.0.1:${typeof bound === 'object' && bound !== null ? bound.port : 0}`,
    tasks,
    requests,
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve))
      server.closeAllConnections()
      await closed
    },
  }
}
