// How long a key is published before it signs, and what that time is for. Whoever changes one of these numbers must add
// them up again:
//
//   5 hints = 3     that a verifier's bundle may be old (it asks at each hint, and two of its tries may fail)
//           + 1     that the document of the instance which gave it that bundle may have been old
//           + 1/2   from the planning of a publication until it takes effect
//           + 1/5   that a cache on the way may have kept the bundle
//           + 3/10  for clocks that differ: 45 s with the shortest hint
//
// An instance reads the document each minute, so that with the shortest hint one reading may fail before its document is
// older than a hint.

/** Seconds. */
export const MIN_REFRESH_HINT = 150
export const MAX_REFRESH_HINT = 86_400
export const HINTS_BEFORE_USE = 5
const HINTS_TO_SERVE = 1
const HINTS_TO_PUBLISH = 0.5

export interface KeyDates {
  readonly publishedAt: string
  readonly activateAt: string
  readonly removeAfter: null
}

const iso = (time: number): string => new Date(time).toISOString()

/** The dates of a key that is published at that moment. */
export function datesOf(now: Date, refreshHint: number, hints = HINTS_BEFORE_USE): KeyDates {
  const activateAt = iso(now.getTime() + hints * refreshHint * 1000)
  return { publishedAt: now.toISOString(), activateAt, removeAfter: null }
}

/** Whether a publication that was planned then must not take effect any more: it would be known too short a time. */
export function isPublishedTooLate(publishedAt: string, refreshHint: number, now: Date): boolean {
  return now.getTime() - Date.parse(publishedAt) > HINTS_TO_PUBLISH * refreshHint * 1000
}

/**
 * Whether the keys of a document that was read then may be given out as those that are published. After a clock was set
 * back nobody knows how old it is.
 */
export function isFresh(readAt: Date, refreshHint: number, now: Date): boolean {
  const age = now.getTime() - readAt.getTime()
  return age >= 0 && age <= HINTS_TO_SERVE * refreshHint * 1000
}
