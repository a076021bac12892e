// Renewal of the issuing CA from a root key in a file. The published bundle does not change by it, since the issuing
// CA travels in the chain; so the sequence stays, and two renewals at once would only be one too many.
import { randomBytes, webcrypto } from 'node:crypto'
import { open, rename, stat, unlink } from 'node:fs/promises'
import path from 'node:path'
import { errnoOf } from '../errno.ts'
import * as x509 from '../x509-library.ts'
import { CA_ALGORITHM, createIssuingCa } from './certificates.ts'
import { type AuthorityDocument, AuthorityError } from './document.ts'
import { readPrivateFile } from './private-file.ts'
import { readCertificates } from './state.ts'

/** A lock older than this is left from a process that died: renewal takes well under a second. */
const LOCK_STALE_MS = 60_000

/** Whether less than half the life of the issuing CA is left. */
export function issuingNeedsRenewal(document: AuthorityDocument, now: Date): boolean {
  const [issuing] = readCertificates(document.issuing.chain)
  if (issuing === undefined) return false
  const begin = issuing.validFromDate.getTime()
  return now.getTime() > begin + (issuing.validToDate.getTime() - begin) / 2
}

async function importRootKey(pem: string): Promise<CryptoKey> {
  const [der] = x509.PemConverter.decode(pem)
  if (der === undefined) throw new AuthorityError('authority-malformed', 'the root key is no PEM')
  return webcrypto.subtle.importKey('pkcs8', der, CA_ALGORITHM, false, ['sign'])
}

/** The newest root that may sign now, with its key. */
async function openRoot(document: AuthorityDocument, directory: string, now: Date) {
  const active = document.roots
    .filter(({ activateAt, removeAfter }) => {
      return Date.parse(activateAt) <= now.getTime() && removeAfter === null
    })
    .sort((a, b) => Date.parse(b.activateAt) - Date.parse(a.activateAt))
  const [root] = active
  const [, name] = /^file:(root-[0-9a-f]{16}\.key)$/.exec(root?.key ?? '') ?? []
  if (root === undefined || name === undefined) {
    throw new AuthorityError('authority-inconsistent', 'no root with a key in this directory may sign')
  }
  const pem = await readPrivateFile(path.join(directory, name))
  if (pem === null) throw new AuthorityError('authority-unreadable', `the root key ${name} is missing`)
  return { certificate: new x509.X509Certificate(root.certificate), key: await importRootKey(pem) }
}

export interface RenewalOptions {
  readonly directory: string
  readonly trustDomain: string
  readonly clock: () => Date
  readonly random: (bytes: number) => Uint8Array
}

/** The document with a new issuing CA; nothing is written. */
export async function renewIssuing(
  document: AuthorityDocument,
  options: RenewalOptions,
): Promise<AuthorityDocument> {
  const now = options.clock()
  const root = await openRoot(document, options.directory, now)
  const issuing = await createIssuingCa(
    { trustDomain: options.trustDomain, now, random: options.random },
    root,
  )
  return {
    ...document,
    issuing: {
      chain: issuing.certificatePem,
      key: issuing.keyPem,
      notAfter: issuing.certificate.notAfter.toISOString(),
    },
  }
}

async function take(lock: string): Promise<boolean> {
  try {
    const handle = await open(lock, 'wx', 0o600)
    await handle.close()
    return true
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') return false
    throw error
  }
}

async function removeStale(lock: string, now: Date): Promise<void> {
  const found = await stat(lock).catch(() => null)
  if (found === null || now.getTime() - found.mtimeMs < LOCK_STALE_MS) return
  // Moved away first: of two processes that see the same stale lock, only one can move it.
  const aside = `${lock}.${randomBytes(6).toString('hex')}`
  await rename(lock, aside).catch(() => undefined)
  await unlink(aside).catch(() => undefined)
}

/**
 * Runs `work` while holding the lock file.
 * @returns null where another process holds it: then that one does the work
 */
export async function withLock<T>(lock: string, work: () => Promise<T>): Promise<T | null> {
  if (!(await take(lock))) {
    await removeStale(lock, new Date())
    if (!(await take(lock))) return null
  }
  try {
    return await work()
  } finally {
    await unlink(lock).catch(() => undefined)
  }
}
