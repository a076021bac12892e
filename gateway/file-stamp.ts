// Whether a file has changed, by what the file system says of it.
import { stat } from 'node:fs/promises'

/** The stamp of a file that is not there. */
export const MISSING = 'missing'

/** Follows symlinks. A file that is not there has a stamp too: that is a change when it comes back. */
export async function stampOf(file: string): Promise<string> {
  try {
    const { ino, size, mtimeMs, ctimeMs } = await stat(file)
    return `${ino}/${size}/${mtimeMs}/${ctimeMs}`
  } catch {
    return MISSING
  }
}
