// What a fuzz target is, and the promises that targets check: only the parser's own errors, and answers that stay.
import { isDeepStrictEqual } from 'node:util'
import type { Random } from './random.ts'

export interface FuzzTarget {
  readonly name: string
  /** Valid inputs, from which mutation starts. */
  readonly samples: readonly [Uint8Array, ...Uint8Array[]]
  /** Gives the input to the parser, and throws where it breaks a promise. */
  readonly check: (input: Uint8Array, random: Random) => void | Promise<void>
}

export function promise(kept: boolean, text: string): asserts kept {
  if (!kept) throw new Error(`broken promise: ${text}`)
}

/** The result, or null where the parser refused by an error of the classes it declares. Any other error goes on. */
export function attempt<T>(
  act: () => T,
  ...declared: readonly (abstract new (
    ...args: never[]
  ) => Error)[]
): T | null {
  try {
    return act()
  } catch (error) {
    if (declared.some((kind) => error instanceof kind)) return null
    throw error
  }
}

/** Bytes cut into segments at random; now and then, where there are few, byte by byte. */
export function segments(bytes: Uint8Array, random: Random): readonly Uint8Array[] {
  const most = bytes.length < 5000 && random.below(8) === 0 ? 1 : random.pick([20, 200, 2000, 20_000])
  const cut: Uint8Array[] = []
  for (let offset = 0; offset < bytes.length; ) {
    const size = 1 + random.below(most)
    cut.push(bytes.subarray(offset, offset + size))
    offset += size
  }
  return cut
}

/**
 * For a parser that is given all bytes so far: asks it at prefixes that grow, and beyond the input. Null is "incomplete".
 */
export function checkPrefixes(input: Uint8Array, random: Random, ask: (prefix: Uint8Array) => unknown): void {
  const longer = Buffer.concat([input, random.bytes(random.below(20))])
  let decided: unknown = null
  for (let length = 0; length <= longer.length; length += 1 + random.below(1 + longer.length / 16)) {
    const answer = ask(longer.subarray(0, length))
    promise(decided === null || answer !== null, 'what was decided is open again')
    promise(decided === null || isDeepStrictEqual(answer, decided), 'what was decided has changed')
    decided ??= answer
  }
  const last = ask(longer)
  promise(decided === null || isDeepStrictEqual(last, decided), 'what was decided has changed at the end')
}
