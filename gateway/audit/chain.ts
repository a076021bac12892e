// The audit log: numbers events, chains each to the one before by hash, and hands the lines to a sink. Whoever has the
// lines of a chain can tell that none was changed, left out or put in between (design §5.6).
import { createHash } from 'node:crypto'
import type { AuditEvent, AuditLog, Revision } from './events.ts'
import { closedEvent, openedEvent } from './record.ts'
import type { Link } from './record.ts'
import type { Sink } from './sink.ts'
import { toLine } from './text.ts'

/** How long the oldest waiting line may wait before the log counts as unavailable (design §5.6). */
const MAX_WAIT_MS = 5_000
const CHAIN_ID_BYTES = 16
/**
 * How many times `maxBacklogBytes` may wait before lines are dropped. New sessions are refused at the backlog, but the
 * records of live ones and of the refusals themselves still come, and a gateway that dies of memory loses them all.
 */
const HARD_LIMIT_FACTOR = 4

export interface AuditLogOptions {
  readonly sink: Sink
  /** What is in force when an event is written, for attempts that were not judged. */
  readonly revision: () => Revision
  readonly now: () => Date
  /** That many random bytes, such as `randomBytes` of node:crypto. */
  readonly random: (size: number) => Uint8Array
  /** `continue`: the log always counts as available, and what cannot be written is lost. */
  readonly onFailure: 'refuse' | 'continue'
  readonly maxBacklogBytes: number
}

/** The one log of a process; a chain begins with it. */
export function createAuditLog(options: AuditLogOptions): AuditLog {
  const { sink, revision, now, random, onFailure, maxBacklogBytes } = options
  const chain = Buffer.from(random(CHAIN_ID_BYTES)).toString('hex')
  let sequence = 0
  let previous: string | null = null

  const append = (make: (link: Link) => AuditEvent): void => {
    const line = toLine(make({ chain, sequence: sequence + 1, previous }))
    sequence += 1
    previous = `sha256:${createHash('sha256').update(line, 'utf8').digest('hex')}`
    // A line that the sink drops keeps its number, so that the gap shows.
    sink.line(line, maxBacklogBytes * HARD_LIMIT_FACTOR)
  }

  return {
    opened: (facts) => append((link) => openedEvent(facts, link, facts.revision ?? revision())),
    closed: (facts, outcome, bytes) =>
      append((link) =>
        closedEvent(facts, { outcome, bytes, closedAt: now() }, link, facts.revision ?? revision()),
      ),
    available() {
      if (onFailure === 'continue') return true
      const { failure, backlogBytes, oldestWaitMs } = sink.state()
      return failure === null && backlogBytes <= maxBacklogBytes && oldestWaitMs <= MAX_WAIT_MS
    },
    close: (timeoutMs) => sink.close(timeoutMs),
  }
}
