// Lines into a stream, which is standard output. On a pipe its writes are asynchronous: only their callbacks tell that
// the operating system has taken a line, and a reader that goes away is an 'error' that would end the process where
// nobody listens.
import type { Writable } from 'node:stream'
import { Backlog } from './backlog.ts'
import type { Sink, SinkOptions } from './sink.ts'

/** How long a line that may wait does so: a write wakes its reader, which costs as much as the line itself. */
const HELD_MS = 5
/** Of lines that wait, in characters. */
const MAX_HELD = 64 * 1024

/** The stream is not ended by `close`: standard output belongs to the process. */
export function createStdoutSink(stream: Writable = process.stdout, options: SinkOptions = {}): Sink {
  const backlog = new Backlog(options.monotonic)
  let failure: string | null = null
  let closed = false
  let settled: (() => void) | null = null
  let held: string[] = []
  let heldLength = 0
  let timer: NodeJS.Timeout | undefined

  const settle = (): void => {
    if (failure !== null || backlog.bytes === 0) settled?.()
  }
  const fail = (error?: NodeJS.ErrnoException | null): void => {
    failure ??= error?.code ?? error?.message ?? 'closed'
    backlog.abandon()
    settle()
  }
  const flush = (): void => {
    clearTimeout(timer)
    timer = undefined
    const lines = held
    const count = lines.length
    held = []
    heldLength = 0
    // After a failure everything is abandoned already, and late callbacks of earlier lines must not count again.
    if (count === 0 || failure !== null) return
    // For the end of the last one.
    lines.push('')
    stream.write(lines.join('\n'), (error) => {
      if (failure !== null) return
      if (error !== null && error !== undefined) return fail(error)
      for (let line = 0; line < count; line++) backlog.done()
      settle()
    })
  }
  stream.on('error', fail)
  stream.on('close', () => fail())

  return {
    line(text, maxWaitingBytes = Infinity, mayWait = false) {
      if (failure !== null || closed) return backlog.drop(1)
      // With its end, which is put to it when it is written: each step between would copy it once more.
      if (!backlog.add(Buffer.byteLength(text) + 1, maxWaitingBytes)) return
      held.push(text)
      heldLength += text.length + 1
      if (mayWait && heldLength <= MAX_HELD) timer ??= setTimeout(flush, HELD_MS)
      else flush()
    },
    state: () => backlog.state(failure),
    async close(timeoutMs) {
      closed = true
      flush()
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, timeoutMs)
        settled = () => {
          clearTimeout(timer)
          resolve()
        }
        settle()
      })
    },
  }
}
