// The operator's hint for one outcome: the table's sentence with the destination named, so that it can be acted on
// from the record alone.
import { REASONS } from './reasons.ts'
import type { ReasonCode } from './reasons.ts'

/** Null where nothing is to be done. `destination` is null where none was matched. */
export function hintFor(code: ReasonCode, destination: string | null): string | null {
  const { hint } = REASONS[code]
  if (hint === null || destination === null) return hint
  // A function as replacement: in a string, `$&` in a name would be expanded.
  return hint.replace('the destination', () => `destination ${JSON.stringify(destination)}`)
}
