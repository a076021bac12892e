// Which known word a mistyped one was probably meant to be, for fault messages.

/** Longer words are cut: the table of the comparison is quadratic. */
const MAX_LENGTH = 64

/**
 * The known word with the fewest edits (insert, delete, replace, swap of neighbours) from `word`, upper and lower case
 * alike; the first of those that tie, null where nothing is known.
 */
export function nearest(word: string, known: readonly string[]): { word: string; edits: number } | null {
  let best: { word: string; edits: number } | null = null
  for (const candidate of known) {
    const edits = countEdits(fold(word), fold(candidate))
    if (best === null || edits < best.edits) best = { word: candidate, edits }
  }
  return best
}

function fold(word: string): string {
  return word.slice(0, MAX_LENGTH).toLowerCase()
}

/** Optimal string alignment distance. */
function countEdits(a: string, b: string): number {
  let before: number[] = []
  let previous = Array.from({ length: b.length + 1 }, (_, column) => column)
  for (let row = 1; row <= a.length; row += 1) {
    const current = [row]
    for (let column = 1; column <= b.length; column += 1) {
      const same = a[row - 1] === b[column - 1]
      let edits = Math.min(
        at(previous, column) + 1,
        at(current, column - 1) + 1,
        at(previous, column - 1) + (same ? 0 : 1),
      )
      const swapped = a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]
      if (row > 1 && column > 1 && swapped) edits = Math.min(edits, at(before, column - 2) + 1)
      current.push(edits)
    }
    before = previous
    previous = current
  }
  return at(previous, b.length)
}

function at(row: readonly number[], column: number): number {
  return row[column] ?? 0
}
