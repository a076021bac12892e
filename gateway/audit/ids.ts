// Identifiers of sessions and connections: ULIDs (https://github.com/ulid/spec), which sort by time as text. Own code,
// since the packages for it bring their own clock and random source and this is the whole of it.

/** Crockford's base 32: no I, L, O, U. */
const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
const MAX_TIME = 2 ** 48 - 1
const RANDOM_BITS = 80n
/** Bits of the random step between two identifiers of one millisecond: a client must not count its neighbours. */
const STEP_BYTES = 4

export interface IdOptions {
  readonly now: () => Date
  /** That many random bytes, such as `randomBytes` of node:crypto. */
  readonly random: (size: number) => Uint8Array
}

/** A source of identifiers, each greater than the one before even where the clock stands still or goes back. */
export function createIds({ now, random }: IdOptions): () => string {
  let time = -1
  let tail = 0n
  return () => {
    const current = Math.min(Math.max(now().getTime(), 0), MAX_TIME)
    if (current > time) {
      time = current
      tail = toNumber(random(Number(RANDOM_BITS) / 8))
    } else {
      tail += 1n + toNumber(random(STEP_BYTES))
      if (tail >> RANDOM_BITS !== 0n) {
        time += 1
        tail = toNumber(random(Number(RANDOM_BITS) / 8))
      }
    }
    return encode((BigInt(time) << RANDOM_BITS) | tail)
  }
}

function toNumber(bytes: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(bytes).toString('hex')}`)
}

function encode(value: bigint): string {
  let text = ''
  for (let shift = 125n; shift >= 0n; shift -= 5n) text += ALPHABET.charAt(Number((value >> shift) & 31n))
  return text
}
