// The chain of a run and its checkpoints, by the command that an auditor uses, in a process of its own.
import { execFile } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'

const MAIN = path.resolve(import.meta.dirname, '../../cli/main.ts')
const FLAGS = [
  '--checkpoints',
  'checkpoints.jsonl',
  '--bundle',
  'pki/bundle.pem',
  '--trust-domain',
  'example.org',
]

/** What is wrong, one line each. `directory` has `checkpoints.jsonl` of the second sink and `pki/bundle.pem`. */
export async function checkChain(directory: string, lines: readonly string[]): Promise<readonly string[]> {
  const faults: string[] = []
  await writeFile(path.join(directory, 'audit.jsonl'), `${lines.join('\n')}\n`)
  const { code, stdout, stderr } = await execute(
    [MAIN, 'audit', 'verify', 'audit.jsonl', ...FLAGS, '--json'],
    directory,
  )
  if (code !== 0) faults.push(`audit verify ended with ${code}: ${stdout}${stderr}`.slice(0, 4_000))
  const { chains } = JSON.parse(stdout || '{"chains":[]}') as { chains: readonly { ended: boolean }[] }
  if (chains.length !== 1 || chains[0]?.ended !== true) faults.push(`the chain has no signed end: ${stdout}`)
  if ((await readFile(path.join(directory, 'checkpoints.jsonl'), 'utf8')) === '')
    faults.push('no checkpoint was kept')
  return faults
}

async function execute(args: readonly string[], cwd: string) {
  return new Promise<{ code: number | null; stdout: string; stderr: string }>((resolve) => {
    const child = execFile(
      process.execPath,
      [...args],
      { cwd, maxBuffer: 64 * 1024 * 1024 },
      (_error, stdout, stderr) => resolve({ code: child.exitCode, stdout, stderr }),
    )
  })
}
