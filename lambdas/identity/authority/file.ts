// The CA in a directory: `authority.json` (the document, with the issuing key) and one `root-<id>.key` per root. Made
// on first use. What is there and cannot be read is an error and stays as it is: a CA that replaced itself would orphan
// every workload that trusts the old one.
import { chmod, mkdir, readdir, unlink } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { createFile, replaceFile } from '../atomic-file.ts'
import { type AuthorityLog, messageOf } from '../log.ts'
import { createIssuingCa, createRootCa } from './certificates.ts'
import {
  type AuthorityDocument,
  AuthorityError,
  formatAuthorityDocument,
  parseAuthorityDocument,
} from './document.ts'
import { readPrivateFile } from './private-file.ts'
import { issuingNeedsRenewal, renewIssuing, withLock } from './renewal.ts'
import { type Authority, type AuthorityState, buildAuthorityState } from './state.ts'

export const REREAD_MS = 60_000
const REFRESH_HINT_SECONDS = 300
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

/** Root and issuing CA, made where there is no document. Of two processes that try at once, one wins. */
async function giveBirth(options: FileAuthorityOptions): Promise<void> {
  const now = options.clock()
  await mkdir(options.directory, { recursive: true, mode: 0o700 })
  await chmod(options.directory, 0o700)
  const ca = { trustDomain: options.trustDomain, now, random: options.random }
  const root = await createRootCa(ca)
  const issuing = await createIssuingCa(ca, root)
  const keyFile = `root-${root.keyId}.key`
  const document: AuthorityDocument = {
    sequence: 1,
    refreshHint: REFRESH_HINT_SECONDS,
    roots: [
      {
        certificate: root.certificatePem,
        key: `file:${keyFile}`,
        publishedAt: now.toISOString(),
        activateAt: now.toISOString(),
        removeAfter: null,
      },
    ],
    issuing: {
      chain: issuing.certificatePem,
      key: issuing.keyPem,
      notAfter: issuing.certificate.notAfter.toISOString(),
    },
    jwtKeys: [],
  }
  // The key first: a document whose root key was never written could not be renewed.
  await createFile(path.join(options.directory, keyFile), root.keyPem, 0o600)
  const won = await createFile(documentFile(options), formatAuthorityDocument(document), 0o600)
  if (won) options.log({ event: 'authority.created', level: 'info', directory: options.directory })
  else await unlink(path.join(options.directory, keyFile))
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
    await giveBirth(options)
  } catch (error) {
    if (error instanceof AuthorityError) throw error
    throw new AuthorityError('authority-unwritable', `${options.directory}: ${messageOf(error)}`)
  }
  const born = await readPrivateFile(documentFile(options))
  if (born === null)
    throw new AuthorityError('authority-unreadable', `${documentFile(options)} is gone again`)
  return born
}

/** The document with an issuing CA that has at least half its life left, where it can be renewed. */
async function readRenewed(options: FileAuthorityOptions, text: string): Promise<AuthorityDocument> {
  const document = parseAuthorityDocument(text)
  if (!issuingNeedsRenewal(document, options.clock())) return document
  // Checked before it is written over, so that a broken document is never "renewed" into another broken one.
  await buildAuthorityState(document, options.trustDomain)
  try {
    const renewed = await withLock(path.join(options.directory, 'authority.lock'), async () => {
      const latest = parseAuthorityDocument((await readPrivateFile(documentFile(options))) ?? text)
      if (!issuingNeedsRenewal(latest, options.clock())) return latest
      const next = await renewIssuing(latest, options)
      await replaceFile(documentFile(options), formatAuthorityDocument(next), 0o600)
      options.log({ event: 'authority.issuing-renewed', level: 'info', notAfter: next.issuing.notAfter })
      return next
    })
    return renewed ?? document
  } catch (error) {
    // What is there still signs until its end; the log says each minute that it will not be for ever.
    options.log({ event: 'authority.renewal-failed', level: 'error', reason: messageOf(error) })
    return document
  }
}

class FileAuthority implements Authority {
  readonly #options: FileAuthorityOptions
  #state: AuthorityState | null = null
  #readAt = 0
  #pending: Promise<AuthorityState> | null = null

  constructor(options: FileAuthorityOptions) {
    this.#options = options
  }

  current(): Promise<AuthorityState> {
    const since = this.#options.clock().getTime() - this.#readAt
    if (this.#state !== null && since >= 0 && since < REREAD_MS) return Promise.resolve(this.#state)
    this.#pending ??= this.#read().finally(() => {
      this.#pending = null
    })
    return this.#pending
  }

  async #read(): Promise<AuthorityState> {
    const { log, trustDomain, clock } = this.#options
    const known = this.#state
    try {
      const found =
        known === null
          ? await readOrCreate(this.#options)
          : await readPrivateFile(documentFile(this.#options))
      if (found === null) throw new AuthorityError('authority-unreadable', 'the CA document is gone')
      const document = await readRenewed(this.#options, found)
      const state = await buildAuthorityState(document, trustDomain)
      if (known !== null && document.sequence < (known.bundle.sequence ?? 0)) {
        throw new AuthorityError('authority-went-back', 'the CA document has a lower sequence than before')
      }
      this.#state = state
    } catch (error) {
      if (known === null) throw error
      // The last good one goes on, until its issuing CA ends.
      log({ event: 'authority.read-failed', level: 'error', reason: messageOf(error) })
    }
    this.#readAt = clock().getTime()
    if (this.#state === null) throw new AuthorityError('authority-unreadable', 'the CA was never read')
    return this.#state
  }
}

/** The authority of a directory. Nothing is touched before the first `current()`. */
export function createFileAuthority(options: FileAuthorityOptions): Authority {
  return new FileAuthority(options)
}
