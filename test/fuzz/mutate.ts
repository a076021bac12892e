// Makes a wrong input out of right ones: a few changes of bits, bytes, ranges and length fields.
import type { Random } from './random.ts'

type Samples = readonly [Uint8Array, ...Uint8Array[]]
type Mutation = (bytes: Uint8Array, random: Random, samples: Samples) => Uint8Array

/** Mutated inputs stay under this, so that the limits of the parsers are met but time is not lost. */
const MAX_INPUT_BYTES = 200_000
const MOST_CHANGES = 5

const join = (...parts: readonly Uint8Array[]): Uint8Array => Buffer.concat(parts)

/** A place and a length, both inside. */
function range(bytes: Uint8Array, random: Random): readonly [start: number, end: number] {
  const start = random.below(bytes.length + 1)
  // Mostly short: a long one takes away what made the input interesting.
  const most = random.below(4) === 0 ? bytes.length - start : Math.min(8, bytes.length - start)
  return [start, start + random.below(most + 1)]
}

const MUTATIONS: readonly [Mutation, ...Mutation[]] = [
  function flipBit(bytes, random) {
    const at = random.below(bytes.length)
    return bytes.with(at, (bytes[at] ?? 0) ^ (1 << random.below(8)))
  },
  function setByte(bytes, random) {
    return bytes.with(random.below(bytes.length), random.pick([0, 1, 0x7f, 0x80, 0xff, random.below(256)]))
  },
  function insert(bytes, random) {
    const at = random.below(bytes.length + 1)
    return join(bytes.subarray(0, at), random.bytes(1 + random.below(8)), bytes.subarray(at))
  },
  function remove(bytes, random) {
    const [start, end] = range(bytes, random)
    return join(bytes.subarray(0, start), bytes.subarray(end))
  },
  function duplicate(bytes, random) {
    const [start, end] = range(bytes, random)
    return join(bytes.subarray(0, end), bytes.subarray(start))
  },
  function move(bytes, random) {
    const [start, end] = range(bytes, random)
    const rest = join(bytes.subarray(0, start), bytes.subarray(end))
    const at = random.below(rest.length + 1)
    return join(rest.subarray(0, at), bytes.subarray(start, end), rest.subarray(at))
  },
  function splice(bytes, random, samples) {
    const other = random.pick(samples)
    return join(
      bytes.subarray(0, random.below(bytes.length + 1)),
      other.subarray(random.below(other.length + 1)),
    )
  },
  function truncate(bytes, random) {
    return bytes.subarray(0, random.below(bytes.length + 1))
  },
  editLength,
]

/** Takes one, two or three bytes for a big-endian length, and makes it a little or very wrong. */
function editLength(bytes: Uint8Array, random: Random): Uint8Array {
  const width = Math.min(1 + random.below(3), bytes.length)
  const at = random.below(bytes.length - width + 1)
  const out = Buffer.from(bytes)
  const max = 2 ** (8 * width) - 1
  const value = out.readUIntBE(at, width)
  const wrong = random.pick([value - 1, value + 1, value + 2, value * 2, 0, max, bytes.length - at - width])
  out.writeUIntBE(Math.min(Math.max(wrong, 0), max), at, width)
  return out
}

/** Always the same for the same samples and seed. Now and then a sample as it is, or nothing but noise. */
export function mutate(samples: Samples, random: Random): Uint8Array {
  if (random.below(100) === 0) return random.bytes(random.below(300))
  let bytes: Uint8Array = Uint8Array.from(random.pick(samples))
  for (let change = random.below(MOST_CHANGES + 1); change > 0; change -= 1) {
    // Each needs a byte to work on.
    if (bytes.length === 0) bytes = random.bytes(1)
    bytes = random.pick(MUTATIONS)(bytes, random, samples).subarray(0, MAX_INPUT_BYTES)
  }
  return Uint8Array.from(bytes)
}
