// A lock file: of two processes that want to change the CA document, one does. A lock whose process died goes stale.
import { randomBytes } from 'node:crypto'
import { open, rename, stat, unlink } from 'node:fs/promises'
import { errnoOf } from '../errno.ts'

/** A lock older than this is left from a process that died: a change takes well under a second. */
const LOCK_STALE_MS = 60_000

async function take(lock: string): Promise<boolean> {
  try {
    const handle = await open(lock, 'wx', 0o600)
    await handle.close()
    return true
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') return false
    throw error
  }
}

async function removeStale(lock: string, now: Date): Promise<void> {
  const found = await stat(lock).catch(() => null)
  if (found === null || now.getTime() - found.mtimeMs < LOCK_STALE_MS) return
  // Moved away first: of two processes that see the same stale lock, only one can move it.
  const aside = `${lock}.${randomBytes(6).toString('hex')}`
  await rename(lock, aside).catch(() => undefined)
  await unlink(aside).catch(() => undefined)
}

/**
 * Runs `work` while holding the lock file.
 * @returns null where another process holds it: then that one does the work
 */
export async function withLock<T>(lock: string, work: () => Promise<T>): Promise<T | null> {
  if (!(await take(lock))) {
    await removeStale(lock, new Date())
    if (!(await take(lock))) return null
  }
  try {
    return await work()
  } finally {
    await unlink(lock).catch(() => undefined)
  }
}
