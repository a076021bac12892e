// Who a CancelRequest without TLS comes from. `PQcancel` of libpq, and so Ctrl-C in psql, sends it in plaintext on a
// connection of its own even where the session has TLS. All it shows is the process id and secret of a session, so it is
// taken for that session's own workload where one that lives came by this listener and from this very address, and for
// nobody otherwise. What it can do is what PostgreSQL itself lets it do: end that session's query.
import { createHash } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type { SourceFacts } from '../audit/events.ts'
import { Allowance } from './allowance.ts'
import { sourceKey } from './arrival/admission.ts'
import type { Identity } from './identify.ts'

/** Sessions of one listener that can be cancelled so; past it the oldest cannot. */
const MAX_SESSIONS = 20_000
/**
 * Of one source: a secret has 32 bits, and one that is tried a second is found in a lifetime, not in a session. As many at
 * once as people press Ctrl-C who share an address, and whose sessions are over or at another task.
 */
const GUESSES = { burst: 20, perSecond: 1 }
const MAX_SOURCES = 10_000

/** A live session, as its cancel needs it. */
export interface Cancellable {
  readonly requested: { readonly host: string; readonly port: number }
  readonly serverName: string | null
  /** As it was proven when the session came in; policy is asked anew. */
  readonly identity: Identity
}

export type Found = Cancellable | 'unknown' | 'too-many'

export interface PlainCancels {
  /** `key`: process id and secret. Call what it returns when the session is over. */
  remember(source: SourceFacts, key: Buffer, session: Cancellable): () => void
  /** `too-many` where this source has asked for so many unknown ones that it is not even looked up. */
  find(source: SourceFacts, key: Buffer): Found
}

/** `now` in milliseconds, on a clock that never goes back. */
export function createPlainCancels(now: () => number, maxSessions = MAX_SESSIONS): PlainCancels {
  const sessions = new Map<string, Cancellable>()
  const guesses = new LRUCache<string, Allowance>({ max: MAX_SOURCES })
  return {
    remember(source, key, session) {
      const id = digest(source, key)
      sessions.delete(id)
      sessions.set(id, session)
      const [oldest] = sessions.keys()
      if (sessions.size > maxSessions && oldest !== undefined) sessions.delete(oldest)
      return () => {
        if (sessions.get(id) === session) sessions.delete(id)
      }
    },
    find(source, key) {
      const from = sourceKey(source.ip)
      const allowance = guesses.get(from)
      if (allowance?.used() === true) return 'too-many'
      const found = sessions.get(digest(source, key))
      if (found !== undefined) return found
      const counted = allowance ?? new Allowance(GUESSES, now)
      guesses.set(from, counted)
      counted.take()
      return 'unknown'
    },
  }
}

/** Addresses behind a VPC endpoint are of somebody else's choice, so that two of them may have the same. */
function digest({ ip, vpcEndpoint }: SourceFacts, key: Buffer): string {
  return createHash('sha256')
    .update(`${ip} ${vpcEndpoint ?? ''}\0`)
    .update(key)
    .digest('base64')
}
