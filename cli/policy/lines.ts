// Lines of a file or of standard input, one at a time, in memory that does not grow with them.
import { createReadStream } from 'node:fs'
import { StringDecoder } from 'node:string_decoder'

/** A record has at most 12 KiB (gateway/audit/record.ts); others may be written into one file with it. */
export const MAX_LINE = 64 * 1024

/** `-` is standard input. Null is a line that is too long. Rejects where the file cannot be read. */
export async function* linesOf(file: string): AsyncGenerator<string | null> {
  const stream: AsyncIterable<Buffer | string> = file === '-' ? process.stdin : createReadStream(file)
  const decoder = new StringDecoder('utf8')
  let open = ''
  let tooLong = false
  for await (const chunk of stream) {
    const parts = (typeof chunk === 'string' ? chunk : decoder.write(chunk)).split('\n')
    const rest = parts.pop() ?? ''
    for (const part of parts) {
      const line = open + part
      yield tooLong || line.length > MAX_LINE ? null : line
      open = ''
      tooLong = false
    }
    open += rest
    if (open.length > MAX_LINE) {
      tooLong = true
      open = ''
    }
  }
  if (tooLong) yield null
  else if (open !== '') yield open
}
