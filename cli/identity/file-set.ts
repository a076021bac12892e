// Files in a directory that are replaced all at once, as the kubelet replaces a mounted secret: each version in a
// directory of its own, `..data` a link to the one that counts, and the names links through it. One rename is the
// change, so a crash leaves the old files or the new ones. Trusts that nobody but its user writes into the directory.
import * as fs from 'node:fs/promises'
import { errnoOf } from '../../lambdas/identity/errno.ts'
import {
  at,
  type Disk,
  type Place,
  readLink,
  replaceLink,
  type SetFile,
  sync,
  TEMPORARY,
  VERSION,
  writeVersion,
} from './disk.ts'

export interface FileSetOptions {
  readonly disk?: Disk
  readonly clock?: () => Date
}

/** The link that names the version that counts. */
export const DATA_LINK = '..data'
/** What is younger may be another process's, which is just writing it. */
const SWEEP_AFTER_MS = 60_000

const throughData = (name: string): string => `${DATA_LINK}/${name}`

async function linkNames(place: Place, files: readonly Pick<SetFile, 'name'>[]): Promise<void> {
  for (const { name } of files) {
    if ((await readLink(place, name)) !== throughData(name)) await replaceLink(place, name, throughData(name))
  }
}

async function swap(place: Place, version: string): Promise<void> {
  await replaceLink(place, DATA_LINK, version)
  await sync(place, place.directory)
}

async function readExisting(place: Place, name: string): Promise<Uint8Array | null> {
  try {
    return await place.disk.readFile(at(place, name))
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return null
    throw error
  }
}

/**
 * Turns files that lie in the directory itself, as earlier releases wrote them, into a version of the same content. The
 * names can then become links one by one, and whoever reads in between still finds what belongs together.
 */
async function adoptPlainFiles(place: Place, files: readonly SetFile[]): Promise<void> {
  const found: SetFile[] = []
  const plain: SetFile[] = []
  for (const file of files) {
    const content = await readExisting(place, file.name)
    if (content === null) continue
    found.push({ ...file, content })
    if ((await readLink(place, file.name)) !== throughData(file.name)) plain.push(file)
  }
  if (plain.length === 0) return
  await swap(place, await writeVersion(place, found))
  await linkNames(place, plain)
}

/** Removes what no longer counts and is no other process's. It stands before a change: a full disk may be full of it. */
async function sweep(place: Place): Promise<void> {
  const { disk, directory, now } = place
  const current = await readLink(place, DATA_LINK)
  for (const name of await disk.readdir(directory)) {
    if (name === current || !(VERSION.test(name) || TEMPORARY.test(name))) continue
    const { mtimeMs } = await disk.lstat(at(place, name))
    if (now.getTime() - mtimeMs < SWEEP_AFTER_MS) continue
    await disk.rm(at(place, name), { recursive: true, force: true })
  }
}

function toPlace(directory: string, options: FileSetOptions): Place {
  return { disk: options.disk ?? fs, directory, now: options.clock?.() ?? new Date() }
}

/**
 * Tries what `replaceFileSet` will need: to make directories, files and links.
 * @throws errors of the file system
 */
export async function tryFileSet(directory: string, options: FileSetOptions = {}): Promise<void> {
  const place = toPlace(directory, options)
  await place.disk.mkdir(directory, { recursive: true, mode: 0o700 })
  const version = await writeVersion(place, [{ name: 'try', content: 'x', mode: 0o600 }])
  try {
    await place.disk.symlink('try', at(place, `${version}/link`))
  } finally {
    await place.disk.rm(at(place, version), { recursive: true, force: true })
  }
}

/**
 * Puts the files in the place of those that are there, all of them or none. The version before stays until the next
 * change, for readers that are in the middle of it.
 * @throws errors of the file system; the files are then as they were
 */
export async function replaceFileSet(
  directory: string,
  files: readonly SetFile[],
  options: FileSetOptions = {},
): Promise<void> {
  const place = toPlace(directory, options)
  await place.disk.mkdir(directory, { recursive: true, mode: 0o700 })
  // Another process may sweep at the same time; what is left is swept the next time.
  await sweep(place).catch(() => undefined)
  await adoptPlainFiles(place, files)
  const version = await writeVersion(place, files)
  // Before the swap, so that in a new directory too all names appear in one moment.
  await linkNames(place, files)
  await swap(place, version)
}
