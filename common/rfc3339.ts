// Times as RFC 3339 writes them, with their zone, and in no other form: Date.parse takes "2026", "1 Jan", and a time without
// a zone as one of this machine's zone.
const FORM =
  /^(\d{4})-(\d{2})-(\d{2})T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,9})?(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)$/

/** The time, or null where the text is none. */
export function parseRfc3339(text: string): Date | null {
  const [, year, month, day] = FORM.exec(text) ?? []
  if (year === undefined || month === undefined || day === undefined) return null
  // The 30th of February would be taken as the 2nd of March.
  const date = new Date(`${year}-${month}-${day}T00:00:00.000Z`)
  if (Number.isNaN(date.getTime()) || date.getUTCDate() !== Number(day)) return null
  return new Date(text)
}
