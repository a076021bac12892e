// Where lines go: standard output or a file. On a pipe Node queues without bound and tells nobody, so each sink counts
// what waits and for how long; the log refuses new sessions by it (design §5.6). Lines are written whole and in order.

export interface SinkState {
  /** The error code for which nothing can be written now; null where all is well. */
  readonly failure: string | null
  /** Bytes handed over and not yet taken by the operating system. */
  readonly backlogBytes: number
  /** How long the oldest of them has waited. */
  readonly oldestWaitMs: number
  /** Lines that are lost: handed over after the end of the stream, or beyond what may wait. */
  readonly dropped: number
}

export interface Sink {
  /**
   * Takes one line without its end. Never throws and never blocks. Where more than `maxWaitingBytes` would wait then,
   * the line is dropped and counted. `mayWait`: for some milliseconds it may be kept back, to be written with the next one.
   */
  line(text: string, maxWaitingBytes?: number, mayWait?: boolean): void
  state(): SinkState
  /** Resolves when everything is written, or can no more be written, or after `timeoutMs`. Takes no line afterwards. */
  close(timeoutMs: number): Promise<void>
}

export interface SinkOptions {
  /** Milliseconds of a clock that is never set back. */
  readonly monotonic?: () => number
}

export { createFileSink, type FileSink } from './file-sink.ts'
export { createStdoutSink } from './stdout-sink.ts'
