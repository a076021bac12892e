// The audit log: numbers events, chains each to the one before by hash, and hands the lines to a sink. Whoever has the
// lines of a chain can tell that none was changed, left out or put in between (design §5.6).
import { hash } from 'node:crypto'
import type { KeyPair } from '../config/types.ts'
import { Later } from '../later.ts'
import { checkpointEvent, checkSize, signCheckpoint } from './checkpoint.ts'
import type { AttemptFacts, AuditEvent, AuditLog, ChainEnd, Revision } from './events.ts'
import { type Closing, closedEvent, openedEvent, progressEvent } from './record.ts'
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
/**
 * Records of sessions that were ended together and are yet to be made. Beyond that many each new one has the oldest made
 * first: sessions can be ended and opened anew faster than their records come, and then memory would have no bound.
 */
const MAX_RECORDS_WAITING = 20_000

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
  /** The gateway's own SVID, which signs checkpoints: the one in force at each. */
  readonly identity: () => KeyPair
  /** The last event that stood in the log before; null where there is none, or nobody knows. */
  readonly after: ChainEnd | null
  /** Told of a record that could not be made. Default: an uncaught exception. */
  readonly onError?: (error: unknown) => void
}

interface Closed {
  readonly facts: AttemptFacts
  readonly closing: Closing
  readonly revision: Revision
}

/** The one log of a process; a chain begins with it. */
export function createAuditLog(options: AuditLogOptions): AuditLog {
  const { sink, revision, now, random, onFailure, maxBacklogBytes, identity, after, onError } = options
  const chain = Buffer.from(random(CHAIN_ID_BYTES)).toString('hex')
  let sequence = 0
  let previous: string | null = null

  const write = (line: string, mayWait = false): void => {
    sequence += 1
    previous = hashOf(line)
    // A line that the sink drops keeps its number, so that the gap shows.
    sink.line(line, maxBacklogBytes * HARD_LIMIT_FACTOR, mayWait)
  }
  const append = (make: (link: Link) => AuditEvent, mayWait = false): void =>
    write(toLine(make({ chain, sequence: sequence + 1, previous })), mayWait)
  // Nobody waits for it, as a client does for its opening.
  const close = ({ facts, closing, revision }: Closed): void =>
    append((link) => closedEvent(facts, closing, link, revision), true)
  const soon = new Later(close, {
    max: MAX_RECORDS_WAITING,
    ...(onError === undefined ? {} : { onError }),
  })
  const closedNow = (facts: AttemptFacts, rest: Omit<Closing, 'closedAt'>): Closed => ({
    facts,
    closing: { ...rest, closedAt: now() },
    revision: facts.revision ?? revision(),
  })

  return {
    opened: (facts) => append((link) => openedEvent(facts, link, facts.revision ?? revision())),
    progress: (facts, bytes) =>
      append((link) => progressEvent(facts, { bytes, at: now() }, link, facts.revision ?? revision())),
    closed: (facts, outcome, bytes) => close(closedNow(facts, { outcome, bytes })),
    closedSoon: (facts, outcome, bytes) => soon.add(closedNow(facts, { outcome, bytes })),
    available() {
      if (onFailure === 'continue') return true
      const { failure, backlogBytes, oldestWaitMs } = sink.state()
      if (failure !== null || backlogBytes > maxBacklogBytes) return false
      return Math.max(oldestWaitMs, soon.oldestWaitMs) <= MAX_WAIT_MS
    },
    state() {
      const state = sink.state()
      const oldestWaitMs = Math.max(state.oldestWaitMs, soon.oldestWaitMs)
      return { ...state, oldestWaitMs, recordsWaiting: soon.length }
    },
    checkpoint(final) {
      if (final) soon.flush()
      if (previous === null) return null
      const at = now().toISOString()
      const claims = { chain, sequence, hash: previous, at, after, dropped: sink.state().dropped, final }
      const line = toLine(checkpointEvent(claims, signCheckpoint(claims, identity())))
      checkSize(line)
      write(line)
      return { chain, sequence, at, line }
    },
    close(timeoutMs) {
      soon.flush()
      return sink.close(timeoutMs)
    },
  }
}

/** What the next event says of a line. */
export function hashOf(line: string | Uint8Array): string {
  return `sha256:${hash('sha256', line, 'hex')}`
}
