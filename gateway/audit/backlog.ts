// The bookkeeping of lines that wait to be written: how many bytes, since when, how many were dropped. Both sinks use it.
import type { SinkState } from './sink.ts'

/** First in, first out, as lines are written in order. */
export class Backlog {
  readonly #monotonic: () => number
  readonly #waiting: { readonly bytes: number; readonly since: number }[] = []
  #first = 0
  #bytes = 0
  #dropped = 0

  constructor(monotonic: () => number = () => performance.now()) {
    this.#monotonic = monotonic
  }

  get bytes(): number {
    return this.#bytes
  }

  /** False where more than `maxBytes` would wait; the line is counted as dropped then. */
  add(bytes: number, maxBytes: number): boolean {
    if (this.#bytes + bytes > maxBytes) {
      this.drop(1)
      return false
    }
    this.#waiting.push({ bytes, since: this.#monotonic() })
    this.#bytes += bytes
    return true
  }

  /** The oldest line is written. */
  done(): void {
    const oldest = this.#waiting[this.#first]
    if (oldest === undefined) return
    this.#bytes -= oldest.bytes
    this.#first += 1
    // `shift` would copy the whole array each time; this copies it once for every doubling.
    if (this.#first * 2 > this.#waiting.length) {
      this.#waiting.splice(0, this.#first)
      this.#first = 0
    }
  }

  drop(lines: number): void {
    this.#dropped += lines
  }

  /** What waits will never be written. */
  abandon(): void {
    this.drop(this.#waiting.length - this.#first)
    this.#waiting.length = 0
    this.#first = 0
    this.#bytes = 0
  }

  state(failure: string | null): SinkState {
    const oldest = this.#waiting[this.#first]
    return {
      failure,
      backlogBytes: this.#bytes,
      oldestWaitMs: oldest === undefined ? 0 : this.#monotonic() - oldest.since,
      dropped: this.#dropped,
    }
  }
}
