// `npm run bench:cold`: how long the authority takes to start on Lambda, from its minified bundle: module load and first
// mint in a new process each time, then the CPU time of a warm mint. One core, as Lambda gives at 1,769 MB. The CA is in
// Secrets Manager, counts, used proofs and records are in DynamoDB, and all of them in another process than the measured.
import { execFileSync } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { type InstanceReport, runInstance, type Spent } from '../test/fixtures/on-lambda/instance.ts'
import { type Deployment, startLambdaServices } from '../test/fixtures/on-lambda/services.ts'
import { buildIdentity } from './bundles.ts'

const LIMITS = { kib: 1024, coldMs: 250, warmMs: 5 }
const ROUNDS = 15
/** So many come first, until the compiler has seen what is hot. */
const WARM_UP = 1000
const WARM = 500
/** Processes in turn. What else the machine, or its host, does adds to CPU time and never takes from it: the lowest counts. */
const WARM_ROUNDS = 5
const ON_ONE_CORE = ['taskset', '-c', '0']

/** What is measured has its core to itself, as far as the machine has another. */
function leaveItsCore(): void {
  if (os.availableParallelism() === 1) return
  execFileSync('taskset', ['-a', '-p', '-c', `1-${os.availableParallelism() - 1}`, String(process.pid)])
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}

const directory = await mkdtemp(path.join(os.tmpdir(), 'sallyport-bench-'))
await writeFile(path.join(directory, 'package.json'), '{"type":"module"}\n')
const bytes = await buildIdentity(directory)
const bundle = path.join(directory, 'identity.js')
await using services = await startLambdaServices()

async function start({ env, event }: Deployment, warmUp = 0, warm = 0): Promise<InstanceReport> {
  const events: object[] = []
  for (let count = 0; count <= warmUp + warm; count++) events.push(await event())
  const report = await runInstance({ bundle, env, events, warmUp, prefix: ON_ONE_CORE })
  const refused = report.answers.find(({ statusCode }) => statusCode !== 201)
  if (refused !== undefined) throw new Error(`no SVID: ${refused.body}`)
  return report
}

/** The median of each, by the clock and of CPU. */
function summarize(reports: readonly InstanceReport[]) {
  const of = (pick: (report: InstanceReport) => Spent): Spent => ({
    wall: median(reports.map((report) => pick(report).wall)),
    cpu: median(reports.map((report) => pick(report).cpu)),
  })
  const sum = ({ load, first }: InstanceReport) => ({
    wall: load.wall + first.wall,
    cpu: load.cpu + first.cpu,
  })
  return { load: of(({ load }) => load), first: of(({ first }) => first), cold: of(sum) }
}

leaveItsCore()
const deployments = {
  plain: await services.deploy(),
  estate: await services.deploy({ estate: true }),
  tls: await services.deploy({ tls: true }),
}
const reports = { plain: [] as InstanceReport[], estate: [] as InstanceReport[], tls: [] as InstanceReport[] }
const kinds = ['plain', 'estate', 'tls'] as const
for (const kind of kinds) await start(deployments[kind])
// In turns, so that what else the machine does meets all of them alike.
for (let round = 0; round < ROUNDS; round++) {
  for (const kind of kinds) reports[kind].push(await start(deployments[kind]))
}
const { load, first, cold } = summarize(reports.plain)
const more = (kind: 'estate' | 'tls') => summarize(reports[kind]).cold.wall - cold.wall
const warms: number[] = []
for (let round = 0; round < WARM_ROUNDS; round++) {
  warms.push((await start(deployments.plain, WARM_UP, WARM)).warm.cpu / WARM)
}
const warm = Math.min(...warms)
await rm(directory, { recursive: true })

const ms = (value: number, digits = 0) => `${value.toFixed(digits)} ms`.padEnd(9)
const spent = ({ wall, cpu }: Spent) => `${ms(wall)} (CPU ${cpu.toFixed(0)})`.padEnd(20)
const kib = bytes / 1024
process.stdout.write(
  [
    `bundle       ${kib.toFixed(0)} KiB minified, all its files   limit ${LIMITS.kib}`,
    `module load  ${spent(load)} median of ${ROUNDS} new processes on one core`,
    `first mint   ${spent(first)} configuration, CA and issuer's keys read; counted, used, signed, recorded`,
    `cold start   ${spent(cold)} limit ${LIMITS.coldMs}`,
    `  by TLS     + ${ms(more('tls'))} handshakes, and Node's reading of its roots`,
    `  estate     + ${ms(more('estate'))} with the configuration of examples/authority`,
    `warm mint    ${ms(warm, 2)} of CPU, mean of ${WARM} after ${WARM_UP}   limit ${LIMITS.warmMs}`,
    `  lowest of ${WARM_ROUNDS} processes; median ${median(warms).toFixed(2)}, most ${Math.max(...warms).toFixed(2)}`,
    '',
  ].join('\n'),
)
if (kib > LIMITS.kib || cold.wall > LIMITS.coldMs || warm > LIMITS.warmMs) process.exitCode = 1
