// Where a CA in files has its parts, and what works with them: `authority.json` (the document), one `root-<id>.key` for
// each root, the lock, and a mark while the CA is not born yet.
import { readdir, unlink } from 'node:fs/promises'
import path from 'node:path'
import type { AuthorityLog } from '../log.ts'
import type { CaTools } from './advance.ts'
import { createCaTools } from './root-keys.ts'
import { createFileRootKeys, rootKeyFile } from './root-keys-file.ts'

export interface FileAuthorityOptions {
  readonly directory: string
  readonly trustDomain: string
  readonly clock: () => Date
  readonly random: (bytes: number) => Uint8Array
  readonly log: AuthorityLog
  /** The effective user; null where the platform has none. Default: that of the process. */
  readonly user?: number | null
  /** What nobody names any more is removed when it is this old. Default: an hour. */
  readonly sweepAfterMs?: number
}

export type Place = Pick<FileAuthorityOptions, 'directory'>

export function documentFile({ directory }: Place): string {
  return path.join(directory, 'authority.json')
}

export function lockFile({ directory }: Place): string {
  return path.join(directory, 'authority.lock')
}

export function birthFile({ directory }: Place): string {
  return path.join(directory, 'authority.birth')
}

export function toolsOf(options: FileAuthorityOptions): CaTools {
  return createCaTools({ ...options, rootKeys: createFileRootKeys(options.directory) })
}

/** The names in the directory; none where there is no directory. */
export async function namesIn({ directory }: Place): Promise<readonly string[]> {
  return readdir(directory).catch(() => [])
}

export async function removeRootKeys({ directory }: Place, references: readonly string[]): Promise<void> {
  for (const reference of references) {
    const file = rootKeyFile(directory, reference)
    if (file !== null) await unlink(file).catch(() => undefined)
  }
}
