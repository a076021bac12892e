// Identifiers of sessions and connections: ULIDs (https://github.com/ulid/spec), which sort by time as text. Own code,
// since the packages for it bring their own clock and random source and this is the whole of it.

/** Crockford's base 32: no I, L, O, U. */
const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
const MAX_TIME = 2 ** 48 - 1
/** The tail of 80 bits is two numbers of 40: big integers cost as much as all the rest. */
const HALF = 2 ** 40
const HALF_BYTES = 5
/** Of the random step between two identifiers of one millisecond: a client must not count its neighbours. */
const STEP_BYTES = 4
/** The random bytes of some hundred identifiers are drawn at once: each draw costs more than an identifier. */
const POOL_BYTES = 2048

export interface IdOptions {
  readonly now: () => Date
  /** That many random bytes, such as `randomBytes` of node:crypto. */
  readonly random: (size: number) => Uint8Array
}

/** A source of identifiers, each greater than the one before even where the clock stands still or goes back. */
export function createIds({ now, random }: IdOptions): () => string {
  const draw = pooled(random)
  let time = -1
  let high = 0
  let low = 0
  const begin = (at: number): void => {
    time = at
    high = draw(HALF_BYTES)
    low = draw(HALF_BYTES)
  }
  return () => {
    const current = Math.min(Math.max(now().getTime(), 0), MAX_TIME)
    if (current > time) begin(current)
    else {
      low += 1 + draw(STEP_BYTES)
      if (low >= HALF) {
        low -= HALF
        high += 1
      }
      if (high >= HALF) begin(time + 1)
    }
    return digits(time, 10) + digits(high, 8) + digits(low, 8)
  }
}

/** Gives numbers of so many random bytes, none of which is used twice. */
function pooled(random: IdOptions['random']): (bytes: number) => number {
  let pool = Buffer.alloc(0)
  let at = 0
  return (bytes) => {
    if (at + bytes > pool.length) {
      pool = Buffer.from(random(POOL_BYTES))
      at = 0
    }
    const drawn = pool.readUIntBE(at, bytes)
    at += bytes
    return drawn
  }
}

/** All two digits of ten bits. */
const PAIRS = Array.from(
  { length: 2 ** 10 },
  (_, bits) => ALPHABET.charAt(bits >> 5) + ALPHABET.charAt(bits & 31),
)
const TWENTY_BITS = 2 ** 20

/** `count` is even. By twenty bits, since numbers of more than 31 are divided as fractions. */
function digits(value: number, count: number): string {
  let text = ''
  let left = value
  for (let missing = count; missing > 0; missing -= 4) {
    const next = Math.floor(left / TWENTY_BITS)
    const bits = left - next * TWENTY_BITS
    const low = PAIRS[bits & 1023] ?? ''
    text = (missing === 2 ? low : (PAIRS[bits >> 10] ?? '') + low) + text
    left = next
  }
  return text
}
