// The reckoning: the audit against what clients and servers know by themselves. Each check gives what is wrong, one line each.
import { readFileSync } from 'node:fs'
import type { SessionEvent, SessionOpenedEvent } from '../../gateway/audit/events.ts'
import type { Window } from './changes.ts'
import { mayLoseReset, names, type Times, unexplained } from './expected.ts'
import type { Connection, Ledger, Session } from './ledger.ts'

type Event = SessionEvent | SessionOpenedEvent

/**
 * Of one direction: what was sent and has not arrived when nobody reads, which is what the kernel holds of two connections,
 * as this machine lets it, and a little in the streams of Node.
 */
const MAX_IN_FLIGHT = 2 * (mostOf('tcp_wmem') + mostOf('tcp_rmem')) + 4 * 1024 * 1024

/** The last of its three numbers: the most that a socket grows to by itself (tcp(7)). */
function mostOf(setting: 'tcp_rmem' | 'tcp_wmem'): number {
  return Number(readFileSync(`/proc/sys/net/ipv4/${setting}`, 'utf8').trim().split(/\s+/)[2])
}

export interface Paired {
  readonly session: Session
  readonly record: SessionEvent
  readonly opened: SessionOpenedEvent | null
}

/** Every attempt in exactly one closing record, with its opening record before it. */
export function checkRecords(events: readonly Event[]): readonly string[] {
  const faults: string[] = []
  const opened = new Set<string>()
  const closed = new Set<string>()
  for (const { event, id } of events) {
    if (event === 'session.opened') {
      if (opened.has(id)) faults.push(`${id} has two opening records`)
      if (closed.has(id)) faults.push(`${id} was opened after it was closed`)
      opened.add(id)
    } else {
      if (closed.has(id)) faults.push(`${id} has two closing records`)
      closed.add(id)
    }
  }
  for (const id of opened) if (!closed.has(id)) faults.push(`${id} has no closing record`)
  return faults
}

export interface Pairing {
  readonly paired: readonly Paired[]
  readonly faults: readonly string[]
  /** That have no record at all, which only who sent nothing may. */
  readonly unrecorded: readonly Connection[]
}

/** Finds for each record who asked: by listener, port and time the connection, by the host the session. */
export function pair(ledger: Ledger, events: readonly Event[]): Pairing {
  const faults: string[] = []
  const paired: Paired[] = []
  const openings = new Map<string, SessionOpenedEvent>()
  for (const event of events) if (event.event === 'session.opened') openings.set(event.id, event)
  const byPort = Map.groupBy(ledger.connections, ({ listener, port }) => `${listener}:${port}`)
  const recorded = new Set<Connection>()
  const seen = new Set<Session>()
  const bare = new Set<Connection>()
  for (const record of events) {
    if (record.event !== 'session') continue
    const at = Date.parse(record.openedAt)
    const connection = byPort
      .get(`${record.listener}:${record.source.port}`)
      ?.findLast(({ startedAt }) => startedAt <= at)
    if (connection === undefined) {
      faults.push(`${record.id} is a record of nobody who was there`)
      continue
    }
    recorded.add(connection)
    const host = record.requested?.host ?? null
    const session =
      host === null && connection.sessions.length === 1
        ? connection.sessions[0]
        : connection.sessions.find((one) => one.host === host)
    if (session === undefined) {
      // Of a connection that asked for nothing, or of junk.
      if (bare.has(connection))
        faults.push(`${record.id} is a second record of one connection without a request`)
      bare.add(connection)
      continue
    }
    if (seen.has(session)) faults.push(`${record.id} is a second record of session ${session.id}`)
    seen.add(session)
    paired.push({ session, record, opened: openings.get(record.id) ?? null })
  }
  for (const session of ledger.sessions)
    if (!seen.has(session) && isCertain(session))
      faults.push(`session ${session.id} has no record: ${tell(session)}`)
  const unrecorded = ledger.connections.filter((one) => one.connected && !recorded.has(one))
  for (const connection of unrecorded)
    if (connection.accepted)
      faults.push(`a connection to ${connection.listener} was accepted and has no record`)
  return { paired, faults, unrecorded }
}

/** Where the gateway had the request for certain. */
const isCertain = ({ status, server }: Session): boolean => status !== null || server !== null

/** Bytes, order and ends of one session. */
export function checkSession({ session, record, opened }: Paired): readonly string[] {
  const { client, server } = session
  const faults: string[] = []
  const bad = (what: string) =>
    faults.push(`session ${session.id} (${record.id}): ${what}: ${tell(session, record)}`)
  if (client.fault !== null) bad(`client: ${client.fault}`)
  if (server?.fault !== null && server !== null) bad(`server: ${server.fault}`)
  if (opened === null && (server !== null || session.status === 200))
    bad('it was served without an opening record')
  const sent = server?.sent ?? 0
  const arrived = server?.received ?? 0
  // What a client that speaks TLS to the service itself says, the gateway sees as records of TLS alone.
  if (session.protocol !== 'passthrough' && session.protocol !== 'inner') {
    if (arrived > record.bytes.sent || record.bytes.sent > client.sent)
      bad('bytes.sent is not between what was sent and what arrived')
    if (client.received > record.bytes.received || record.bytes.received > sent)
      bad('bytes.received is not between what was sent and what arrived')
  } else if (arrived > client.sent || client.received > sent) bad('more arrived than was sent')
  if (client.sent - arrived > MAX_IN_FLIGHT || sent - client.received > MAX_IN_FLIGHT)
    bad('too much is held in flight')
  checkEnds({ session, record, opened }, bad)
  return faults
}

function checkEnds({ session, record, opened }: Paired, bad: (what: string) => void): void {
  const { client, server, protocol, presented } = session
  const inside = protocol === 'passthrough' || protocol === 'inner'
  if (opened === null || server === null) return
  const lost = mayLoseReset(session)
  // The same race where the gateway resets both: seen against a bare server of Node too, one time in three.
  const cut = record.outcome.by === 'gateway'
  if (
    client.saw === 'end' &&
    !lost &&
    !(cut && client.ended) &&
    (!server.ended || client.received !== server.sent)
  )
    bad('the client was told of an end that was none')
  if (
    server.saw === 'end' &&
    !lost &&
    !(cut && server.ended) &&
    (!client.ended || server.received !== client.sent)
  )
    bad('the server was told of an end that was none')
  const whole = !client.aborted && !server.aborted && !session.cut && client.readsAll && server.readsAll
  if (record.outcome.code === 'closed' && whole) {
    if (client.saw !== 'end' || server.saw !== 'end') bad('it closed in order, but not for both sides')
    if (client.received !== server.sent || server.received !== client.sent)
      bad('it closed in order and bytes are lost')
    if (!inside && (record.bytes.sent !== server.received || record.bytes.received !== client.received))
      bad('it closed in order and its record has other bytes')
  }
  if (!inside && presented !== (record.upstream?.clientCertificateSha256 ?? null))
    bad(`the server saw another client certificate (${presented}) than the record has`)
}

/** That each end has a reason, and that nothing opened that was not allowed. */
export function checkOutcome(
  { session, record, opened }: Paired,
  windows: readonly Window[],
  times: Times,
): readonly string[] {
  const faults: string[] = []
  const bad = (what: string) =>
    faults.push(`session ${session.id} (${record.id}): ${what}: ${tell(session, record)}`)
  const why = unexplained(session, record, windows, times)
  if (why !== null) bad(why)
  const from = Date.parse(record.openedAt)
  const to = Date.parse(record.closedAt)
  for (const window of windows) {
    if (opened === null || window.inForce === null || window.undone === null || !names(window, session))
      continue
    if (from > window.inForce && to < window.undone) bad(`it opened in the midst of ${window.change}`)
  }
  return faults
}

/** One line that says what both sides know. */
export function tell(session: Session, record: SessionEvent | null = null): string {
  const { protocol, plan, place, workload, client, server, serverPort, connection, status, cut } = session
  const end = (name: string, one: Session['server']) =>
    one === null
      ? `no ${name}`
      : `${name} sent ${one.sent} received ${one.received} saw ${one.saw}${one.ended ? ' ended' : ''}${one.aborted ? ' aborted' : ''}`
  return [
    `${protocol} ${workload} to ${place}, status ${status}${cut ? ', cut' : ''}`,
    `${end(`client (:${connection.port})`, client)} (${plan.client.finish}, ${plan.client.read})`,
    `${end(`server (from :${serverPort})`, server)} (${plan.server.finish}, ${plan.server.read})`,
    ...(record === null
      ? []
      : [
          `record ${record.bytes.sent}/${record.bytes.received} ${record.outcome.code} by ${record.outcome.by} ${record.outcome.detail ?? ''}`,
        ]),
  ].join('; ')
}
