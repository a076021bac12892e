// `npm run chaos [-- --seed N --minutes M]`: a gateway as a process of its own under clients, services and an operator that do
// everything at once, by a schedule that follows from the seed alone (test/chaos). At the end every byte, record, gauge and
// MiB must be accounted for; what is not is printed with the seed and the last operations, and the exit code is 1.
import { parseArgs } from 'node:util'
import { runChaos } from '../test/chaos/run.ts'

const ROUND_SECONDS = 15

function readOptions(): { seed: number; rounds: number } {
  const { values } = parseArgs({ options: { seed: { type: 'string' }, minutes: { type: 'string' } } })
  const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 32))
  const minutes = Number(values.minutes ?? 5)
  if (!(minutes > 0) || !Number.isSafeInteger(seed) || seed < 0)
    throw new Error('--seed and --minutes are numbers')
  return { seed, rounds: Math.max(2, Math.round((minutes * 60) / ROUND_SECONDS)) }
}

let options: ReturnType<typeof readOptions>
try {
  options = readOptions()
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exit(2)
}
const { seed, rounds } = options
console.log(`seed ${seed}, ${rounds} rounds of ${ROUND_SECONDS} s behind a warm-up`)
const result = await runChaos({
  ...{ seed, rounds, roundMs: ROUND_SECONDS * 1_000, everyMs: 25, changeEveryMs: 500 },
  say: console.log,
})
const { faults, last, codes, changes, ...rest } = result
console.log(JSON.stringify({ ...rest, codes, changes }, null, 1))
if (faults.length > 0) {
  console.log(`\n${faults.length} faults:\n${faults.slice(0, 40).join('\n')}`)
  console.log(`\nthe last operations:\n${last.join('\n')}`)
  console.log(`\nagain: npm run chaos -- --seed ${seed} --minutes ${(rounds * ROUND_SECONDS) / 60}`)
  process.exitCode = 1
}
