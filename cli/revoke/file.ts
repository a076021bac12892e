// A list of revocations in a file: written beside it and moved into its place, since half a list may be a list too. Gateways
// look at it every other second.
import { randomBytes } from 'node:crypto'
import { open, realpath, rename, rm, stat } from 'node:fs/promises'
import path from 'node:path'
import { decodeText, FileError, readRegularFile } from '../../gateway/config/files.ts'
import { RevokeError } from './errors.ts'
import type { RevocationListStore } from './store.ts'

/** @throws nothing; a file that is not there is found when it is read */
export function createFileStore(file: string): RevocationListStore {
  const read = async () => ({ text: await readList(file), version: null })
  return {
    source: `file:${file}`,
    read,
    async write(text, over) {
      // Through symlinks, so that the link stays one.
      const target = await realpath(file)
      const { mode } = await stat(target)
      const temporary = path.join(
        path.dirname(target),
        `.${path.basename(target)}.${randomBytes(6).toString('hex')}.tmp`,
      )
      try {
        await writeSynced(temporary, text, mode & 0o777)
        if ((await readList(file)) !== over.text) {
          throw new RevokeError('list-changed', `${file} was changed by somebody else meanwhile`)
        }
        await rename(temporary, target)
      } catch (error) {
        await rm(temporary, { force: true }).catch(() => undefined)
        if (error instanceof RevokeError) throw error
        const { message } = error instanceof Error ? error : new Error(String(error))
        throw new RevokeError('list-unwritable', `${file} cannot be written: ${message}`, { cause: error })
      }
      return { text, version: null }
    },
    isDeployed: async () => true,
    deploy: async () => null,
  }
}

async function readList(file: string): Promise<string> {
  try {
    const { bytes } = await readRegularFile(file)
    const text = decodeText(bytes)
    if (text !== null) return text
    throw new RevokeError('list-unreadable', `${file}: not text in UTF-8`)
  } catch (error) {
    if (!(error instanceof FileError)) throw error
    // Not made anew: what is revoked in a file that no gateway reads is not revoked.
    const hint = error.code === 'missing' ? '; the list without an entry is a file with [] in it' : ''
    throw new RevokeError('list-unreadable', `${file}: ${error.message}${hint}`, { cause: error })
  }
}

async function writeSynced(file: string, text: string, mode: number): Promise<void> {
  const handle = await open(file, 'wx', mode)
  try {
    await handle.writeFile(text)
    await handle.chmod(mode)
    await handle.sync()
  } finally {
    await handle.close()
  }
}
