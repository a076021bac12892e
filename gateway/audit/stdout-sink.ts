// Lines into a stream, which is standard output. On a pipe its writes are asynchronous: only their callbacks tell that
// the operating system has taken a line, and a reader that goes away is an 'error' that would end the process where
// nobody listens.
import type { Writable } from 'node:stream'
import { Backlog } from './backlog.ts'
import type { Sink, SinkOptions } from './sink.ts'

/** The stream is not ended by `close`: standard output belongs to the process. */
export function createStdoutSink(stream: Writable = process.stdout, options: SinkOptions = {}): Sink {
  const backlog = new Backlog(options.monotonic)
  let failure: string | null = null
  let closed = false
  let settled: (() => void) | null = null

  const settle = (): void => {
    if (failure !== null || backlog.bytes === 0) settled?.()
  }
  const fail = (error?: NodeJS.ErrnoException | null): void => {
    failure ??= error?.code ?? error?.message ?? 'closed'
    backlog.abandon()
    settle()
  }
  stream.on('error', fail)
  stream.on('close', () => fail())

  return {
    line(text, maxWaitingBytes = Infinity) {
      if (failure !== null || closed) return backlog.drop(1)
      const line = `${text}\n`
      if (!backlog.add(Buffer.byteLength(line), maxWaitingBytes)) return
      stream.write(line, (error) => {
        // After a failure everything is abandoned already, and late callbacks of earlier lines must not count again.
        if (failure !== null) return
        if (error !== null && error !== undefined) return fail(error)
        backlog.done()
        settle()
      })
    },
    state: () => backlog.state(failure),
    async close(timeoutMs) {
      closed = true
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
