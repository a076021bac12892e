// What one gateway's admin port is asked, page by page.
import { type AdminClient, AdminError, isObject } from './admin-client.ts'

export interface SessionFilters {
  readonly workload?: string | undefined
  readonly network?: string | undefined
  readonly destination?: string | undefined
  readonly listener?: string | undefined
  readonly olderThan?: string | undefined
  readonly minBytes?: string | undefined
}

/** As the gateway shows it. */
export type Shown = Record<string, unknown>

/** All that match. @throws AdminError */
export async function askSessions(client: AdminClient, filters: SessionFilters): Promise<readonly Shown[]> {
  const sessions: Shown[] = []
  for (let after: string | null = ''; after !== null; ) {
    const query = filtersOf(filters)
    query.set('limit', '1000')
    if (after !== '') query.set('after', after)
    const page = await client.ask('GET', `/sessions?${query.toString()}`)
    if (!isObject(page) || !Array.isArray(page['sessions'])) {
      throw new AdminError('the answer is no list of sessions')
    }
    sessions.push(...(page['sessions'] as Shown[]))
    after = typeof page['next'] === 'string' ? page['next'] : null
  }
  return sessions
}

/** How many were closed. @throws AdminError */
export async function askClose(client: AdminClient, path: string): Promise<number> {
  const answer = await client.ask('DELETE', path)
  return isObject(answer) ? Number(answer['closed']) : 0
}

export function filtersOf(options: SessionFilters): URLSearchParams {
  const { workload, network, destination, listener, olderThan, minBytes } = options
  const given = Object.entries({ workload, network, destination, listener, olderThan, minBytes })
  const query = new URLSearchParams()
  for (const [key, value] of given) if (value !== undefined) query.set(key, value)
  return query
}
