// Keeps a fetched identity in a directory: `key.pem` (0600), `certificate.pem`, `bundle.json`, `bundle.pem`, each whole
// at any moment. The certificate is written last, so a watcher of it finds the key and the roots that belong to it.
import { mkdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { replaceFile } from '../../lambdas/identity/atomic-file.ts'
import { errnoOf } from '../../lambdas/identity/errno.ts'
import { readBundle } from '../../spiffe/bundle.ts'
import { IdentityFetchError } from './errors.ts'
import type { FetchedSvid } from './fetch.ts'

export const IDENTITY_FILES = {
  key: 'key.pem',
  certificate: 'certificate.pem',
  bundle: 'bundle.json',
  bundlePem: 'bundle.pem',
} as const

/** The sequence of the bundle that is kept; null where there is none, or one without a sequence. */
async function keptSequence(file: string, trustDomain: string): Promise<number | null> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return null
    throw error
  }
  return readBundle(text, trustDomain).sequence
}

/**
 * Writes the identity over the one that is there. A bundle with a lower sequence than the kept one is refused: it may
 * bring back a root that was removed.
 * @throws IdentityFetchError `bundle-went-back`, `output-unwritable`
 */
export async function storeIdentity(
  directory: string,
  svid: FetchedSvid,
  trustDomain: string,
): Promise<void> {
  const file = (name: keyof typeof IDENTITY_FILES): string => path.join(directory, IDENTITY_FILES[name])
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 })
    const kept = await keptSequence(file('bundle'), trustDomain)
    if (kept !== null && (svid.bundleSequence === null || svid.bundleSequence < kept)) {
      throw new IdentityFetchError(
        'bundle-went-back',
        `the authority's bundle has sequence ${svid.bundleSequence ?? 'none'}, ${file('bundle')} has ${kept}`,
      )
    }
    await replaceFile(file('bundle'), svid.bundleJson, 0o644)
    await replaceFile(file('bundlePem'), svid.bundlePem, 0o644)
    await replaceFile(file('key'), svid.keyPem, 0o600)
    await replaceFile(file('certificate'), svid.certificatePem, 0o644)
  } catch (error) {
    if (error instanceof IdentityFetchError) throw error
    const reason = error instanceof Error ? error.message : String(error)
    throw new IdentityFetchError('output-unwritable', `${directory}: ${reason}`, { cause: error })
  }
}
