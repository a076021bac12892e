// The code of a system error, such as ENOENT.

/** Null where what was thrown carries none. */
export function errnoOf(error: unknown): string | null {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : null
}
