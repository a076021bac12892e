// `sallyport sessions list` and `close`: what the admin port of one gateway says and does, or of every task of a service.
import { type AdminAddress, AdminError, createAdminClient, UsageError } from './admin-client.ts'
import { askClose, askSessions, filtersOf, type SessionFilters, type Shown } from './ask.ts'
import { createEcsClient, type EcsClient, parseEcsService } from './ecs.ts'
import { table } from './table.ts'
import { askTasks, type TaskAnswer } from './tasks.ts'

export type SessionsOptions = Omit<AdminAddress, 'admin'> &
  SessionFilters & {
    readonly admin?: string | undefined
    /** `cluster/service`; every task of it is asked. */
    readonly ecs?: string | undefined
    readonly adminPort?: string | undefined
    readonly json?: true | undefined
  }

const LOCAL = 'http://127.0.0.1:9901'
const ADMIN_PORT = '9901'

/** The exit code: 0, 1 where a gateway says no or nothing, 2 for wrong use. */
export async function listSessions(
  options: SessionsOptions,
  connect: () => Promise<EcsClient> = createEcsClient,
): Promise<number> {
  return guarded(async () => {
    const service = ecsOf(options)
    if (service === null) {
      const sessions = await askSessions(await createAdminClient(addressOf(options)), options)
      print(options, { sessions }, table(sessions))
      return 0
    }
    const ask = askTasks({ ...service, connect, options })
    const answers = await ask((client) => askSessions(client, options))
    const sessions = answers.flatMap(({ id, value }) =>
      (value ?? []).map((one): Shown => ({ task: id, ...one })),
    )
    print(options, { sessions, tasks: answers.map(summary) }, table(sessions, true))
    return complainOf(answers)
  })
}

export async function closeSessions(
  ids: readonly string[],
  options: SessionsOptions,
  connect: () => Promise<EcsClient> = createEcsClient,
): Promise<number> {
  return guarded(async () => {
    const query = filtersOf(options)
    if (ids.length > 0 === query.size > 0) throw new UsageError('name sessions by their ids, or give filters')
    const service = ecsOf(options)
    if (service === null) return closeAtOne(ids, options)
    const ask = askTasks({ ...service, connect, options })
    const found = new Set<string>()
    const answers = await ask(async (client) => {
      if (ids.length === 0) return askClose(client, `/sessions?${query.toString()}`)
      let closed = 0
      for (const id of ids) {
        const count = await closeWhereThere(() => askClose(client, pathOf(id)))
        if (count > 0) found.add(id)
        closed += count
      }
      return closed
    })
    const closed = answers.reduce((sum, { value }) => sum + (value ?? 0), 0)
    const notFound = ids.filter((id) => !found.has(id))
    print(options, { closed, notFound, tasks: answers.map(summary) }, `${closed} closed\n`)
    for (const id of notFound) process.stderr.write(`${id}: no task that answered has it\n`)
    return Math.max(complainOf(answers), notFound.length > 0 ? 1 : 0)
  })
}

async function closeAtOne(ids: readonly string[], options: SessionsOptions): Promise<number> {
  const client = await createAdminClient(addressOf(options))
  const paths = ids.length > 0 ? ids.map(pathOf) : [`/sessions?${filtersOf(options).toString()}`]
  let closed = 0
  for (const path of paths) closed += await askClose(client, path)
  print(options, { closed }, `${closed} closed\n`)
  return 0
}

/** A session lives in one task; the others do not know it. */
async function closeWhereThere(close: () => Promise<number>): Promise<number> {
  try {
    return await close()
  } catch (error) {
    if (error instanceof AdminError && error.status === 404) return 0
    throw error
  }
}

function pathOf(id: string): string {
  return `/sessions/${encodeURIComponent(id)}`
}

function addressOf(options: SessionsOptions): AdminAddress {
  return { ...options, admin: options.admin ?? LOCAL }
}

function ecsOf({ ecs, admin, adminPort, cert, key, ca }: SessionsOptions) {
  if (ecs === undefined) {
    if (adminPort !== undefined)
      throw new UsageError('--admin-port is of --ecs; --admin has the port in its URL')
    return null
  }
  if (admin !== undefined) throw new UsageError('--admin and --ecs: one of them')
  if (cert === undefined || key === undefined || ca === undefined) {
    throw new UsageError('--ecs wants --cert, --key and --ca: tasks are asked over mTLS')
  }
  const port = Number(adminPort ?? ADMIN_PORT)
  if (!Number.isInteger(port) || port < 1 || port > 65_535) {
    throw new UsageError(`--admin-port: expected a port, found ${adminPort}`)
  }
  return { service: parseEcsService(ecs), port }
}

function summary({ id, address, error }: TaskAnswer<unknown>) {
  return { id, address, answered: error === null, error }
}

/** 1 where a task did not answer, since it may have the very sessions that were meant. */
function complainOf(answers: readonly TaskAnswer<unknown>[]): 0 | 1 {
  const silent = answers.filter(({ error }) => error !== null)
  for (const { id, address, error } of silent) {
    process.stderr.write(`task ${id} (${address ?? 'no address'}) did not answer: ${error}\n`)
  }
  return silent.length > 0 ? 1 : 0
}

function print({ json }: SessionsOptions, value: object, text: string): void {
  process.stdout.write(json === true ? `${JSON.stringify(value)}\n` : text)
}

async function guarded(work: () => Promise<number>): Promise<number> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof Error)) throw error
    process.stderr.write(`${error.message}\n`)
    return error instanceof UsageError ? 2 : 1
  }
}
