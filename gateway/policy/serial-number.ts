// The one form of a serial number in policy, revocations and records: lower-case hexadecimal, two digits a byte, no colon.

/** As the text should have been written; null where it is no serial number in any form. */
export function canonicalSerialNumber(text: string): string | null {
  const digits = text.replaceAll(/^0x|[\s:.-]/gi, '').toLowerCase()
  if (!/^[0-9a-f]*$/.test(digits)) return null
  const even = digits.length % 2 === 0 ? digits : `0${digits}`
  // DER pads a number whose first bit is set with a zero byte; the number itself has none.
  return even.replace(/^(?:00)+(?=..)/, '')
}
