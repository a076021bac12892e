// Readers of audit logs: whoever could write the log could write anything into it. Verifying never throws, an answer does not
// depend on how the bytes were cut, and what differs from the sample is never whole.
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { CheckpointError, verifyCheckpoint } from '../../cli/audit/checkpoint.ts'
import { readLine } from '../../cli/audit/event.ts'
import { readLines } from '../../cli/audit/lines.ts'
import { plain } from '../../cli/audit/plain.ts'
import { readRecord } from '../../cli/audit/session-record.ts'
import { Verifier, type VerifyReport } from '../../cli/audit/verifier.ts'
import { verifyText } from '../../cli/audit/verify-text.ts'
import { lastEventOf } from '../../gateway/audit/last-event.ts'
import type { Random } from './random.ts'
import { type FuzzTarget, promise, segments } from './target.ts'

const LOG = readFileSync(path.join(import.meta.dirname, 'samples/audit.jsonl'))
const LINES = LOG.toString('utf8').trimEnd().split('\n')
const CHECKPOINT = Buffer.from(LINES.at(-1) ?? '')

async function* cutOf(input: Uint8Array, random: Random): AsyncGenerator<Buffer> {
  for (const part of segments(input, random)) yield Buffer.from(part)
}

async function verify(input: Uint8Array, random: Random): Promise<VerifyReport> {
  const verifier = new Verifier({ trust: null, partial: false })
  for await (const line of readLines(cutOf(CHECKPOINT, random))) await verifier.checkpoint('second', line)
  for await (const line of readLines(cutOf(input, random))) await verifier.line('log', line)
  return verifier.finish()
}

async function checkLog(input: Uint8Array, random: Random): Promise<void> {
  const report = await verify(input, random)
  const again = await verify(input, random)
  promise(
    JSON.stringify(report) === JSON.stringify(again),
    'an answer that depends on how the bytes were cut',
  )
  const text = verifyText(report, null)
  promise(!/[^\P{C}\n]/u.test(text), 'a control character on the terminal')
  lastEventOf(Buffer.from(input))
  if (report.ok) promise(linesOf(input) === LINES.join('\n'), 'another log that passes for the sample')
}

/** Without lines that are passed over, which anybody may add. */
function linesOf(input: Uint8Array): string {
  const lines = Buffer.from(input).toString('utf8').split('\n')
  return lines.filter((line) => readLine(Buffer.from(line)).kind === 'event').join('\n')
}

async function checkCheckpoint(input: Uint8Array): Promise<void> {
  const line = Buffer.from(input).toString('utf8')
  try {
    const { chain } = await verifyCheckpoint(line, null)
    promise(CHECKPOINT.includes(chain), 'a checkpoint that nobody signed')
    promise(line === CHECKPOINT.toString('utf8'), 'a second form of a checkpoint')
  } catch (error) {
    if (!(error instanceof CheckpointError)) throw error
  }
}

function checkRecord(input: Uint8Array): void {
  const read = readLine(input)
  const record = read.kind === 'event' ? readRecord(read.json) : null
  if (record !== null) promise(!/\p{Cc}/u.test(plain(JSON.stringify(record))), 'a control character')
}

export const AUDIT_TARGETS: readonly FuzzTarget[] = [
  { name: 'audit-log', samples: [LOG], check: checkLog },
  { name: 'audit-checkpoint', samples: [CHECKPOINT], check: checkCheckpoint },
  {
    name: 'audit-record',
    samples: [Buffer.from(LINES[0] ?? ''), Buffer.from(LINES[1] ?? '')],
    check: checkRecord,
  },
]
