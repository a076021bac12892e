// The little of DER (ITU-T X.690 §10) that reading a certificate's extensions takes: tag, length, content, bounded by
// the buffer and failing at the first wrong byte. Trusts nothing. Node's X509Certificate shows no KeyUsage bits, no
// criticality, and SANs only as printed text, which must never be split.

export class DerError extends Error {}

export interface DerValue {
  readonly tag: number
  readonly content: Buffer
  /** The whole element, tag and length included. */
  readonly raw: Buffer
}

export const TAG = {
  BOOLEAN: 0x01,
  INTEGER: 0x02,
  BIT_STRING: 0x03,
  OCTET_STRING: 0x04,
  OBJECT_IDENTIFIER: 0x06,
  SEQUENCE: 0x30,
} as const

/** More elements than any certificate of use has. */
const MAX_ELEMENTS = 1000

/** The elements that fill `content` exactly. @throws DerError */
export function readAll(content: Buffer): readonly DerValue[] {
  const values: DerValue[] = []
  let offset = 0
  while (offset < content.length) {
    if (values.length === MAX_ELEMENTS) throw new DerError('too many elements')
    const header = readHeader(content, offset)
    const end = header.start + header.length
    if (end > content.length) throw new DerError('an element is longer than what holds it')
    values.push({
      tag: header.tag,
      content: content.subarray(header.start, end),
      raw: content.subarray(offset, end),
    })
    offset = end
  }
  return values
}

/** The one element that fills `content`, of the tag given. @throws DerError */
export function readOne(content: Buffer, tag: number): Buffer {
  const [value, ...more] = readAll(content)
  if (value === undefined || more.length > 0 || value.tag !== tag)
    throw new DerError('not the one element expected')
  return value.content
}

function readHeader(bytes: Buffer, offset: number): { tag: number; start: number; length: number } {
  const tag = bytes[offset]
  const first = bytes[offset + 1]
  if (tag === undefined || first === undefined) throw new DerError('cut short')
  // High-tag-number form: nothing in a certificate's structure has one.
  if ((tag & 0x1f) === 0x1f) throw new DerError('a tag number above 30')
  if (first < 0x80) return { tag, start: offset + 2, length: first }
  const octets = first & 0x7f
  if (octets === 0 || octets > 3) throw new DerError('an indefinite or huge length')
  let length = 0
  for (let index = 0; index < octets; index += 1) {
    const octet = bytes[offset + 2 + index]
    if (octet === undefined) throw new DerError('cut short')
    length = length * 256 + octet
  }
  // DER has one encoding of a length; a second one would let two readers see two structures.
  if (length < 0x80 || length < 256 ** (octets - 1)) throw new DerError('a length that is not the shortest')
  return { tag, start: offset + 2 + octets, length }
}
