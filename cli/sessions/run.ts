// `sallyport sessions list` and `close`: what the admin port of one gateway says and does, page by page.
import { AdminError, type AdminAddress, createAdminClient, isObject, UsageError } from './admin-client.ts'

export interface SessionFilters {
  readonly workload?: string | undefined
  readonly network?: string | undefined
  readonly destination?: string | undefined
  readonly listener?: string | undefined
  readonly olderThan?: string | undefined
  readonly minBytes?: string | undefined
}

export type SessionsOptions = AdminAddress & SessionFilters & { readonly json?: true | undefined }

type Shown = Record<string, unknown>

/** The exit code: 0, 1 where the gateway says no or nothing, 2 for wrong use. */
export async function listSessions(options: SessionsOptions): Promise<number> {
  return guarded(async () => {
    const client = await createAdminClient(options)
    const sessions: Shown[] = []
    for (let after: string | null = ''; after !== null; ) {
      const query = filtersOf(options)
      query.set('limit', '1000')
      if (after !== '') query.set('after', after)
      const page = await client.ask('GET', `/sessions?${query.toString()}`)
      if (!isObject(page) || !Array.isArray(page['sessions']))
        throw new AdminError('the answer is no list of sessions')
      sessions.push(...(page['sessions'] as Shown[]))
      after = typeof page['next'] === 'string' ? page['next'] : null
    }
    process.stdout.write(options.json === true ? `${JSON.stringify({ sessions })}\n` : table(sessions))
    return 0
  })
}

export async function closeSessions(ids: readonly string[], options: SessionsOptions): Promise<number> {
  return guarded(async () => {
    const query = filtersOf(options)
    if (ids.length > 0 === query.size > 0) throw new UsageError('name sessions by their ids, or give filters')
    const client = await createAdminClient(options)
    let closed = 0
    const paths =
      ids.length > 0
        ? ids.map((id) => `/sessions/${encodeURIComponent(id)}`)
        : [`/sessions?${query.toString()}`]
    for (const path of paths) {
      const answer = await client.ask('DELETE', path)
      closed += isObject(answer) ? Number(answer['closed']) : 0
    }
    process.stdout.write(options.json === true ? `${JSON.stringify({ closed })}\n` : `${closed} closed\n`)
    return 0
  })
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

function filtersOf(options: SessionFilters): URLSearchParams {
  const { workload, network, destination, listener, olderThan, minBytes } = options
  const given = Object.entries({ workload, network, destination, listener, olderThan, minBytes })
  const query = new URLSearchParams()
  for (const [key, value] of given) if (value !== undefined) query.set(key, value)
  return query
}

const COLUMNS = ['ID', 'AGE', 'IDLE', 'SENT', 'RECEIVED', 'WHO', 'DESTINATION', 'UPSTREAM'] as const

function table(sessions: readonly Shown[]): string {
  const rows = [COLUMNS, ...sessions.map(rowOf)]
  const widths = COLUMNS.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  const lines = rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  )
  return `${lines.join('\n')}\n`
}

function rowOf(session: Shown): readonly string[] {
  const { id, ageSeconds, idleSeconds, bytes, workload, network, destination, upstream } = session
  const { sent, received } = isObject(bytes) ? bytes : { sent: '', received: '' }
  const address = isObject(upstream) ? upstream['address'] : 'opening'
  const who = workload ?? `network ${String(network)}`
  const cells = [
    id,
    `${String(ageSeconds)}s`,
    `${String(idleSeconds)}s`,
    sent,
    received,
    who,
    destination,
    address,
  ]
  return cells.map(toCell)
}

/** From another process: whatever it says, it moves no cursor. */
function toCell(value: unknown): string {
  if (typeof value === 'number') return String(value)
  return typeof value === 'string' ? value.replaceAll(/[^\x20-\x7e]/g, '?') : ''
}
