// Removes what processes that died left in the directory of a CA: halves of files, and root keys that no document came
// to name. Whoever calls holds the lock.
import { stat, unlink } from 'node:fs/promises'
import path from 'node:path'
import type { AuthorityDocument } from './document.ts'
import { namesIn, type Place } from './place.ts'

const HALF_WRITTEN = /^\.(?:authority\.(?:json|birth|lock)|root-[0-9a-f]{16}\.key)\.[0-9a-f]+(?:\.\d+)?\.tmp$/
const ROOT_KEY = /^root-[0-9a-f]{16}\.key$/

/**
 * @param document the one on disk: what it names stays, however old
 * @param before by the file system's time. Since when a file is under its name counts, not when its content was
 *   written: a key that is restored from a copy a moment before the document that names it is not old.
 */
export async function sweep(place: Place, document: AuthorityDocument, before: Date): Promise<void> {
  const named = new Set(document.roots.map(({ key }) => key))
  for (const name of await namesIn(place)) {
    const left = HALF_WRITTEN.test(name) || (ROOT_KEY.test(name) && !named.has(`file:${name}`))
    if (!left) continue
    const file = path.join(place.directory, name)
    const found = await stat(file).catch(() => null)
    if (found !== null && found.ctime < before) await unlink(file).catch(() => undefined)
  }
}
