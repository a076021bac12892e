// When EMF is written and to where: standard error, at each interval and once more at the end.
import type { Writable } from 'node:stream'
import { createEmf, type EmfOptions } from './emf.ts'

/** Of standard error; metrics that nobody reads are left out before they fill the memory. */
const MAX_WAITING_BYTES = 1024 * 1024

export interface EmfWriterOptions extends EmfOptions {
  readonly intervalMs: number
  /** Default: standard error. */
  readonly stream?: Writable
}

/** Writes until it is closed. */
export function startEmfWriter({ intervalMs, stream = process.stderr, ...emf }: EmfWriterOptions): {
  close(): void
} {
  const linesSince = createEmf(emf)
  const write = (): void => {
    // Skipped as a whole and not counted as told: the next time has all of it.
    if (stream.writableLength > MAX_WAITING_BYTES) return
    const lines = linesSince()
    if (lines.length > 0) stream.write(`${lines.join('\n')}\n`)
  }
  const timer = setInterval(write, intervalMs)
  timer.unref()
  return {
    close() {
      clearInterval(timer)
      write()
    },
  }
}
