// Asks each task of a service over mTLS, some at a time; one that does not answer keeps nothing from the others.
import { type AdminAddress, type AdminClient, AdminError, createAdminClient } from './admin-client.ts'
import { type EcsClient, type EcsService, findTasks } from './ecs.ts'

export interface TaskAnswer<T> {
  readonly id: string
  readonly address: string | null
  /** Null where it did not answer. */
  readonly value: T | null
  readonly error: string | null
}

export interface TasksOptions {
  readonly service: EcsService
  readonly port: number
  readonly connect: () => Promise<EcsClient>
  readonly options: Omit<AdminAddress, 'admin'>
}

const AT_ONCE = 8

/** Rejects with an AdminError where nobody can say which tasks there are, or there is none. */
export function askTasks({ service, port, connect, options }: TasksOptions) {
  return async <T>(ask: (client: AdminClient) => Promise<T>): Promise<readonly TaskAnswer<T>[]> => {
    const tasks = await findTasks(await connect(), service)
    if (tasks.length === 0) throw new AdminError(`${service.cluster}/${service.service} has no task`)
    const answers: TaskAnswer<T>[] = []
    const queue = tasks.entries()
    const work = async () => {
      for (const [index, { id, address }] of queue) {
        answers[index] = { id, address, ...(await answerOf(address, port, options, ask)) }
      }
    }
    await Promise.all(Array.from({ length: AT_ONCE }, work))
    return answers
  }
}

async function answerOf<T>(
  address: string | null,
  port: number,
  options: Omit<AdminAddress, 'admin'>,
  ask: (client: AdminClient) => Promise<T>,
): Promise<{ readonly value: T | null; readonly error: string | null }> {
  if (address === null) return { value: null, error: 'it has no network interface yet' }
  // A certificate that cannot be read is a fault of the command, and not the task's.
  const client = await createAdminClient({ ...options, admin: `https://${address}:${port}` })
  try {
    return { value: await ask(client), error: null }
  } catch (error) {
    if (!(error instanceof AdminError)) throw error
    return { value: null, error: error.message }
  }
}
