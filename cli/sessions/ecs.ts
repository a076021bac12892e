// The tasks of an ECS service and their addresses, by the ECS API: the balancer would ask one of them, and not say which.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ListTasks.html
import type { ECSClient, Task } from '@aws-sdk/client-ecs'
import { AdminError, UsageError } from './admin-client.ts'

export type EcsClient = Pick<ECSClient, 'send'>

export interface EcsService {
  readonly cluster: string
  readonly service: string
}

export interface EcsTask {
  /** The last part of its ARN, as the console shows it. */
  readonly id: string
  /** Private, of its own network interface; null while it has none. */
  readonly address: string | null
}

/** What DescribeTasks takes at most. */
const BATCH = 100
const MAX_TASKS = 10_000
const CONNECTION_TIMEOUT_MS = 2_000
const REQUEST_TIMEOUT_MS = 10_000
const ATTEMPTS = 3

/** `cluster/service`, each a name. @throws UsageError */
export function parseEcsService(text: string): EcsService {
  // Names of ECS have letters, digits, hyphens and underscores, up to 255.
  const [, cluster, service] = /^([\w-]{1,255})\/([\w-]{1,255})$/.exec(text) ?? []
  if (cluster !== undefined && service !== undefined) return { cluster, service }
  throw new UsageError(`--ecs: expected <cluster>/<service>, found ${text}`)
}

/** By the SDK's default credentials, region and endpoint (`AWS_ENDPOINT_URL_ECS`); loaded when it is first asked. */
export async function createEcsClient(): Promise<EcsClient> {
  const { ECSClient } = await import('@aws-sdk/client-ecs')
  return new ECSClient({
    maxAttempts: ATTEMPTS,
    requestHandler: {
      connectionTimeout: CONNECTION_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      throwOnRequestTimeout: true,
    },
  })
}

/**
 * All tasks that have not stopped. Those that are being drained too: sessions live in them for minutes, and ECS counts
 * them as running until they are told to end, and lists them as stopped from then on.
 * @throws AdminError where the API refuses, or knows no such service
 */
export async function findTasks(client: EcsClient, service: EcsService): Promise<readonly EcsTask[]> {
  try {
    const arns = [
      ...(await listTasks(client, service, 'RUNNING')),
      ...(await listTasks(client, service, 'STOPPED')),
    ]
    const tasks = await describeTasks(client, service, arns)
    return tasks
      .filter(({ lastStatus }) => lastStatus !== 'STOPPED' && lastStatus !== 'DEPROVISIONING')
      .map(toTask)
      .toSorted((a, b) => a.id.localeCompare(b.id))
  } catch (error) {
    if (error instanceof AdminError) throw error
    const { name, message } = error instanceof Error ? error : new Error(String(error))
    throw new AdminError(`ECS, ${service.cluster}/${service.service}: ${`${name}: ${message}`.slice(0, 500)}`)
  }
}

async function listTasks(
  client: EcsClient,
  { cluster, service }: EcsService,
  desiredStatus: 'RUNNING' | 'STOPPED',
): Promise<readonly string[]> {
  const { ListTasksCommand } = await import('@aws-sdk/client-ecs')
  const arns: string[] = []
  let nextToken: string | undefined
  do {
    const page = await client.send(
      new ListTasksCommand({ cluster, serviceName: service, desiredStatus, nextToken }),
    )
    arns.push(...(page.taskArns ?? []))
    nextToken = page.nextToken
    if (arns.length > MAX_TASKS) throw new AdminError('ECS gives a list without end')
  } while (nextToken !== undefined && nextToken !== '')
  return arns
}

async function describeTasks(
  client: EcsClient,
  { cluster }: EcsService,
  arns: readonly string[],
): Promise<readonly Task[]> {
  const { DescribeTasksCommand } = await import('@aws-sdk/client-ecs')
  const found: Task[] = []
  for (let from = 0; from < arns.length; from += BATCH) {
    const { tasks = [] } = await client.send(
      new DescribeTasksCommand({ cluster, tasks: arns.slice(from, from + BATCH) }),
    )
    // One that has gone since is among the failures, and has no sessions.
    found.push(...tasks)
  }
  return found
}

function toTask({ taskArn = '', attachments = [] }: Task): EcsTask {
  const details = attachments.find(({ type }) => type === 'ElasticNetworkInterface')?.details ?? []
  const address = details.find(({ name }) => name === 'privateIPv4Address')?.value ?? null
  return { id: taskArn.slice(taskArn.lastIndexOf('/') + 1), address }
}
