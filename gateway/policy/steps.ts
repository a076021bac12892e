// Work that is long and can be left in the middle: done at once where nobody waits, else in slices between which the event
// loop has its turn, so that relays keep their pace while a configuration is checked.
import { setImmediate as nextTurn } from 'node:timers/promises'

/** Each `yield` is a place where it may be left. */
export type Steps<Result> = Generator<undefined, Result, undefined>

/** Of the event loop at a time, and what one step takes. */
const SLICE_MS = 8

export function atOnce<Result>(steps: Steps<Result>): Result {
  for (;;) {
    const step = steps.next()
    if (step.done === true) return step.value
  }
}

/** Rejects with what a step throws. */
export async function inSlices<Result>(steps: Steps<Result>): Promise<Result> {
  for (let end = performance.now() + SLICE_MS; ; ) {
    const step = steps.next()
    if (step.done === true) return step.value
    if (performance.now() < end) continue
    await nextTurn()
    end = performance.now() + SLICE_MS
  }
}

/** Parts of at most `size`. */
export function* portions<Item>(items: readonly Item[], size: number): Generator<readonly Item[]> {
  for (let at = 0; at < items.length; at += size) yield items.slice(at, at + size)
}
