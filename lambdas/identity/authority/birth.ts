// The birth of a CA in files. It is done once, by one process under the lock, and leaves a mark until the document is
// there: root keys beside that mark signed nothing for anybody, so that a birth that died is simply done again. Root
// keys without mark and document are those of a CA whose document is lost, and nothing is made over them.
import { access, chmod, mkdir, unlink } from 'node:fs/promises'
import { setTimeout } from 'node:timers/promises'
import { createFile, syncDirectory } from '../atomic-file.ts'
import { messageOf } from '../log.ts'
import { giveBirth } from './advance.ts'
import { AuthorityError, formatAuthorityDocument } from './document.ts'
import { type HeldLock, withLock } from './lock.ts'
import {
  birthFile,
  documentFile,
  type FileAuthorityOptions,
  lockFile,
  namesIn,
  type Place,
  removeRootKeys,
  toolsOf,
} from './place.ts'
import { readPrivateFile } from './private-file.ts'

const BIRTH_ATTEMPTS = 20
const BIRTH_POLL_MS = 100

function isBeingBorn(place: Place): Promise<boolean> {
  return access(birthFile(place)).then(
    () => true,
    () => false,
  )
}

async function endBirth(place: Place): Promise<void> {
  // Asked first: where there is nothing to remove, a directory that cannot be written is good enough.
  if (!(await isBeingBorn(place))) return
  await unlink(birthFile(place))
  await syncDirectory(place.directory)
}

/** Why there is no document, where none is to be made. */
export async function noDocument(place: Place): Promise<AuthorityError> {
  const names = await namesIn(place)
  const lost = names.some((name) => /^root-.*\.key$/.test(name)) && !(await isBeingBorn(place))
  return lost
    ? new AuthorityError(
        'authority-inconsistent',
        `${place.directory} holds a root key but no authority.json: restore that file, or empty the directory to begin anew`,
      )
    : new AuthorityError(
        'authority-unborn',
        `there is no CA in ${place.directory} yet: the first start of \`sallyport authority\` makes it`,
      )
}

/** The first document; null where another process was faster. */
async function create(options: FileAuthorityOptions, lock: HeldLock): Promise<string | null> {
  const found = await readPrivateFile(documentFile(options))
  if (found !== null) return found
  const reason = await noDocument(options)
  if (reason.code !== 'authority-unborn') throw reason
  await createFile(birthFile(options), '', 0o600)
  // The root key is on disk before the document: one whose key was never written could not be advanced.
  const document = await giveBirth(toolsOf(options), options.clock())
  const text = formatAuthorityDocument(document)
  const won = (await lock.isOurs()) && (await createFile(documentFile(options), text, 0o600))
  if (!won) {
    await removeRootKeys(
      options,
      document.roots.map(({ key }) => key),
    )
    return null
  }
  await endBirth(options)
  options.log({ event: 'authority.created', level: 'info', directory: options.directory })
  return text
}

async function tryCreate(options: FileAuthorityOptions): Promise<string | null> {
  try {
    await mkdir(options.directory, { recursive: true, mode: 0o700 })
    await chmod(options.directory, 0o700)
    return await withLock(lockFile(options), (lock) => create(options, lock))
  } catch (error) {
    if (error instanceof AuthorityError) throw error
    throw new AuthorityError('authority-unwritable', `${options.directory}: ${messageOf(error)}`)
  }
}

/** The text of the document, which is made where there was none. @throws AuthorityError */
export async function readOrCreate(options: FileAuthorityOptions): Promise<string> {
  for (let attempt = 0; attempt < BIRTH_ATTEMPTS; attempt++) {
    const found = await readPrivateFile(documentFile(options))
    if (found !== null) {
      // Before anything is signed: from then on, root keys without a document are a loss.
      await endBirth(options)
      return found
    }
    const born = await tryCreate(options)
    if (born !== null) return born
    await setTimeout(BIRTH_POLL_MS)
  }
  throw new AuthorityError(
    'authority-busy',
    `another process makes the CA in ${options.directory}; if it died, a start in a minute makes it anew`,
  )
}
