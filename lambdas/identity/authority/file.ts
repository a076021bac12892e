// The CA in a directory: `authority.json` (the document, with what signs now) and one `root-<id>.key` per root. Made on
// first use, and advanced by whoever reads it when something is due. What is there and cannot be read is an error and
// stays as it is: a CA that replaced itself would orphan every workload that trusts the old one.
import { chmod, mkdir, readdir, unlink } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { createFile, replaceFile } from '../atomic-file.ts'
import { type AuthorityLog, messageOf } from '../log.ts'
import { type Advanced, advance, type CaTools, giveBirth, planFor } from './advance.ts'
import { createCachedAuthority } from './cached.ts'
import {
  type AuthorityDocument,
  AuthorityError,
  formatAuthorityDocument,
  parseAuthorityDocument,
} from './document.ts'
import { withLock } from './lock.ts'
import type { Wanted } from './plan.ts'
import { readPrivateFile } from './private-file.ts'
import { createCaTools } from './root-keys.ts'
import { createFileRootKeys, rootKeyFile } from './root-keys-file.ts'
import { type Authority, buildAuthorityState } from './state.ts'

const BIRTH_ATTEMPTS = 20
const BIRTH_POLL_MS = 100

export interface FileAuthorityOptions {
  readonly directory: string
  readonly trustDomain: string
  readonly clock: () => Date
  readonly random: (bytes: number) => Uint8Array
  readonly log: AuthorityLog
}

function documentFile(options: FileAuthorityOptions): string {
  return path.join(options.directory, 'authority.json')
}

function toolsOf(options: FileAuthorityOptions): CaTools {
  return createCaTools({ ...options, rootKeys: createFileRootKeys(options.directory) })
}

async function removeRootKeys(options: FileAuthorityOptions, references: readonly string[]): Promise<void> {
  for (const reference of references) {
    const file = rootKeyFile(options.directory, reference)
    if (file !== null) await unlink(file).catch(() => undefined)
  }
}

/** The first document, unless another process was faster. */
async function create(options: FileAuthorityOptions): Promise<void> {
  await mkdir(options.directory, { recursive: true, mode: 0o700 })
  await chmod(options.directory, 0o700)
  // The root key is on disk before the document: one whose key was never written could not be advanced.
  const document = await giveBirth(toolsOf(options), options.clock())
  const won = await createFile(documentFile(options), formatAuthorityDocument(document), 0o600)
  if (won) options.log({ event: 'authority.created', level: 'info', directory: options.directory })
  else
    await removeRootKeys(
      options,
      document.roots.map(({ key }) => key),
    )
}

async function holdsRootKey(directory: string): Promise<boolean> {
  const names = await readdir(directory).catch(() => [])
  return names.some((name) => /^root-.*\.key$/.test(name))
}

/** The document; waits for it where a root key says that another process is at birth this moment. */
async function awaitDocument(options: FileAuthorityOptions): Promise<string | null> {
  for (let attempt = 0; attempt < BIRTH_ATTEMPTS; attempt++) {
    const found = await readPrivateFile(documentFile(options))
    if (found !== null || !(await holdsRootKey(options.directory))) return found
    await setTimeout(BIRTH_POLL_MS)
  }
  throw new AuthorityError(
    'authority-inconsistent',
    `${options.directory} holds a root key but no authority.json: restore that file, or empty the directory to begin anew`,
  )
}

async function readOrCreate(options: FileAuthorityOptions): Promise<string> {
  const found = await awaitDocument(options)
  if (found !== null) return found
  try {
    await create(options)
  } catch (error) {
    if (error instanceof AuthorityError) throw error
    throw new AuthorityError('authority-unwritable', `${options.directory}: ${messageOf(error)}`)
  }
  const born = await readPrivateFile(documentFile(options))
  if (born === null)
    throw new AuthorityError('authority-unreadable', `${documentFile(options)} is gone again`)
  return born
}

function logAdvance({ log }: FileAuthorityOptions, advanced: Advanced): void {
  log({
    event: 'authority.advanced',
    level: 'info',
    sequence: advanced.document.sequence,
    issuingRenewed: advanced.issuingRenewed,
    rootPublished: advanced.publishedRoot !== null,
    jwtKeyPublished: advanced.publishedJwtKey?.kid ?? null,
    rootsDropped: advanced.droppedRoots.length,
    jwtKeysDropped: advanced.droppedJwtKeys.map(({ kid }) => kid),
  })
}

/** Advances the document under the lock. @returns null where another process holds it */
async function advanceLocked(options: FileAuthorityOptions, wanted?: Wanted): Promise<Advanced | null> {
  return withLock(path.join(options.directory, 'authority.lock'), async () => {
    const text = await readPrivateFile(documentFile(options))
    if (text === null) throw new AuthorityError('authority-unreadable', 'the CA document is gone')
    const latest = parseAuthorityDocument(text)
    // Checked before it is written over, so that a broken document is never advanced into another broken one.
    await buildAuthorityState(latest, options.trustDomain)
    const now = options.clock()
    const advanced = await advance(latest, toolsOf(options), wanted === undefined ? { now } : { now, wanted })
    if (advanced.document === latest) return advanced
    await buildAuthorityState(advanced.document, options.trustDomain)
    await replaceFile(documentFile(options), formatAuthorityDocument(advanced.document), 0o600)
    await removeRootKeys(
      options,
      advanced.droppedRoots.map(({ key }) => key),
    )
    logAdvance(options, advanced)
    return advanced
  })
}

/** The document with everything done that is due, where it can be done. */
async function readAdvanced(options: FileAuthorityOptions, text: string): Promise<AuthorityDocument> {
  const document = parseAuthorityDocument(text)
  await buildAuthorityState(document, options.trustDomain)
  if (!planFor(document, toolsOf(options), { now: options.clock() }).due) return document
  try {
    const advanced = await advanceLocked(options)
    return advanced?.document ?? document
  } catch (error) {
    // What is there still signs until its end; the log says each minute that it will not be for ever.
    options.log({ event: 'authority.renewal-failed', level: 'error', reason: messageOf(error) })
    return document
  }
}

/** The authority of a directory. Nothing is touched before the first `current()`. */
export function createFileAuthority(options: FileAuthorityOptions): Authority {
  return createCachedAuthority({
    ...options,
    async read(first) {
      const text = first ? await readOrCreate(options) : await readPrivateFile(documentFile(options))
      if (text === null) throw new AuthorityError('authority-unreadable', 'the CA document is gone')
      return readAdvanced(options, text)
    },
  })
}

/**
 * Rotates by hand: what is due, and what is wanted besides. A running authority of the directory follows within a minute.
 * @throws AuthorityError, `authority-busy` where another process is at it
 */
export async function rotateFileAuthority(options: FileAuthorityOptions, wanted: Wanted): Promise<Advanced> {
  const advanced = await advanceLocked(options, wanted)
  if (advanced === null) {
    throw new AuthorityError('authority-busy', `another process changes the CA in ${options.directory}`)
  }
  return advanced
}
