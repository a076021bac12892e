// `npm run bench`: Sallyport beside HAProxy and nginx (stream) on the same job, mTLS in and verified mTLS out to one nginx,
// in the same run; then how its figures grow with live sessions and policies. Needs Linux, and Debian's haproxy, nginx,
// libnginx-mod-stream and libjemalloc2; says what is missing and fails. docs/performance.md says what the figures mean.
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { parseArgs, promisify } from 'node:util'
import { createClient } from './bench/client.ts'
import { type Grown, measureGrowth } from './bench/growth.ts'
import { describeMachine, type Machine, machineText } from './bench/machine.ts'
import { replaceBetweenMarkers } from './bench/page.ts'
import { startPartner } from './bench/peers.ts'
import { createPki } from './bench/pki.ts'
import { findPrograms, type Programs } from './bench/programs.ts'
import { MEASURES, type Measured, measureRounds } from './bench/rounds.ts'
import { FULL, QUICK } from './bench/sizes.ts'
import { compare, comparisonTable, growthTable } from './bench/table.ts'

const USAGE = `usage: npm run bench -- [--quick] [--write] [--json FILE]

  --quick      a smoke run of some seconds, whose figures mean nothing
  --write      puts the tables into docs/performance.md
  --json FILE  writes every value of every round too
`
const run = promisify(execFile)
const root = path.dirname(import.meta.dirname)
const PAGE = path.join(root, 'docs/performance.md')

interface Result {
  readonly machine: Machine
  readonly measured: Measured
  readonly growth: readonly Grown[]
  readonly minutes: number
}

function readArguments() {
  try {
    return parseArgs({
      options: {
        quick: { type: 'boolean', default: false },
        write: { type: 'boolean', default: false },
        json: { type: 'string' },
      },
    }).values
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n${USAGE}`)
    return null
  }
}

async function measure(programs: Programs, quick: boolean): Promise<Result> {
  const startedAt = performance.now()
  const say = (text: string) => {
    process.stderr.write(`${((performance.now() - startedAt) / 1000).toFixed(0).padStart(4)} s  ${text}\n`)
  }
  const directory = await mkdtemp(path.join(os.tmpdir(), 'sallyport-bench-'))
  try {
    const machine = await describeMachine(programs)
    say('building what ships')
    await run(process.execPath, [path.join(root, 'scripts/build.ts')])
    const pki = await createPki(directory)
    await using partner = await startPartner(programs, pki)
    const place = { programs, pki, partner, client: createClient(pki), sizes: quick ? QUICK : FULL, say }
    const measured = await measureRounds(place)
    // Growth takes as long again: nobody should have to wait for it, or lose this where it fails.
    say(`\n${comparisonTable(measured)}`)
    const growth = await measureGrowth(place)
    return { machine, measured, growth, minutes: (performance.now() - startedAt) / 60_000 }
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

function textOf({ machine, measured, growth, minutes }: Result): string {
  return [
    `${machineText(machine)} The run took ${minutes.toFixed(1)} minutes.`,
    comparisonTable(measured),
    'Sallyport alone, medians:',
    growthTable(growth),
  ].join('\n\n')
}

async function main(): Promise<number> {
  const options = readArguments()
  if (options === null) return 2
  if (options.quick && options.write) {
    process.stderr.write(`--quick measures nothing that is worth writing down\n${USAGE}`)
    return 2
  }
  const programs = await findPrograms().catch((error: Error) => error)
  if (programs instanceof Error) {
    process.stderr.write(`${programs.message}\n`)
    return 1
  }
  const result = await measure(programs, options.quick)
  const text = textOf(result)
  process.stdout.write(`${text}\n`)
  if (options.json !== undefined) {
    const ratios = Object.fromEntries(MEASURES.map((name) => [name, compare(result.measured, name)]))
    await writeFile(options.json, `${JSON.stringify({ ...result, ratios }, null, 2)}\n`)
  }
  if (options.write) await writeFile(PAGE, replaceBetweenMarkers(await readFile(PAGE, 'utf8'), text))
  return 0
}

process.exitCode = await main()
