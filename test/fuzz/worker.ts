// Runs one target in a thread of its own, and leaves each input where the main thread finds it: a parser that never
// returns can tell nobody itself.
import { parentPort, workerData } from 'node:worker_threads'
import { runTarget } from './run.ts'
import { targets } from './targets.ts'

/** In `state`: how many inputs were begun, and seed and length of the last. */
export const SLOT = { BEGUN: 0, SEED: 1, LENGTH: 2, COUNT: 3 } as const

export interface WorkerInput {
  readonly target: string
  readonly seed: number
  readonly milliseconds: number
  readonly state: SharedArrayBuffer
  readonly input: SharedArrayBuffer
}

if (parentPort !== null) {
  const { target: name, seed, milliseconds, ...shared } = workerData as WorkerInput
  const state = new Uint32Array(shared.state)
  const kept = new Uint8Array(shared.input)
  const target = targets.find((each) => each.name === name)
  if (target === undefined) throw new Error(`no target ${name}`)
  const until = performance.now() + milliseconds
  const outcome = await runTarget(target, {
    seed,
    goOn: () => performance.now() < until,
    onInput: (input, inputSeed) => {
      kept.set(input.subarray(0, kept.length))
      state[SLOT.SEED] = inputSeed
      state[SLOT.LENGTH] = Math.min(input.length, kept.length)
      Atomics.add(state, SLOT.BEGUN, 1)
    },
  })
  // The linter takes it for a window's, which wants an origin; a thread has none.
  parentPort.postMessage(outcome, [])
}
