// Which live sessions an operator means: the query of /sessions, read once into a value. Everything that is not understood
// is an error, since a filter that is read over would close what nobody meant.
import { parseDuration } from '../../common/duration.ts'
import { parseSize } from '../../common/size.ts'
import { parseSpiffeIdPattern, type SpiffeIdPattern } from '../../spiffe/pattern.ts'
import type { LiveSession } from '../sessions/live-session.ts'

export interface SessionQuery {
  readonly workload: SpiffeIdPattern | null
  readonly network: string | null
  readonly destination: string | null
  readonly listener: string | null
  readonly olderThanMs: number | null
  /** Of both directions together. */
  readonly minBytes: number | null
  readonly limit: number
  /** The id of the last session of the page before. */
  readonly after: string | null
}

export const FILTERS = ['workload', 'network', 'destination', 'listener', 'olderThan', 'minBytes'] as const
const DEFAULT_LIMIT = 100
const MAX_LIMIT = 1_000

/** What is wrong with a query, for whoever asked. */
export class QueryError extends Error {}

/** @throws QueryError */
export function readSessionQuery(parameters: URLSearchParams, paged: boolean): SessionQuery {
  const known: readonly string[] = paged ? [...FILTERS, 'limit', 'after'] : FILTERS
  for (const key of parameters.keys()) {
    if (!known.includes(key)) throw new QueryError(`${key}: expected one of ${known.join(', ')}`)
    if (parameters.getAll(key).length > 1) throw new QueryError(`${key}: given more than once`)
  }
  const read = <T>(key: string, parse: (text: string) => T | null, expected: string): T | null => {
    const text = parameters.get(key)
    if (text === null) return null
    const value = text === '' ? null : parse(text)
    if (value === null)
      throw new QueryError(`${key}: expected ${expected}, found ${JSON.stringify(text.slice(0, 100))}`)
    return value
  }
  const asText = (text: string) => text
  return {
    workload: read('workload', readPattern, 'a SPIFFE ID, or one that ends in /* or /**'),
    network: read('network', asText, 'the name of a network'),
    destination: read('destination', asText, 'the name of a destination'),
    listener: read('listener', asText, 'the name of a listener'),
    olderThanMs: read('olderThan', parseDuration, 'a duration such as 5s, 10m or 1h'),
    minBytes: read('minBytes', readBytes, 'a number of bytes, or a size such as 512KiB'),
    limit: read('limit', readLimit, `a number from 1 to ${MAX_LIMIT}`) ?? DEFAULT_LIMIT,
    after: read('after', asText, 'the id of a session'),
  }
}

export function isFiltered(query: SessionQuery): boolean {
  const { workload, network, destination, listener, olderThanMs, minBytes } = query
  return [workload, network, destination, listener, olderThanMs, minBytes].some((value) => value !== null)
}

export function matches(session: LiveSession, query: SessionQuery, now: Date): boolean {
  const { grounds, bytes, openedAt } = session
  const { principal } = grounds.identity
  const { workload, network, destination, listener, olderThanMs, minBytes } = query
  return (
    (workload === null || (principal.kind === 'workload' && workload.matches(principal.id))) &&
    (network === null || (principal.kind === 'network' && principal.name === network)) &&
    (destination === null || grounds.destination.name === destination) &&
    (listener === null || grounds.listener === listener) &&
    (olderThanMs === null || now.getTime() - openedAt.getTime() > olderThanMs) &&
    (minBytes === null || bytes.sent + bytes.received >= minBytes)
  )
}

function readPattern(text: string): SpiffeIdPattern | null {
  try {
    return parseSpiffeIdPattern(text)
  } catch {
    return null
  }
}

function readBytes(text: string): number | null {
  return /^\d{1,15}$/.test(text) ? Number(text) : parseSize(text)
}

function readLimit(text: string): number | null {
  const value = /^\d{1,6}$/.test(text) ? Number(text) : 0
  return value >= 1 && value <= MAX_LIMIT ? value : null
}
