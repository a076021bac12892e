// A small chaos run that went well, made up without a gateway: what clients and servers know, the records, the metrics, the
// memory. Tests break one thing in it.
import { closedEvent, type Link, openedEvent } from '../../../gateway/audit/record.ts'
import type { SessionEvent, SessionOpenedEvent } from '../../../gateway/audit/events.ts'
import type { Window } from '../../chaos/changes.ts'
import { checkOutcome, checkRecords, checkSession, pair } from '../../chaos/checks.ts'
import { newReport, type Report } from '../../chaos/endpoint.ts'
import { Ledger, type Session } from '../../chaos/ledger.ts'
import type { Script } from '../../chaos/plan.ts'
import { checkMemory, checkRest, GAUGES } from '../../chaos/rest.ts'
import { attempt } from '../../fixtures/audit-facts.ts'

type Writable<T> = { -readonly [Key in keyof T]: T[Key] }
export type Record = Writable<SessionEvent>

export interface MadeUpRun {
  readonly ledger: Ledger
  /** Opened and closed, of each session in its order. */
  events: (Record | SessionOpenedEvent)[]
  readonly samples: Map<string, number>
  liveServers: number
  readonly held: { heap: number; external: number; resident: number }[]
  readonly windows: Window[]
}

const SCRIPT: Script = { bytes: 100, chunk: 100, pauseMs: 0, read: 'fast', finish: 'end' }
const LINK: Link = { chain: 'c', sequence: 1, previous: null }
const REVISION = { config: 'sha256:1', policy: 'sha256:2' }
const PRESENTED = 'bb'.repeat(32)
export const MIB = 1024 * 1024

/** Two sessions over connections of their own, each ended in good order by both sides. */
export function madeUpRun(): MadeUpRun {
  const ledger = new Ledger()
  const events = [0, 1].flatMap((index) => {
    const session = served(ledger, 50_000 + index, `host-${index}.test`)
    return recordsOf(session, `01K0000000000000000000000${index}`)
  })
  const samples = new Map<string, number>(GAUGES.map((name) => [name, 0]))
  samples.set('sallyport_sessions_total{listener="proxy",code="closed",stage="closed"}', 2)
  samples.set('sallyport_bytes_total{direction="sent"}', 200)
  samples.set('sallyport_bytes_total{direction="received"}', 100)
  samples.set('sallyport_probes_total{listener="proxy"}', 0)
  const held = [30 * MIB, 32 * MIB].map((heap) => ({ heap, external: MIB, resident: 90 * MIB }))
  return { ledger, events, samples, liveServers: 0, held, windows: [] }
}

function served(ledger: Ledger, port: number, host: string): Session {
  const connection = ledger.connection('proxy')
  Object.assign(connection, { port, accepted: true, connected: true })
  const plan = {
    ...({ workload: 'steady', place: 'tls', client: SCRIPT, server: SCRIPT } as const),
    ...{ lifeMs: 1_000, abandonMs: null },
  }
  const session = ledger.session(connection, 'h1', plan, host)
  const both = { saw: 'end', ended: true } as const
  Object.assign(session.client, { ...both, sent: 100, received: 50 } satisfies Partial<Report>)
  const server: Report = { ...newReport(), ...both, sent: 50, received: 100 }
  return Object.assign(session, { server, status: 200, endedAt: Date.now(), presented: PRESENTED })
}

/** The opening and the closing record of a session. */
function recordsOf(session: Session, id: string): [SessionOpenedEvent, Record] {
  const { connection, host } = session
  const openedAt = new Date(session.startedAt + 1)
  const facts = attempt({
    ...{ id, openedAt, source: { ip: '127.0.0.1', port: connection.port ?? 0, vpcEndpoint: null } },
    requested: { host, port: 443, serverName: null },
  })
  const outcome = { code: 'closed', by: 'client', detail: null } as const
  const closing = { outcome, bytes: { sent: 100, received: 50 }, closedAt: new Date(openedAt.getTime() + 5) }
  return [openedEvent(facts, LINK, REVISION), closedEvent(facts, closing, LINK, REVISION)]
}

/** What the reckoning of a run finds in it. */
export function faultsOf(run: MadeUpRun): readonly string[] {
  const { ledger, events, windows } = run
  const { paired, faults } = pair(ledger, events)
  return [
    ...checkRecords(events),
    ...faults,
    ...paired.flatMap(checkSession),
    ...paired.flatMap((one) => checkOutcome(one, windows, { drainedAt: Number.POSITIVE_INFINITY })),
    ...checkRest(run),
    ...checkMemory(run.held),
  ]
}
