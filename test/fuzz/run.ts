// Runs one target on one mutated input after the other. Each input has a seed of its own, one more than the last one's,
// so that a failure comes back as the first input of a run that starts with its seed.
import { mutate } from './mutate.ts'
import { Random } from './random.ts'
import type { FuzzTarget } from './target.ts'

/** Any input of these sizes takes a few milliseconds; on a loaded machine the best of three counts. */
const MAX_INPUT_MS = 250

export interface Failure {
  readonly seed: number
  readonly input: Uint8Array
  readonly reason: string
}

export interface Outcome {
  readonly runs: number
  readonly failure: Failure | null
}

export interface RunOptions {
  readonly seed: number
  /** Asked before each input. */
  readonly goOn: (runs: number) => boolean
  readonly maxInputMs?: number
  /** Told of each input before it is tried, so that somebody knows it should it never come back. */
  readonly onInput?: (input: Uint8Array, seed: number) => void
}

export async function runTarget(target: FuzzTarget, options: RunOptions): Promise<Outcome> {
  let runs = 0
  for (; options.goOn(runs); runs += 1) {
    const seed = (options.seed + runs) >>> 0
    const input = mutate(target.samples, new Random(seed))
    options.onInput?.(input, seed)
    const reason = await tryInput(target, input, seed, options.maxInputMs ?? MAX_INPUT_MS)
    if (reason !== null) return { runs: runs + 1, failure: { seed, input, reason } }
  }
  return { runs, failure: null }
}

/** What went wrong, or null. */
async function tryInput(
  target: FuzzTarget,
  input: Uint8Array,
  seed: number,
  maxMs: number,
): Promise<string | null> {
  let best = Number.POSITIVE_INFINITY
  for (let attempt = 0; attempt < 3; attempt += 1) {
    const started = performance.now()
    try {
      const pending = target.check(input, new Random(~seed))
      if (pending !== undefined) await pending
    } catch (error) {
      return error instanceof Error ? (error.stack ?? error.message) : String(error)
    }
    best = Math.min(best, performance.now() - started)
    if (best <= maxMs) return null
  }
  return `took ${best.toFixed(0)} ms, at best of three times`
}
