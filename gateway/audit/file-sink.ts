// Lines appended to a file. A full disk is a state that passes: what waits is kept, tried again, and goes on at the very
// byte where it stopped, so that a line is never torn. Lines are written, not synced: what was written survives the
// process and not the machine (docs/audit.md).
import { open } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { Backlog } from './backlog.ts'
import { LineQueue, type Lines } from './line-queue.ts'
import type { Sink, SinkOptions } from './sink.ts'

const RETRY_MS = 1_000
const LINE_FEED = 0x0a
/** Of one write. A write costs two changes of thread, many times what the bytes of one line cost. */
const MAX_WRITE_BYTES = 256 * 1024

export interface FileSinkOptions extends SinkOptions {
  /** Between two tries of a write that failed. */
  readonly retryMs?: number
}

export interface FileSink extends Sink {
  /** Opens the path anew and goes on there, after a rotation by rename. Rejects, and keeps the old file, where that fails. */
  reopen(): Promise<void>
}

/** Opens for append, and makes a new file readable for its owner alone. Rejects where that cannot be. */
export async function createFileSink(path: string, options: FileSinkOptions = {}): Promise<FileSink> {
  const handle = createHandleSink(await openWhole(path), options)
  return { ...handle.sink, reopen: async () => handle.replace(await openWhole(path)) }
}

async function openWhole(path: string): Promise<FileHandle> {
  const file = await open(path, 'a+', 0o600)
  try {
    // A process that was killed in mid-line left no line end; without this the next record would be lost in that line.
    if (await endsTorn(file)) await file.write('\n')
  } catch (error) {
    await file.close()
    throw error
  }
  return file
}

/** What the sink needs of a FileHandle. */
export interface AppendFile {
  write(data: Buffer, offset: number, length: number): Promise<{ readonly bytesWritten: number }>
  close(): Promise<void>
}

export interface HandleSink {
  readonly sink: Sink
  /** Goes on in another file, which belongs to the sink from here on; the one before is closed. */
  replace(file: AppendFile): void
}

/** `file` is open for append; it belongs to the sink from here on. */
export function createHandleSink(
  file: AppendFile,
  { retryMs = RETRY_MS, monotonic }: FileSinkOptions = {},
): HandleSink {
  let current = file
  const backlog = new Backlog(monotonic)
  const queue = new LineQueue()
  const stop = new AbortController()
  let failure: string | null = null
  let closed = false
  let running: Promise<void> | null = null

  const writeAll = async ({ data, ends }: Lines): Promise<void> => {
    let at = 0
    let whole = 0
    let begun = current
    while (at < data.length && !stop.signal.aborted) {
      // The line that stands torn in the file before is torn for good; the new one gets the whole of it.
      if (begun !== current) at = ends[whole - 1] ?? 0
      begun = current
      try {
        at += (await begun.write(data, at, data.length - at)).bytesWritten
        failure = null
      } catch (error) {
        failure = error instanceof Error && 'code' in error ? String(error.code) : String(error)
        await sleep(retryMs, null, { signal: stop.signal }).catch(() => undefined)
      }
      for (; (ends[whole] ?? Infinity) <= at && !stop.signal.aborted; whole += 1) backlog.done()
    }
  }
  const run = async (): Promise<void> => {
    while (queue.length > 0 && !stop.signal.aborted) await writeAll(queue.take(MAX_WRITE_BYTES))
    running = null
  }

  const sink: Sink = {
    line(text, maxWaitingBytes = Infinity) {
      if (closed) return backlog.drop(1)
      const bytes = Buffer.byteLength(text) + 1
      if (!backlog.add(bytes, maxWaitingBytes)) return
      queue.add(text, bytes)
      running ??= run()
    },
    state: () => backlog.state(failure),
    async close(timeoutMs) {
      if (closed) return
      closed = true
      const timeUp = new AbortController()
      // A write that hangs (a pipe that nobody reads) takes no abort, so it is left alone when the time is up.
      await Promise.race([running, sleep(timeoutMs, null, { signal: timeUp.signal }).catch(() => undefined)])
      timeUp.abort()
      stop.abort()
      const hangs = running !== null
      backlog.abandon()
      const end = current.close().catch(() => undefined)
      if (!hangs) await end
    },
  }
  return {
    sink,
    replace(next) {
      // A write that is under way keeps its file open: Node closes a handle when its operations are over.
      const old = closed ? next : current
      if (!closed) current = next
      void old.close().catch(() => undefined)
    },
  }
}

/** Whether the last line of a file has no line end. */
export async function endsTorn(file: Pick<FileHandle, 'read' | 'stat'>): Promise<boolean> {
  const { size } = await file.stat()
  // A pipe or device in place of a file has no last byte to look at.
  if (size === 0) return false
  const { bytesRead, buffer } = await file.read(Buffer.alloc(1), 0, 1, size - 1)
  return bytesRead === 1 && buffer[0] !== LINE_FEED
}
