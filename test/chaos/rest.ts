// What must hold when nobody is there any more, after each round: no open gauge, counters that say what the records say, no
// connection left at either end, and no more memory than after the warm-up. Each check gives what is wrong, one line each.
import type { SessionEvent, SessionOpenedEvent } from '../../gateway/audit/events.ts'
import { pair, tell } from './checks.ts'
import { type Samples, sum } from './gateway-process.ts'
import type { Ledger } from './ledger.ts'
import type { Held } from './probe.ts'

/** Of live objects and buffers, which is where bounded caches end. */
const MAX_GROWTH_BYTES = 6 * 1024 * 1024

/** Gauges that stand at nothing when nobody is there. */
export const GAUGES = [
  'sallyport_connections_open',
  'sallyport_sessions_open',
  'sallyport_handshakes_working',
  'sallyport_handshakes_waiting',
  'sallyport_sources',
  'sallyport_h2_buffered_bytes',
  'sallyport_sessions_throttled',
  'sallyport_sessions_waiting_judgement',
  'sallyport_audit_backlog_bytes',
  'sallyport_audit_records_waiting',
  'sallyport_audit_failing',
  'sallyport_audit_dropped_total',
  'sallyport_configuration_rejected',
] as const

export interface AtRest {
  readonly samples: Samples
  /** Of sessions alone, in their order. */
  readonly events: readonly (SessionEvent | SessionOpenedEvent)[]
  readonly ledger: Ledger
  /** Connections that servers still have. */
  readonly liveServers: number
}

export function checkRest({ samples, events, ledger, liveServers }: AtRest): readonly string[] {
  const open = ledger.sessions.filter(({ endedAt }) => endedAt === null)
  return [
    ...checkGauges(samples),
    ...checkCounters(samples, events),
    ...checkProbes(samples, events, ledger),
    ...open.map((session) => `is open: ${tell(session)}`),
    ...(liveServers > 0 ? [`${liveServers} connections to servers are open`] : []),
  ]
}

/** What lives after the last round is no more than what lived after the warm-up, caches apart. */
export function checkMemory(held: readonly Held[]): readonly string[] {
  const live = held.map(({ heap, external }) => heap + external)
  const grown = (live.at(-1) ?? 0) - (live[0] ?? 0)
  if (grown <= MAX_GROWTH_BYTES) return []
  return [`the gateway holds ${grown} bytes more than after the warm-up: ${live.join(', ')}`]
}

/** One that is not there is no zero. */
function checkGauges(samples: Samples): readonly string[] {
  return GAUGES.flatMap((name) => {
    const value = sum(samples, name)
    return value === 0 ? [] : [`${name} is ${value} when nobody is there`]
  })
}

function checkCounters(samples: Samples, events: AtRest['events']): readonly string[] {
  const records = events.filter((event) => event.event === 'session')
  const wrong: string[] = []
  const counted = sum(samples, 'sallyport_sessions_total') ?? 0
  const closed = new Set(records.map(({ id }) => id)).size
  if (counted !== closed) wrong.push(`sallyport_sessions_total is ${counted}, closing records are ${closed}`)
  for (const direction of ['sent', 'received'] as const) {
    const bytes = sum(samples, 'sallyport_bytes_total', `direction="${direction}"`) ?? 0
    const recorded = records.reduce((total, record) => total + record.bytes[direction], 0)
    if (bytes !== recorded)
      wrong.push(`sallyport_bytes_total of ${direction} is ${bytes}, records have ${recorded}`)
  }
  return wrong
}

/** Who sent nothing is counted and not recorded, and nobody else. */
function checkProbes(samples: Samples, events: AtRest['events'], ledger: Ledger): readonly string[] {
  const { unrecorded } = pair(ledger, events)
  const probes = sum(samples, 'sallyport_probes_total') ?? 0
  if (unrecorded.length === probes) return []
  const shown = unrecorded.map(
    ({ listener, port, junk, sessions }) => `${listener}:${port} ${junk ?? ''} ${sessions.length}`,
  )
  return [
    `${unrecorded.length} connections have no record (${shown.join(', ')}), sallyport_probes_total is ${probes}`,
  ]
}
