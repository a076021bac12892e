// What the clients and the servers know by themselves: every connection made, every session asked for, and how each side saw
// it. The audit is held against it at the end.
import type { Junk, Place, Protocol, SessionPlan, Workload } from './plan.ts'
import { newReport, type Report } from './endpoint.ts'

/** A TCP connection to the gateway. */
export interface Connection {
  readonly listener: string
  readonly startedAt: number
  /** Our end, which is the record's source; null where it was never up. */
  port: number | null
  /** TLS was up, or an answer came, so that the gateway took it for certain. */
  accepted: boolean
  /** It was there and never refused by the system. */
  connected: boolean
  /** SHA-256 over the DER of what the gateway showed; null where it was not looked at. */
  shown: string | null
  readonly sessions: Session[]
  readonly junk: Junk | null
}

export interface Session {
  readonly id: number
  readonly connection: Connection
  readonly protocol: Protocol
  readonly plan: SessionPlan
  readonly place: Place
  readonly workload: Workload
  /** As the record has it. */
  readonly host: string
  readonly startedAt: number
  endedAt: number | null
  /** HTTP status; null where none came. */
  status: number | null
  /** The whole connection below it was cut. */
  cut: boolean
  readonly client: Report
  /** Null where it never came so far. */
  server: Report | null
  /** From which port the gateway came to the server: what a trace of the wire names it by. */
  serverPort: number | null
  /** SHA-256 over the DER of what the gateway presented to the server; null where nothing. */
  presented: string | null
}

export class Ledger {
  readonly connections: Connection[] = []
  readonly sessions: Session[] = []
  /** Of servers, about connections that say no number. */
  readonly faults: string[] = []

  connection(listener: string, junk: Junk | null = null): Connection {
    const connection: Connection = {
      ...{ listener, startedAt: Date.now(), port: null, accepted: false, connected: false },
      ...{ shown: null, sessions: [], junk },
    }
    this.connections.push(connection)
    return connection
  }

  session(connection: Connection, protocol: Protocol, plan: SessionPlan, host: string): Session {
    const { place, workload } = plan
    const session: Session = {
      ...{ id: this.sessions.length, connection, protocol, plan, place, workload, host },
      ...{ startedAt: Date.now(), endedAt: null, status: null, cut: false },
      ...{ client: newReport(), server: null, serverPort: null, presented: null },
    }
    connection.sessions.push(session)
    this.sessions.push(session)
    return session
  }
}
