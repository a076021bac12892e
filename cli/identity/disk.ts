// Steps of which `file-set.ts` is made: versions of files in directories of their own, and links that are moved into
// place. Each leaves what was there before, or what is wanted.
import { randomBytes } from 'node:crypto'
import type * as fs from 'node:fs/promises'
import path from 'node:path'
import { errnoOf } from '../../lambdas/identity/errno.ts'

/** What is asked of the file system, so that a test can let it fail. */
export type Disk = Pick<
  typeof fs,
  | 'chmod'
  | 'lstat'
  | 'mkdir'
  | 'mkdtemp'
  | 'open'
  | 'readdir'
  | 'readFile'
  | 'readlink'
  | 'rename'
  | 'rm'
  | 'stat'
  | 'symlink'
>

export interface Place {
  readonly disk: Disk
  readonly directory: string
  readonly now: Date
}

export interface SetFile {
  readonly name: string
  readonly content: string | Uint8Array
  readonly mode: number
}

/** The names that `writeVersion` gives. */
export const VERSION = /^\.\.\d{4}(?:_\d\d){5}\.[A-Za-z0-9]{6}$/
/** Links that were not moved into place, and what earlier releases left behind when they died while writing. */
export const TEMPORARY = /^\..+\.[0-9a-f]{12}\.tmp$/

export const at = (place: Place, name: string): string => path.join(place.directory, name)

/** Forces the names in a directory to disk. */
export async function sync({ disk }: Place, directory: string): Promise<void> {
  const handle = await disk.open(directory, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** What a link says; null where there is none of that name. */
export async function readLink(place: Place, name: string): Promise<string | null> {
  try {
    return await place.disk.readlink(at(place, name))
  } catch (error) {
    // EINVAL: something else than a link.
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'EINVAL') return null
    throw error
  }
}

/** Makes the link, or puts it in the place of what is there, in one step. */
export async function replaceLink(place: Place, name: string, target: string): Promise<void> {
  const { disk } = place
  const temporary = at(place, `.${name}.${randomBytes(6).toString('hex')}.tmp`)
  await disk.symlink(target, temporary)
  try {
    await disk.rename(temporary, at(place, name))
  } catch (error) {
    await disk.rm(temporary, { force: true }).catch(() => undefined)
    throw error
  }
}

/** `..2026_11_24_12_00_00.` and six characters that `mkdtemp` chooses. */
function versionPrefix(now: Date): string {
  return `..${now.toISOString().slice(0, 19).replaceAll(/[-T:]/g, '_')}.`
}

async function fillVersion(place: Place, version: string, files: readonly SetFile[]): Promise<void> {
  const { disk, directory } = place
  for (const { name, content, mode } of files) {
    const handle = await disk.open(path.join(version, name), 'wx', mode)
    try {
      await handle.writeFile(content)
      await handle.sync()
    } finally {
      await handle.close()
    }
  }
  // Who may look into the directory may look into the version: its owner chose so, and each file has a mode of its own.
  const { mode } = await disk.stat(directory)
  await disk.chmod(version, mode & 0o755)
  await sync(place, version)
}

/** Gives the name of the new directory; where it cannot be filled, nothing of it stays. */
export async function writeVersion(place: Place, files: readonly SetFile[]): Promise<string> {
  const version = await place.disk.mkdtemp(at(place, versionPrefix(place.now)))
  try {
    await fillVersion(place, version, files)
    return path.basename(version)
  } catch (error) {
    await place.disk.rm(version, { recursive: true, force: true }).catch(() => undefined)
    throw error
  }
}
