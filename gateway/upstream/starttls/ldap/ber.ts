// The little of BER that LDAP uses (RFC 4511 §5.1): one-octet tags and definite lengths. Trusts no length: what is longer
// than the limit, or not in this form, is an error before a byte of it is waited for.

export class BerError extends Error {}

export interface Element {
  readonly tag: number
  readonly content: Buffer
}

/** Behind a tag: how long the content is and where it begins; null = more bytes are needed. @throws BerError */
export function readHeader(
  bytes: Buffer,
): { readonly tag: number; readonly start: number; readonly length: number } | null {
  const [tag, first] = bytes
  if (tag === undefined) return null
  if ((tag & 0x1f) === 0x1f) throw new BerError('a tag of more than one octet')
  if (first === undefined) return null
  if (first < 0x80) return { tag, start: 2, length: first }
  const octets = first & 0x7f
  if (octets === 0) throw new BerError('an indefinite length')
  // libldap and others write four octets whatever the length is, so leading zeros are no error.
  if (octets > 4) throw new BerError('a length of more than four octets')
  if (bytes.length < 2 + octets) return null
  return { tag, start: 2 + octets, length: bytes.readUIntBE(2, octets) }
}

/** The elements that fill `bytes` exactly, at most `max`. @throws BerError */
export function readElements(bytes: Buffer, max = 16): readonly Element[] {
  const elements: Element[] = []
  for (let rest = bytes; rest.length > 0; ) {
    const header = readHeader(rest)
    if (header === null || header.start + header.length > rest.length)
      throw new BerError('an element is cut short')
    if (elements.length >= max) throw new BerError(`more than ${max} elements`)
    const end = header.start + header.length
    elements.push({ tag: header.tag, content: rest.subarray(header.start, end) })
    rest = rest.subarray(end)
  }
  return elements
}

/** A non-negative INTEGER or ENUMERATED of at most four octets. @throws BerError */
export function readInteger(content: Buffer): number {
  if (content.length === 0 || content.length > 4)
    throw new BerError('an integer of no or more than four octets')
  const value = content.readIntBE(0, content.length)
  if (value < 0) throw new BerError('a negative integer')
  return value
}

export function element(tag: number, ...parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts)
  const { length } = content
  if (length < 0x80) return Buffer.concat([Buffer.from([tag, length]), content])
  const head = Buffer.from([tag, 0x82, 0, 0])
  head.writeUInt16BE(length, 2)
  return Buffer.concat([head, content])
}

export function integer(tag: number, value: number): Buffer {
  const bytes = Buffer.alloc(5)
  bytes.writeUInt32BE(value, 1)
  let start = 0
  // The shortest form that does not read as negative.
  while (start < 4 && bytes[start] === 0 && (bytes[start + 1] ?? 0) < 0x80) start += 1
  return element(tag, bytes.subarray(start))
}
