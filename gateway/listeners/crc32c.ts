// CRC32C, the Castagnoli polynomial (RFC 4960 Appendix B, reflected form), which PROXY protocol v2 checks a header
// with. Node has no such thing: zlib.crc32 is the CRC of gzip, another polynomial with other results.

const POLYNOMIAL = 0x82f63b78

const TABLE = Uint32Array.from({ length: 256 }, (_, index) => {
  let value = index
  for (let bit = 0; bit < 8; bit += 1) value = (value >>> 1) ^ (value & 1 ? POLYNOMIAL : 0)
  return value
})

/** Starts from nothing, or goes on from the checksum of what stood before. */
export function crc32c(bytes: Uint8Array, before = 0): number {
  let value = ~before
  for (const byte of bytes) value = (value >>> 8) ^ (TABLE[(value ^ byte) & 0xff] ?? 0)
  return ~value >>> 0
}
