// Writes DER (ITU-T X.690 §10), the few forms that a leaf certificate has. Its input is ours or was judged before: it
// checks nothing. `spiffe/der.ts` is the reader.

export const WRITE_TAG = { UTC_TIME: 0x17, GENERALIZED_TIME: 0x18 } as const

function lengthOctets(length: number): Buffer {
  if (length < 0x80) return Buffer.from([length])
  const hex = length.toString(16)
  const octets = Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex')
  return Buffer.concat([Buffer.from([0x80 | octets.length]), octets])
}

/** One element; its content is all the parts, one after the other. */
export function writeDer(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const length = parts.reduce((sum, part) => sum + part.length, 0)
  return Buffer.concat([Buffer.from([tag]), lengthOctets(length), ...parts])
}

/** A positive INTEGER of big-endian bytes: as few as it takes, with a zero before one that would read as a sign. */
export function writeInteger(bytes: Uint8Array): Buffer {
  const first = bytes.findIndex((byte) => byte !== 0)
  const digits = first === -1 ? Buffer.from([0]) : bytes.subarray(first)
  const sign = (digits[0] ?? 0) >= 0x80 ? Buffer.from([0]) : Buffer.alloc(0)
  return writeDer(0x02, sign, digits)
}

/** RFC 5280 §4.1.2.5: UTCTime through the year 2049, GeneralizedTime after it; whole seconds. */
export function writeTime(time: Date): Buffer {
  const text = `${time.toISOString().slice(0, 19).replaceAll(/[-:T]/g, '')}Z`
  return time.getUTCFullYear() < 2050
    ? writeDer(WRITE_TAG.UTC_TIME, Buffer.from(text.slice(2)))
    : writeDer(WRITE_TAG.GENERALIZED_TIME, Buffer.from(text))
}

/** PEM with 64 characters a line and its line end. */
export function writePemBlock(label: string, der: Uint8Array): string {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? []
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`
}
