// The resolver in a process of its own, whose environment names every file and suffix that c-ares could be led by: it
// reads the environment once, when it is set up.
import { execFile } from 'node:child_process'
import { mkdtempDisposable, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { LIMITS } from './dns-answers.ts'

const RESOLVE = path.resolve(import.meta.dirname, '../../../gateway/upstream/resolve.ts')
const WRONG = '203.0.113.66'

const PROGRAM = `
  import { createResolve } from ${JSON.stringify(RESOLVE)}
  const { servers, names, limits } = JSON.parse(process.argv[1])
  const resolve = createResolve({ servers, limits, timeoutMs: 2000, tries: 1 })
  const results = []
  for (const name of names) {
    results.push(await resolve(name, new AbortController().signal).catch((error) => error.code))
  }
  console.log(JSON.stringify(results))
`

/** Addresses or code for each name. */
export async function runUnderEnvironment(server: string, names: readonly string[]): Promise<unknown> {
  await using directory = await mkdtempDisposable(path.join(tmpdir(), 'sallyport-resolve-'))
  const hosts = path.join(directory.path, 'hosts')
  const aliases = path.join(directory.path, 'aliases')
  await writeFile(hosts, names.map((name) => `${WRONG} ${name}\n`).join(''))
  await writeFile(aliases, names.map((name) => `${name} alias.example\n`).join(''))
  const env = {
    ...process.env,
    NODE_OPTIONS: '',
    CARES_HOSTS: hosts,
    HOSTALIASES: aliases,
    LOCALDOMAIN: 'corp.example svc.cluster.local',
    RES_OPTIONS: 'ndots:5',
  }
  const input = JSON.stringify({ servers: [server], names, limits: LIMITS })
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--input-type=module', '--eval', PROGRAM, input],
    { env },
  )
  return JSON.parse(stdout)
}
