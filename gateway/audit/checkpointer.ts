// When checkpoints are written, and where else they go: each minute and at exit, into the chain and to a second sink that
// the gateway cannot rewrite. A second sink that is slow or away holds nothing up: the next checkpoint says all that the
// one before said.
import { setTimeout as sleep } from 'node:timers/promises'
import type { AuditLog, WrittenCheckpoint } from './events.ts'

const INTERVAL_MS = 60_000

/** Where checkpoints go besides the log. */
export interface CheckpointSink {
  /** Resolves when it is kept. One that stands there already is an error, since none is ever replaced. */
  put(checkpoint: WrittenCheckpoint, signal: AbortSignal): Promise<void>
  close(): Promise<void>
}

/** `unsigned`: there is none, not even in the chain. `kept`, `lost`: what became of it in the second sink. */
export type CheckpointResult = 'written' | 'unsigned' | 'kept' | 'lost'

export interface CheckpointerOptions {
  readonly audit: Pick<AuditLog, 'checkpoint' | 'close'>
  /** Null = the chain alone. */
  readonly second: CheckpointSink | null
  readonly onResult: (result: CheckpointResult, error?: unknown) => void
  readonly intervalMs?: number
}

export interface Checkpointer {
  /** Writes the last checkpoint and closes the log; all of it within `timeoutMs`. */
  close(timeoutMs: number): Promise<void>
}

/** Begins at once; the first checkpoint is due in a minute. */
export function startCheckpointer(options: CheckpointerOptions): Checkpointer {
  const { audit, second, onResult, intervalMs = INTERVAL_MS } = options
  const stop = new AbortController()
  /** Of those that wait the newest is enough. */
  let waiting: WrittenCheckpoint | null = null
  let delivering: Promise<void> | null = null

  const deliver = async (sink: CheckpointSink): Promise<void> => {
    for (let next = waiting; next !== null && !stop.signal.aborted; next = waiting) {
      waiting = null
      try {
        await sink.put(next, stop.signal)
        onResult('kept')
      } catch (error) {
        onResult('lost', error)
      }
    }
    delivering = null
  }
  const write = (final: boolean): void => {
    try {
      const written = audit.checkpoint(final)
      if (written === null) return
      onResult('written')
      waiting = written
      if (second !== null) delivering ??= deliver(second)
    } catch (error) {
      onResult('unsigned', error)
    }
  }
  const timer = setInterval(() => write(false), intervalMs)
  timer.unref()
  return {
    async close(timeoutMs) {
      clearInterval(timer)
      write(true)
      await Promise.all([audit.close(timeoutMs), within(timeoutMs, delivering)])
      stop.abort()
      await second?.close()
    },
  }
}

async function within(timeoutMs: number, work: Promise<void> | null): Promise<void> {
  if (work === null) return
  const done = new AbortController()
  await Promise.race([
    work.finally(() => done.abort()),
    sleep(timeoutMs, null, { signal: done.signal }).catch(() => undefined),
  ])
}
