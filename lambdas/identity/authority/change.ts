// Changes the document of a CA in files: under the lock, from what is on disk, as a whole, and not at all where anything
// moved meanwhile.
import { replaceFile } from '../atomic-file.ts'
import { messageOf } from '../log.ts'
import { type Advanced, advance, logBlocked } from './advance.ts'
import { noDocument } from './birth.ts'
import { AuthorityError, formatAuthorityDocument, parseAuthorityDocument } from './document.ts'
import { type HeldLock, withLock } from './lock.ts'
import { documentFile, type FileAuthorityOptions, lockFile, removeRootKeys, toolsOf } from './place.ts'
import type { Wanted } from './plan.ts'
import { checkOwner, readPrivateFile } from './private-file.ts'
import { isPublishedTooLate } from './publication.ts'
import { buildAuthorityState } from './state.ts'
import { sweep } from './sweep.ts'

const SWEEP_AFTER_MS = 3_600_000

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

/**
 * Making keys may have taken any time: the process may have been stopped in between.
 * @param read the text that the change was computed from
 */
async function checkNothingMoved(
  options: FileAuthorityOptions,
  lock: HeldLock,
  read: string,
  { document, publishedRoot, publishedJwtKey }: Advanced,
): Promise<void> {
  const published = publishedRoot ?? publishedJwtKey
  if (
    published !== null &&
    isPublishedTooLate(published.publishedAt, document.refreshHint, options.clock())
  ) {
    throw new AuthorityError(
      'authority-too-late',
      'the change took so long that its new keys would sign too early',
    )
  }
  if ((await readPrivateFile(documentFile(options))) !== read || !(await lock.isOurs())) {
    throw new AuthorityError('authority-busy', `another process changed the CA in ${options.directory}`)
  }
}

async function changeHeld(
  options: FileAuthorityOptions,
  lock: HeldLock,
  wanted: Wanted | undefined,
): Promise<Advanced> {
  const text = await readPrivateFile(documentFile(options))
  if (text === null) throw await noDocument(options)
  const latest = parseAuthorityDocument(text)
  // Checked before it is written over, so that a broken document is never advanced into another broken one.
  await buildAuthorityState(latest, options.trustDomain)
  await sweep(options, latest, new Date(lock.since.getTime() - (options.sweepAfterMs ?? SWEEP_AFTER_MS)))
  const now = options.clock()
  const advanced = await advance(latest, toolsOf(options), wanted === undefined ? { now } : { now, wanted })
  logBlocked(options.log, advanced)
  if (advanced.document === latest) return advanced
  try {
    await buildAuthorityState(advanced.document, options.trustDomain)
    await checkNothingMoved(options, lock, text, advanced)
  } catch (error) {
    await removeRootKeys(options, advanced.publishedRoot === null ? [] : [advanced.publishedRoot.key])
    throw error
  }
  await replaceFile(documentFile(options), formatAuthorityDocument(advanced.document), 0o600)
  await removeRootKeys(
    options,
    advanced.droppedRoots.map(({ key }) => key),
  )
  logAdvance(options, advanced)
  return advanced
}

/**
 * Advances the document under the lock.
 * @returns null where another process holds it
 * @throws AuthorityError; the document is then as it was
 */
export async function changeDocument(
  options: FileAuthorityOptions,
  wanted?: Wanted,
): Promise<Advanced | null> {
  try {
    if ((await readPrivateFile(documentFile(options))) === null) throw await noDocument(options)
    await checkOwner(documentFile(options), options.user)
    return await withLock(lockFile(options), (lock) => changeHeld(options, lock, wanted))
  } catch (error) {
    if (error instanceof AuthorityError) throw error
    throw new AuthorityError('authority-unwritable', `${options.directory}: ${messageOf(error)}`, {
      cause: error,
    })
  }
}
