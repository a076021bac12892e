// Files that are whole or not there: written beside their name, forced to disk, then moved onto it in one step.
import { randomBytes } from 'node:crypto'
import { link, open, rename, unlink } from 'node:fs/promises'
import path from 'node:path'
import { errnoOf } from './errno.ts'

/** Forces the names in a directory to disk: without it a new file may be gone after a power cut. */
export async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

async function writeBeside(file: string, content: string, mode: number): Promise<string> {
  const temporary = path.join(
    path.dirname(file),
    `.${path.basename(file)}.${randomBytes(6).toString('hex')}.tmp`,
  )
  const handle = await open(temporary, 'wx', mode)
  try {
    await handle.writeFile(content)
    await handle.sync()
  } catch (error) {
    // Part of a secret on a disk that is full, under a name that nobody looks for.
    await unlink(temporary).catch(() => undefined)
    throw error
  } finally {
    await handle.close()
  }
  return temporary
}

/** Writes the file whole, over what is there. `mode` is the mode of the new file from its first byte on. */
export async function replaceFile(file: string, content: string, mode: number): Promise<void> {
  const temporary = await writeBeside(file, content, mode)
  try {
    await rename(temporary, file)
  } catch (error) {
    await unlink(temporary).catch(() => undefined)
    throw error
  }
  await syncDirectory(path.dirname(file))
}

/**
 * Writes the file whole, unless one of that name exists.
 * @returns false where there was one; it is then untouched
 */
export async function createFile(file: string, content: string, mode: number): Promise<boolean> {
  const temporary = await writeBeside(file, content, mode)
  try {
    // A rename would replace what another process made a moment ago; a link never does.
    await link(temporary, file)
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') return false
    throw error
  } finally {
    await unlink(temporary).catch(() => undefined)
  }
  await syncDirectory(path.dirname(file))
  return true
}
