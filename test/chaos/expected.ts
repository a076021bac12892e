// How a session may end, by what its two ends did and by what was changed under it. Everything else is a fault: above all, that
// what no change names was touched.
import type { SessionEvent } from '../../gateway/audit/events.ts'
import type { Window } from './changes.ts'
import type { Session } from './ledger.ts'

/** After the last look at a window: a session that was closed by it has its record a moment later. */
const SLACK_MS = 1_000

export interface Times {
  /** When SIGTERM was sent. */
  readonly drainedAt: number
}

/** Why the record's outcome cannot be; null where it is explained. */
export function unexplained(
  session: Session,
  record: SessionEvent,
  windows: readonly Window[],
  { drainedAt }: Times,
): string | null {
  const { code } = record.outcome
  const opened = Date.parse(record.openedAt)
  const closed = Date.parse(record.closedAt)
  if (byItself(session, code)) return null
  if (closed >= drainedAt && (code === 'session-drained' || code === 'session-draining')) return null
  const hit = windows.some(
    (window) =>
      names(window, session) &&
      window.codes.includes(code) &&
      closed >= window.from &&
      opened <= (window.until ?? Number.POSITIVE_INFINITY) + SLACK_MS,
  )
  return hit ? null : `ended with ${code}, which nothing explains`
}

/** Whether the change can have hit it. */
export function names({ workload, place }: Window, session: Session): boolean {
  // Whoever speaks TLS to the service itself is no workload to the gateway, but a network.
  if (workload !== null) return session.workload === workload && session.protocol !== 'passthrough'
  return session.place === place
}

/** By what its ends did, and where it went. */
function byItself(session: Session, code: string): boolean {
  const { place, plan, protocol, client, server, cut } = session
  if (client.aborted || cut || plan.abandonMs !== null) {
    if (GONE.has(code)) return true
    if ((protocol === 'inner' || protocol === 'passthrough') && /^name-(?:client-closed|not-tls)$/.test(code))
      return true
  }
  if (code === 'closed' && mayLoseReset(session)) return true
  // Node ends TLS inside of TLS by destroying what is around it: what is still unread there makes the kernel reset it.
  if (protocol === 'inner' && client.ended && client.saw === 'end' && code === 'relay-client-reset')
    return true
  if (server?.aborted === true && (code === 'relay-upstream-reset' || code === 'relay-upstream-failed'))
    return true
  if (PLACES[place]?.test(code) === true) return true
  return code === 'closed' && client.ended && server?.ended === true
}

/** The two time-outs where Node loses a reset in the midst of a handshake. */
const GONE: ReadonlySet<string> = new Set([
  'relay-client-reset',
  'relay-client-failed',
  'request-abandoned',
  'client-closed',
  'client-handshake-failed',
  'client-handshake-timeout',
  'request-timeout',
])

/**
 * Node (24.21) takes a reset for an end where it meets the close_notify that is being written to the same peer: the write has
 * the error, nobody hears of it, and the next read says EOF (docs/limits.md).
 */
export function mayLoseReset({ client, server, cut }: Session): boolean {
  if (server === null) return false
  return ((client.aborted || cut) && server.ended) || (server.aborted && client.ended)
}

const PLACES: Readonly<Record<string, RegExp>> = {
  refuse: /^connect-(?:refused|timeout|breaker-open)$/,
  rude: /^(?:connect-(?:reset|timeout|breaker-open)|upstream-tls-(?:closed|timeout|handshake-failed))$/,
  mute: /^(?:connect-timeout|upstream-tls-timeout|connect-breaker-open)$/,
  unknown: /^destination-unknown$/,
  tight: /^limit-sessions$/,
}
