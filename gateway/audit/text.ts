// Text in audit records. A record is read in terminals, in Athena and by people under pressure, so text that a peer
// chose must not be able to move a cursor, hide a line or push other fields out by its length.

/**
 * Beyond what JSON escapes anyway: DEL and C1 controls (terminals take U+009B as an escape sequence), line and
 * paragraph separators, invisible and bidirectional formatting (they make a text show as another), and the BOM.
 */
const UNSAFE =
  /[\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202f\u2060-\u206f\ufeff\ufff9-\ufffb]|\udb40[\udc00-\udfff]/g

/** One line of JSON, without its end, in which no string holds a character that a terminal or reader may act on. */
export function toLine(value: object): string {
  return JSON.stringify(value).replace(UNSAFE, (found) =>
    Array.from({ length: found.length }, (_, at) => found.charCodeAt(at))
      .map((unit) => `\\u${unit.toString(16).padStart(4, '0')}`)
      .join(''),
  )
}

/** Each character takes one byte in a record: nearly all texts are such, and need no measuring. */
const PLAIN = /^[ !#-[\]-~]*$/

/** Bytes of the text in a record, escapes included, quotes not. */
export function encodedBytes(text: string): number {
  if (PLAIN.test(text)) return text.length
  // The brackets and the quotes around the text.
  return Buffer.byteLength(toLine([text])) - 4
}

/** The text, or as much of its start as takes `maxBytes` in a record, with the mark `…[cut]`. */
export function cut(text: string, maxBytes: number): string {
  if (text.length <= maxBytes && PLAIN.test(text)) return text
  // Each UTF-16 unit takes a byte at least, so what lies behind cannot fit and need not be measured.
  const start = text.length > maxBytes ? text.slice(0, maxBytes) : text
  if (start.length === text.length && encodedBytes(text) <= maxBytes) return text
  let used = Buffer.byteLength(MARK)
  let kept = ''
  for (const character of start) {
    used += encodedBytes(character)
    if (used > maxBytes) break
    kept += character
  }
  return kept + MARK
}

const MARK = '…[cut]'
