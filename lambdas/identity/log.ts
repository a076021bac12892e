// The authority's log: one JSON object a line, on standard error. It says why a proof failed, which the answer never
// does. Values from outside are cut and written in ASCII alone, so that no claim can forge a line or a terminal code.

export type LogLevel = 'info' | 'warn' | 'error'
export type LogValue = string | number | boolean | null | readonly string[]

export interface LogRecord {
  readonly event: string
  readonly level: LogLevel
  readonly [field: string]: LogValue
}

/** Takes one record; must never throw into the request that wrote it. */
export type AuthorityLog = (record: LogRecord) => void

const MAX_TEXT = 512

function cut(value: LogValue): LogValue {
  if (typeof value !== 'string') return value
  return value.length <= MAX_TEXT ? value : `${value.slice(0, MAX_TEXT)}…(${value.length} characters)`
}

function toAscii(text: string): string {
  return text.replaceAll(
    /[^\x20-\x7e]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

/** The record with long values cut and no character but printable ASCII, for a writer that is not ours. */
export function cleanRecord(record: LogRecord): LogRecord {
  const clean = (value: LogValue): LogValue => {
    if (Array.isArray(value)) return value.map((text: string) => toAscii(text))
    const short = cut(value)
    return typeof short === 'string' ? toAscii(short) : short
  }
  const { event, level } = record
  const fields = Object.entries(record).map(([name, value]) => [name, clean(value)] as const)
  return { ...Object.fromEntries(fields), event, level }
}

/** The line of a record, without its end: printable ASCII alone. */
export function formatLogRecord(record: LogRecord, time: Date): string {
  const fields = Object.entries(record).map(([name, value]) => [name, cut(value)] as const)
  const line = JSON.stringify({ time: time.toISOString(), ...Object.fromEntries(fields) })
  return toAscii(line)
}

/** Writes to standard error; a failure to write is dropped, because the issuance record is the one that counts. */
export function createStderrLog(clock: () => Date = () => new Date()): AuthorityLog {
  return (record) => {
    process.stderr.write(`${formatLogRecord(record, clock())}\n`, () => undefined)
  }
}

/** The message of whatever was thrown, for a log line. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
