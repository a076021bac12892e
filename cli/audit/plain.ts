// Text of a log for a terminal: what a peer wrote into it moves no cursor here either. In the file it is escaped; reading it
// as JSON takes that off.
import { toLine } from '../../gateway/audit/text.ts'

/** Controls, separators and invisible characters as JSON escapes; all else as it is. */
export function plain(text: string): string {
  return toLine([text])
    .slice(2, -2)
    .replaceAll(/\\(["\\])/g, '$1')
}
