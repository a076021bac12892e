// Files that hold keys: bounded, and refused where anybody but their owner may read them.
import { open, stat } from 'node:fs/promises'
import { errnoOf } from '../errno.ts'
import { messageOf } from '../log.ts'
import { AuthorityError } from './document.ts'

const MAX_FILE_BYTES = 64 * 1024

/** A file that nobody else may read; null where there is none. */
export async function readPrivateFile(file: string): Promise<string | null> {
  let handle: Awaited<ReturnType<typeof open>>
  try {
    handle = await open(file, 'r')
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return null
    throw new AuthorityError('authority-unreadable', `${file}: ${messageOf(error)}`)
  }
  try {
    const { mode, size } = await handle.stat()
    if ((mode & 0o077) !== 0) {
      throw new AuthorityError('authority-permissions', `${file} can be read by others: chmod 600 it`)
    }
    if (size > MAX_FILE_BYTES) throw new AuthorityError('authority-malformed', `${file} is over 64 KiB`)
    return await handle.readFile('utf8')
  } catch (error) {
    if (error instanceof AuthorityError) throw error
    throw new AuthorityError('authority-unreadable', `${file}: ${messageOf(error)}`)
  } finally {
    await handle.close()
  }
}

/**
 * A file is replaced by a new one that belongs to whoever runs, and is his alone to read.
 * @param user the effective user; null where the platform has none, the process's own where it is left out
 * @throws AuthorityError `authority-owner` where the owner would be locked out
 */
export async function checkOwner(
  file: string,
  user: number | null = process.geteuid?.() ?? null,
): Promise<void> {
  const { uid } = await stat(file)
  if (user === null || uid === user) return
  throw new AuthorityError(
    'authority-owner',
    `${file} belongs to user ${uid} and this is user ${user}: run it as its owner, who could not read the file any more`,
  )
}
