// Where the log in a file ended before this process: the last whole event of it, which the next chain names as the one that
// it follows. Trusts nothing in the file: what is no event is passed over, and a claim that is wrong shows in `audit verify`.
import { type FileHandle, open } from 'node:fs/promises'
import { hashOf } from './chain.ts'
import type { ChainEnd } from './events.ts'
import { MAX_RECORD_BYTES } from './record.ts'

/** The last line may be torn or a start line, so that more than one is looked at. */
const TAIL_BYTES = 4 * MAX_RECORD_BYTES

/** Null where there is no file, nothing in it, or nothing that is an event. */
export async function lastEventIn(path: string): Promise<ChainEnd | null> {
  let file: FileHandle
  try {
    file = await open(path, 'r')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
  try {
    const stats = await file.stat()
    // A pipe or device in place of a file would be waited for.
    if (!stats.isFile()) return null
    const from = Math.max(0, stats.size - TAIL_BYTES)
    const { buffer, bytesRead } = await file.read(Buffer.alloc(TAIL_BYTES), 0, TAIL_BYTES, from)
    return lastEventOf(buffer.subarray(0, bytesRead))
  } finally {
    await file.close()
  }
}

/** Of lines with their ends; the first may be cut. */
export function lastEventOf(tail: Buffer): ChainEnd | null {
  let end = tail.lastIndexOf(LINE_FEED)
  while (end >= 0) {
    const start = end === 0 ? -1 : tail.lastIndexOf(LINE_FEED, end - 1)
    const line = tail.subarray(start + 1, end)
    const place = placeOf(line)
    if (place !== null) return { ...place, hash: hashOf(line) }
    end = start
  }
  return null
}

const LINE_FEED = 0x0a

function placeOf(line: Buffer): Omit<ChainEnd, 'hash'> | null {
  try {
    const { chain, sequence } = JSON.parse(line.toString('utf8')) as Record<string, unknown>
    const whole = typeof chain === 'string' && /^[0-9a-f]{32}$/.test(chain)
    if (!whole || typeof sequence !== 'number' || !Number.isSafeInteger(sequence) || sequence < 1) return null
    return { chain, sequence }
  } catch {
    return null
  }
}
