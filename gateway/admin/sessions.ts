// The live sessions over HTTP: `GET /sessions` lists them, `DELETE /sessions/{id}` and `DELETE /sessions?…` close them. Who
// may ask is decided before.
import { type Context, Hono } from 'hono'
import type { LiveSession } from '../sessions/live-session.ts'
import type { Living } from '../sessions/living.ts'
import type { SessionRegistry } from '../sessions/registry.ts'
import {
  FILTERS,
  isFiltered,
  matches,
  QueryError,
  readSessionQuery,
  type SessionQuery,
} from './session-query.ts'

export interface SessionsOptions {
  readonly registry: SessionRegistry
  readonly living: Pick<Living, 'end'>
  readonly now: () => Date
}

/** One live session as the API shows it. */
export interface SessionView {
  readonly id: string
  readonly openedAt: string
  readonly ageSeconds: number
  /** Since it last moved a byte. */
  readonly idleSeconds: number
  readonly listener: string
  readonly source: { readonly ip: string; readonly port: number; readonly vpcEndpoint: string | null }
  readonly workload: string | null
  readonly network: string | null
  readonly credential: string
  readonly serialNumber: string | null
  readonly tokenId: string | null
  /** When the SVID that it was opened with expires; null where there is none. */
  readonly expiresAt: string | null
  readonly requested: { readonly host: string; readonly port: number }
  readonly destination: string
  /** Null while the way out is being opened. */
  readonly upstream: object | null
  readonly bytes: { readonly sent: number; readonly received: number }
}

/** `by`: who asks, for the record. */
export function createSessionsApp(options: SessionsOptions, by: (context: Context) => string): Hono {
  const { registry, living, now } = options
  const app = new Hono()
  app.onError((error, context) => {
    if (error instanceof QueryError)
      return context.json({ title: 'Bad Request', status: 400, detail: error.message }, 400)
    throw error
  })
  const query = (context: Context, paged: boolean) =>
    readSessionQuery(new URL(context.req.url).searchParams, paged)
  app.get('/', (context) => {
    const asked = query(context, true)
    const found = find(registry, asked, now()).toSorted((a, b) => (a.id < b.id ? -1 : 1))
    const { after, limit } = asked
    const from = after === null ? found : found.filter(({ id }) => id > after)
    const page = from.slice(0, limit)
    return context.json({
      sessions: page.map((session) => viewOf(session, now())),
      total: found.length,
      next: from.length > limit ? (page.at(-1)?.id ?? null) : null,
    })
  })
  app.delete('/', (context) => {
    const asked = query(context, false)
    if (!isFiltered(asked)) throw new QueryError(`which ones? give at least one of ${FILTERS.join(', ')}`)
    const found = find(registry, asked, now())
    living.end(found, { code: 'session-closed-by-operator', detail: `by ${by(context)}` })
    return context.json({ closed: found.length })
  })
  app.delete('/:id', (context) => {
    // Which of them would count, when they do not agree?
    if (isFiltered(query(context, false))) throw new QueryError('an id and filters: give one of them')
    const session = registry.get(context.req.param('id'))
    if (session === null || session.over)
      return context.json({ title: 'Not Found', status: 404, detail: 'no such live session' }, 404)
    living.end([session], { code: 'session-closed-by-operator', detail: `by ${by(context)}` })
    return context.json({ closed: 1 })
  })
  return app
}

function find(registry: SessionRegistry, query: SessionQuery, now: Date): readonly LiveSession[] {
  const { destination } = query
  const among = destination === null ? registry.all() : registry.by('destination', destination)
  return [...among].filter((session) => !session.over && matches(session, query, now))
}

function viewOf({ id, openedAt, lastActivityAt, grounds, bytes }: LiveSession, now: Date): SessionView {
  const { identity, listener, source, requested, destination, upstream } = grounds
  const { principal, credential, serialNumber, tokenId, expiresAt } = identity
  const seconds = (ms: number) => Math.max(0, Math.round(ms / 100) / 10)
  return {
    id,
    openedAt: openedAt.toISOString(),
    ageSeconds: seconds(now.getTime() - openedAt.getTime()),
    idleSeconds: seconds(performance.now() - lastActivityAt),
    listener,
    source,
    workload: principal.kind === 'workload' ? principal.id.uri : null,
    network: principal.kind === 'network' ? principal.name : null,
    credential,
    serialNumber: serialNumber === '' ? null : serialNumber,
    tokenId,
    expiresAt: expiresAt?.toISOString() ?? null,
    requested,
    destination: destination.name,
    upstream: upstream === null ? null : { ...upstream.facts },
    bytes: { sent: bytes.sent, received: bytes.received },
  }
}
