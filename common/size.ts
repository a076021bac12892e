// Sizes in bytes as people write them in configuration: a whole number and one unit, `512KiB`, `8MiB`, `1GiB`.

const UNITS = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 } as const

/** Bytes, or null where the text is not a size below 2^53. */
export function parseSize(text: string): number | null {
  const match = /^(0|[1-9]\d{0,9})(B|KiB|MiB|GiB)$/.exec(text)
  if (match === null) return null
  const bytes = Number(match[1]) * UNITS[match[2] as keyof typeof UNITS]
  return Number.isSafeInteger(bytes) ? bytes : null
}
