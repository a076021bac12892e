// `sallyport audit explain` from its options to its exit code.
import type { Approvals, readApprovals } from './approvals.ts'
import { readLine } from './event.ts'
import { linesOf, ReadError } from './files.ts'
import { findIssuance } from './issuance.ts'
import type { Output } from './run-verify.ts'
import { readRecord } from './session-record.ts'
import { lastOf, type Story, storyJson, storyText, type Told } from './story.ts'

export interface ExplainOptions {
  readonly audit: readonly string[]
  readonly issuances?: readonly string[] | undefined
  readonly config?: string | undefined
  readonly json?: true | undefined
}

/** More would be a connection of a busy mesh: then one of its sessions is to be asked for. */
const MAX_RECORDS = 10_000

/** 0 where it was found, 1 where not, 2 where a file cannot be read. */
export async function runExplain(
  id: string,
  options: ExplainOptions,
  output: Output = process,
): Promise<0 | 1 | 2> {
  try {
    const sessions = await findSessions(id, options.audit)
    const stories = await Promise.all(sessions.map((records) => tell(records, options)))
    if (options.json)
      output.stdout.write(`${JSON.stringify({ ok: stories.length > 0, stories: stories.map(storyJson) })}\n`)
    else if (stories.length > 0) output.stdout.write(stories.map(storyText).join('\n'))
    else output.stderr.write(`sallyport: no record of ${JSON.stringify(id)} in ${options.audit.join(', ')}\n`)
    return stories.length > 0 ? 0 : 1
  } catch (error) {
    if (!(error instanceof ReadError)) throw error
    output.stderr.write(`sallyport: ${error.message}\n`)
    return 2
  }
}

/** By session, in the order of their first records. */
async function findSessions(id: string, files: readonly string[]): Promise<readonly (readonly Told[])[]> {
  const sessions = new Map<string, Told[]>()
  let count = 0
  for (const file of files) {
    for await (const { bytes, number } of linesOf(file)) {
      // Cheap before dear: almost no line is about this session.
      if (bytes === null || !bytes.includes(id)) continue
      const line = readLine(bytes)
      const record = line.kind === 'event' ? readRecord(line.json) : null
      if (record === null || (record.id !== id && record.connection !== id)) continue
      count += 1
      if (count > MAX_RECORDS) throw new ReadError(`${id} has more than ${MAX_RECORDS} records`)
      const told = { record, file, line: number }
      sessions.set(record.id, [...(sessions.get(record.id) ?? []), told])
    }
  }
  return [...sessions.values()].map((records) =>
    records.toSorted((a, b) => a.record.sequence - b.record.sequence),
  )
}

async function tell(records: readonly Told[], { issuances, config }: ExplainOptions): Promise<Story> {
  const { workload, serialNumber, tokenId, decision, revision } = lastOf({
    records,
    issuance: null,
    approvals: null,
  })
  const found =
    issuances === undefined ? null : await findIssuance(issuances, { workload, serialNumber, tokenId })
  const approvals =
    config === undefined ? null : await approvalsIn(config, decision?.policies ?? [], revision.policy)
  return {
    records,
    issuance: found === null ? null : { found: found.issuance, unreadable: found.unreadable },
    approvals,
  }
}

/** Loaded where it is asked for: the policy engine takes longer than all the rest. */
async function approvalsIn(...asked: Parameters<typeof readApprovals>): Promise<Approvals> {
  const { readApprovals } = await import('./approvals.ts')
  return readApprovals(...asked)
}
