// Durations as people write them in configuration: a whole number and one unit, `300ms`, `5s`, `10m`, `1h` (design §5).

const UNITS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 } as const
/** Node's timers hold 2^31-1 ms and fire at once beyond it, so a longer duration would turn into none at all. */
const MAX_DURATION_MS = 2_147_483_647

/** Milliseconds, or null where the text is not a duration of 0 ms to 24 days. */
export function parseDuration(text: string): number | null {
  const match = /^(0|[1-9]\d{0,9})(ms|s|m|h)$/.exec(text)
  if (match === null) return null
  const ms = Number(match[1]) * UNITS[match[2] as keyof typeof UNITS]
  return ms <= MAX_DURATION_MS ? ms : null
}
