// The CA in a directory: `authority.json` (the document, with what signs now) and one `root-<id>.key` per root. Made on
// first use, and advanced by whoever reads it when something is due. What is there and cannot be read is an error and
// stays as it is: a CA that replaced itself would orphan every workload that trusts the old one.
import { messageOf } from '../log.ts'
import { type Advanced, logBlocked, planFor } from './advance.ts'
import { readOrCreate } from './birth.ts'
import { createCachedAuthority } from './cached.ts'
import { changeDocument } from './change.ts'
import { type AuthorityDocument, AuthorityError, parseAuthorityDocument } from './document.ts'
import { documentFile, type FileAuthorityOptions, toolsOf } from './place.ts'
import type { Wanted } from './plan.ts'
import { readPrivateFile } from './private-file.ts'
import { type Authority, buildAuthorityState } from './state.ts'

/** The document with everything done that is due, where it can be done. */
async function readAdvanced(options: FileAuthorityOptions, text: string): Promise<AuthorityDocument> {
  const document = parseAuthorityDocument(text)
  await buildAuthorityState(document, options.trustDomain)
  const plan = planFor(document, toolsOf(options), { now: options.clock() })
  if (!plan.due) {
    logBlocked(options.log, { blocked: plan.blocked, failures: [] })
    return document
  }
  try {
    const advanced = await changeDocument(options)
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
  const advanced = await changeDocument(options, wanted)
  if (advanced === null) {
    throw new AuthorityError('authority-busy', `another process changes the CA in ${options.directory}`)
  }
  return advanced
}
