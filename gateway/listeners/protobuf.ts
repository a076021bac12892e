// The fields of a protobuf message (https://protobuf.dev/programming-guides/encoding/), for messages of a few fields
// from a peer that is not trusted. Stricter than the libraries: what two of them could read differently is refused.

export class ProtobufError extends Error {}

export const WIRE = { VARINT: 0, FIXED64: 1, LENGTH: 2, FIXED32: 5 } as const

export interface ProtobufField {
  readonly number: number
  readonly value:
    | { readonly wire: typeof WIRE.VARINT; readonly value: bigint }
    | { readonly wire: typeof WIRE.LENGTH; readonly bytes: Buffer }
    /** Of a type that nothing here reads. */
    | { readonly wire: typeof WIRE.FIXED64 | typeof WIRE.FIXED32 }
}

/** A 64-bit number in groups of seven bits. */
const MAX_VARINT_BYTES = 10
const MAX_VARINT = 2n ** 64n - 1n
const MAX_FIELD_NUMBER = 2 ** 29 - 1

/** All fields in their order, those that nobody knows among them. @throws ProtobufError */
export function readFields(message: Buffer): readonly ProtobufField[] {
  const fields: ProtobufField[] = []
  let offset = 0
  while (offset < message.length) {
    const tag = readVarint(message, offset)
    const number = Number(tag.value >> 3n)
    if (number < 1 || number > MAX_FIELD_NUMBER) throw new ProtobufError('a field number out of range')
    const { value, end } = readValue(message, tag.end, Number(tag.value & 7n))
    if (end > message.length) throw new ProtobufError('a field is longer than what holds it')
    fields.push({ number, value })
    offset = end
  }
  return fields
}

function readValue(
  message: Buffer,
  start: number,
  wire: number,
): { readonly value: ProtobufField['value']; readonly end: number } {
  if (wire === WIRE.VARINT) {
    const { value, end } = readVarint(message, start)
    return { value: { wire, value }, end }
  }
  if (wire === WIRE.LENGTH) {
    const length = readVarint(message, start)
    // A length past 2^53 is past every end, exact or not.
    const end = length.end + Number(length.value)
    return { value: { wire, bytes: message.subarray(length.end, end) }, end }
  }
  if (wire === WIRE.FIXED64) return { value: { wire }, end: start + 8 }
  if (wire === WIRE.FIXED32) return { value: { wire }, end: start + 4 }
  // Groups (3 and 4) have been out of use since 2008 and nest without bound.
  throw new ProtobufError('a group or an unknown wire type')
}

/** In its shortest form alone: with padding, one message would have many texts. */
function readVarint(message: Buffer, start: number): { readonly value: bigint; readonly end: number } {
  let value = 0n
  for (let index = 0; index < MAX_VARINT_BYTES; index += 1) {
    const octet = message[start + index]
    if (octet === undefined) throw new ProtobufError('cut short')
    value |= BigInt(octet & 0x7f) << BigInt(index * 7)
    if (octet >= 0x80) continue
    if (index > 0 && octet === 0) throw new ProtobufError('a number that is not in its shortest form')
    if (value > MAX_VARINT) throw new ProtobufError('a number of more than 64 bits')
    return { value, end: start + index + 1 }
  }
  throw new ProtobufError('a number of more than 64 bits')
}
