// `sallyport policy replay`: asks a candidate policy what the gateway asked, session by session, from audit events. Trusts
// nothing in them: a line that cannot be asked about is counted and never guessed at.
import type { Fault } from '../../common/fault.ts'
import { decodeText, FileError, readRegularFile } from '../../gateway/config/files.ts'
import type { PolicyFile } from '../../gateway/policy/compile.ts'
import { linesOf } from './lines.ts'
import { type LoadedPolicy, loadPolicy, type Output, printFaults } from './load.ts'
import { parseRecord } from './record.ts'
import { createResolve } from './asked.ts'
import { replayText } from './replay-show.ts'
import { Tally } from './tally.ts'

export interface ReplayOptions {
  readonly config: string
  readonly audit: readonly string[]
  readonly policy: readonly string[]
  readonly json?: true | undefined
}

/** 0 where nothing changes, 1 where something does or a file is wrong. */
export async function runReplay(options: ReplayOptions, output: Output = process): Promise<0 | 1> {
  const json = options.json === true
  const files = await readCandidate(options.policy)
  if ('faults' in files) return printFaults(files.faults, json, output)
  const loaded = await loadPolicy(options.config, files)
  if (!loaded.ok) return printFaults(loaded.faults, json, output)
  const tally = new Tally()
  const ask = createReplay(loaded, tally)
  for (const file of options.audit) {
    try {
      for await (const line of linesOf(file)) ask(line)
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException
      if (code === undefined) throw error
      const reason = code === 'ENOENT' ? 'no such file' : message
      const remedy = 'name a file of audit events'
      return printFaults([{ file, line: null, key: null, message: reason, remedy }], json, output)
    }
  }
  const replay = tally.result()
  output.stdout.write(json ? `${JSON.stringify(replay)}\n` : replayText(replay))
  return replay.refused.sessions + replay.allowed.sessions === 0 ? 0 : 1
}

/** Takes one line of audit events at a time. */
export function createReplay(
  { policy, source }: Pick<LoadedPolicy, 'policy' | 'source'>,
  tally: Tally,
): (line: string | null) => void {
  const resolve = createResolve(source)
  return (line) => {
    const record = line === null ? 'unreadable' : parseRecord(line)
    if (typeof record === 'string') return tally.skip(record)
    const resolved = resolve(record)
    if (resolved === null) return tally.skip('destinationGone')
    const { result, policies, error } = policy.decide(resolved.question)
    tally.compare({ ...record, destination: resolved.destination.name }, { result, policies, error })
  }
}

async function readCandidate(
  names: readonly string[],
): Promise<readonly PolicyFile[] | { readonly faults: readonly Fault[] }> {
  const files: PolicyFile[] = []
  const faults: Fault[] = []
  for (const name of names) {
    const fail = (message: string) =>
      faults.push({ file: name, line: null, key: null, message, remedy: 'name a file of Cedar policies' })
    try {
      const text = decodeText((await readRegularFile(name)).bytes)
      if (text === null) fail('not text in UTF-8')
      else files.push({ name, text })
    } catch (error) {
      if (!(error instanceof FileError)) throw error
      fail(error.message)
    }
  }
  return faults.length > 0 ? { faults } : files
}
