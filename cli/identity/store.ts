// Keeps a fetched identity in a directory: `key.pem` (0600), `certificate.pem`, `bundle.json` and `bundle.pem`, replaced
// all at once. Who reads several of them opens `realpath DIR/..data` once and reads there: all of it belongs together.
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { errnoOf } from '../../lambdas/identity/errno.ts'
import { readBundle } from '../../spiffe/bundle.ts'
import { IdentityFetchError } from '../../common/authority/errors.ts'
import type { FetchedSvid } from './fetch.ts'
import type { SetFile } from './disk.ts'
import { type FileSetOptions, replaceFileSet, tryFileSet } from './file-set.ts'

export const IDENTITY_FILES = {
  key: 'key.pem',
  certificate: 'certificate.pem',
  bundle: 'bundle.json',
  bundlePem: 'bundle.pem',
} as const

/** What a file system that has no links answers. */
const NO_LINKS: ReadonlySet<string> = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS'])

function unwritable(directory: string, error: unknown): IdentityFetchError {
  if (error instanceof IdentityFetchError) return error
  const errno = errnoOf(error)
  const isLink = error instanceof Error && 'syscall' in error && error.syscall === 'symlink'
  const reason = error instanceof Error ? error.message : String(error)
  const message =
    isLink && errno !== null && NO_LINKS.has(errno)
      ? 'its file system has no symbolic links, by which key and certificate are replaced together: name a directory on another one'
      : reason
  return new IdentityFetchError('output-unwritable', `${directory}: ${message}`, { cause: error })
}

/**
 * The sequence of the bundle that is kept; null where there is none, or one without a sequence.
 * @throws IdentityFetchError `bundle-unreadable`
 */
async function keptSequence(directory: string, trustDomain: string): Promise<number | null> {
  const file = path.join(directory, IDENTITY_FILES.bundle)
  try {
    return readBundle(await readFile(file, 'utf8'), trustDomain).sequence
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return null
    const reason = error instanceof Error ? error.message : String(error)
    // Not taken as "none": that would let an authority go back to an old bundle by damaging this one.
    throw new IdentityFetchError(
      'bundle-unreadable',
      `${file}: the bundle that was kept cannot be read: ${reason} (restore it, or remove it to trust the authority's bundle anew)`,
      { cause: error },
    )
  }
}

/**
 * Checks what can be checked before a proof is shown: a proof may be good for one showing alone.
 * @throws IdentityFetchError `bundle-unreadable`, `output-unwritable`
 */
export async function checkStore(
  directory: string,
  trustDomain: string,
  options: FileSetOptions = {},
): Promise<void> {
  try {
    await tryFileSet(directory, options)
  } catch (error) {
    throw unwritable(directory, error)
  }
  await keptSequence(directory, trustDomain)
}

function toFiles(svid: FetchedSvid): readonly SetFile[] {
  return [
    { name: IDENTITY_FILES.key, content: svid.keyPem, mode: 0o600 },
    { name: IDENTITY_FILES.certificate, content: svid.certificatePem, mode: 0o644 },
    { name: IDENTITY_FILES.bundle, content: svid.bundleJson, mode: 0o644 },
    { name: IDENTITY_FILES.bundlePem, content: svid.bundlePem, mode: 0o644 },
  ]
}

/**
 * Writes the identity over the one that is there. A bundle with a lower sequence than the kept one is refused: it may
 * bring back a root that was removed.
 * @throws IdentityFetchError `bundle-went-back`, `bundle-unreadable`, `output-unwritable`
 */
export async function storeIdentity(
  directory: string,
  svid: FetchedSvid,
  trustDomain: string,
  options: FileSetOptions = {},
): Promise<void> {
  const kept = await keptSequence(directory, trustDomain)
  if (kept !== null && (svid.bundleSequence === null || svid.bundleSequence < kept)) {
    throw new IdentityFetchError(
      'bundle-went-back',
      `the authority's bundle has sequence ${svid.bundleSequence ?? 'none'}, ${path.join(directory, IDENTITY_FILES.bundle)} has ${kept}`,
    )
  }
  try {
    await replaceFileSet(directory, toFiles(svid), options)
  } catch (error) {
    throw unwritable(directory, error)
  }
}
