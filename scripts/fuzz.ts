// `npm run fuzz [-- --seconds 60 --target NAME --seed N]`: byte-level mutation of valid inputs, for all parsers that read
// what a stranger sent (test/fuzz/targets.ts). Prints how many inputs each has seen; the first that throws, changes an
// answer, holds too much or takes too long is printed in hex with its seed, and the exit code is 1.
import { parseArgs } from 'node:util'
import { Worker } from 'node:worker_threads'
import type { Failure, Outcome } from '../test/fuzz/run.ts'
import { targets } from '../test/fuzz/targets.ts'
import { SLOT, type WorkerInput } from '../test/fuzz/worker.ts'

/** No progress for so long means a loop without end; a slow input is found by its own cap long before. */
const HANG_MS = 10_000
const WATCH_MS = 250
const MAX_KEPT_BYTES = 256 * 1024

interface Options {
  readonly names: readonly string[]
  readonly seconds: number
  readonly seed: number
}

function readOptions(): Options {
  const { values } = parseArgs({
    options: { seconds: { type: 'string' }, target: { type: 'string' }, seed: { type: 'string' } },
  })
  const names = targets.map(({ name }) => name).filter((name) => (values.target ?? name) === name)
  const seconds = Number(values.seconds ?? 60)
  const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 32))
  if (names.length === 0)
    throw new Error(`no target ${values.target}: ${targets.map(({ name }) => name).join(', ')}`)
  if (!(seconds > 0) || !Number.isSafeInteger(seed) || seed < 0)
    throw new Error('--seconds and --seed are numbers')
  return { names, seconds, seed }
}

/** Runs the target in a worker and watches that it gets on. */
async function runWatched(target: string, seed: number, milliseconds: number): Promise<Outcome> {
  const input: WorkerInput = {
    target,
    seed,
    milliseconds,
    state: new SharedArrayBuffer(4 * SLOT.COUNT),
    input: new SharedArrayBuffer(MAX_KEPT_BYTES),
  }
  const { promise, resolve, reject } = Promise.withResolvers<Outcome>()
  const worker = new Worker(new URL('../test/fuzz/worker.ts', import.meta.url), { workerData: input })
  worker.once('message', resolve)
  worker.once('error', reject)
  const stopWatching = watch(input, resolve)
  try {
    return await promise
  } finally {
    stopWatching()
    await worker.terminate()
  }
}

function watch(shared: WorkerInput, onHang: (outcome: Outcome) => void): () => void {
  const state = new Uint32Array(shared.state)
  let begun = 0
  let since = performance.now()
  const timer = setInterval(() => {
    const now = Atomics.load(state, SLOT.BEGUN)
    if (now !== begun) since = performance.now()
    begun = now
    if (begun === 0 || performance.now() - since < HANG_MS) return
    const bytes = new Uint8Array(shared.input).slice(0, state[SLOT.LENGTH])
    const failure = { seed: state[SLOT.SEED] ?? 0, input: bytes, reason: `no answer for ${HANG_MS / 1000} s` }
    onHang({ runs: begun, failure })
  }, WATCH_MS)
  return () => clearInterval(timer)
}

function report(target: string, failure: Failure): void {
  console.log(`\n${target}: ${failure.reason}`)
  console.log(`again: npm run fuzz -- --target ${target} --seed ${failure.seed}`)
  console.log(`input, ${failure.input.length} bytes: ${Buffer.from(failure.input).toString('hex')}`)
}

async function main({ names, seconds, seed }: Options): Promise<void> {
  console.log(`seed ${seed}, ${seconds} s over ${names.length} targets`)
  for (const name of names) {
    const { runs, failure } = await runWatched(name, seed, (seconds * 1000) / names.length)
    console.log(`${name.padEnd(20)} ${String(runs).padStart(9)} inputs${failure === null ? '' : '  FAILED'}`)
    if (failure === null) continue
    report(name, failure)
    process.exitCode = 1
  }
}

let options: Options
try {
  options = readOptions()
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exit(2)
}
await main(options)
