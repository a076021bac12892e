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
    return encode(time, tail)
  }
}

function toNumber(bytes: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(bytes).toString('hex')}`)
}

/** Ten characters of time and sixteen of the tail, which are parts of 50 and twice 40 bits: numbers, since big integers cost. */
function encode(time: number, tail: bigint): string {
  return digits(time, 10) + digits(Number(tail >> 40n), 8) + digits(Number(tail & 0xff_ffff_ffffn), 8)
}

function digits(value: number, count: number): string {
  let text = ''
  let left = value
  for (let at = 0; at < count; at++) {
    text = ALPHABET.charAt(left % 32) + text
    left = Math.floor(left / 32)
  }
  return text
}
