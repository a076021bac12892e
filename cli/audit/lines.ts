// A log as lines of bytes, one at a time, so that a log of any size takes no more memory than its longest line may.
import type { Readable } from 'node:stream'

/** Records are at most 12 KiB; other programs' lines between them may be longer. */
export const MAX_LINE_BYTES = 256 * 1024

export interface Line {
  /** 1-based. */
  readonly number: number
  /** Without its end; null where it is longer than MAX_LINE_BYTES. */
  readonly bytes: Buffer | null
  /** False for a last line without line end. */
  readonly ended: boolean
}

const LINE_FEED = 0x0a

/** Ends with the stream, whose errors go through. Nothing follows a line feed at the very end. */
export async function* readLines(stream: Readable | AsyncIterable<Buffer>): AsyncGenerator<Line> {
  let number = 0
  let parts: Buffer[] = []
  let length = 0
  const take = (ended: boolean): Line => {
    number += 1
    const bytes = length > MAX_LINE_BYTES ? null : Buffer.concat(parts, length)
    parts = []
    length = 0
    return { number, bytes, ended }
  }
  const keep = (part: Buffer): void => {
    length += part.length
    // What is too long is counted and not kept.
    if (length <= MAX_LINE_BYTES) parts.push(part)
  }
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    let start = 0
    for (let end = chunk.indexOf(LINE_FEED); end !== -1; end = chunk.indexOf(LINE_FEED, start)) {
      keep(chunk.subarray(start, end))
      yield take(true)
      start = end + 1
    }
    keep(chunk.subarray(start))
  }
  if (length > 0) yield take(false)
}
