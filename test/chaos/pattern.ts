// Bytes that say of themselves where they belong: each direction of each session has a stream of its own, in which every
// byte follows from the session's number and its place. So what arrived can be told to be a prefix of what was sent, and a
// byte that was lost, doubled, moved or taken from another session shows at once.
import { createHash } from 'node:crypto'

export type Direction = 'up' | 'down'

/** A prime, so that no loss of whole buffers goes unseen. */
const PERIOD = 65_521
/** Where a stream from the client begins with the number of its session. */
export const HEADER_BYTES = 8
const MAGIC = 0x53_50_43_48

const table = makeTable()

/** The table twice over, so that any stretch up to its length is one slice. */
function makeTable(): Buffer {
  const parts: Buffer[] = []
  for (let index = 0; index * 32 < PERIOD; index++)
    parts.push(createHash('sha256').update(`chaos ${index}`).digest())
  const once = Buffer.concat(parts).subarray(0, PERIOD)
  return Buffer.concat([once, once])
}

/** `length` bytes of a stream from `offset`; at most 65,521 at a time. */
export function patternAt(session: number, direction: Direction, offset: number, length: number): Buffer {
  const start = (session * 7_919 + (direction === 'up' ? 0 : 31_337) + offset) % PERIOD
  return table.subarray(start, start + Math.min(length, PERIOD))
}

/** What a client sends first, so that the server knows which session it serves. */
export function header(session: number): Buffer {
  const octets = Buffer.alloc(HEADER_BYTES)
  octets.writeUInt32BE(MAGIC, 0)
  octets.writeUInt32BE(session, 4)
  return octets
}

/** The session's number, or null where these are no header's bytes. */
export function readHeader(octets: Buffer): number | null {
  return octets.readUInt32BE(0) === MAGIC ? octets.readUInt32BE(4) : null
}

/** Follows what arrives. */
export class Checker {
  readonly #session: number
  readonly #direction: Direction
  #offset = 0
  /** What was wrong first. */
  fault: string | null = null

  constructor(session: number, direction: Direction) {
    this.#session = session
    this.#direction = direction
  }

  take(chunk: Buffer): void {
    for (let at = 0; at < chunk.length && this.fault === null; ) {
      const expected = patternAt(this.#session, this.#direction, this.#offset, chunk.length - at)
      if (chunk.compare(expected, 0, expected.length, at, at + expected.length) !== 0)
        this.fault = `bytes from ${this.#offset} on (${this.#direction}) are not those that were sent`
      at += expected.length
      this.#offset += expected.length
    }
  }
}
