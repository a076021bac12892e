// Serial numbers: unpredictable, positive, and short enough for every reader (RFC 5280 §4.1.2.2).

/**
 * A random serial in [1, 2^127), as lower-case hexadecimal, two digits a byte, without leading zero bytes.
 * @param random must be cryptographically strong
 */
export function randomSerial(random: (bytes: number) => Uint8Array): string {
  const bytes = Uint8Array.from(random(16))
  // The top bit is the sign in DER; cleared, so that 16 bytes stay 16 bytes.
  bytes[0] = (bytes[0] ?? 0) & 0x7f
  const hex = Buffer.from(bytes)
    .toString('hex')
    .replace(/^(?:00)+/, '')
  return hex === '' ? '01' : hex
}
