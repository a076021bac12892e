// A configuration in one document, `{"files": {"gateway.yaml": "…", "policy.cedar": "…"}}` (design §5.5), so that policy and
// destinations change together. A relative path in it means a file of the bundle, and none of the disk; an absolute one is
// the disk's, where keys belong: a private key in the bundle is refused, since whoever may read it is not who may have a key.
import path from 'node:path'
import * as z from 'zod'
import type { Fault } from '../../common/fault.ts'
import { decodeText, FileError, MAX_FILE_BYTES, type ReadFile, readRegularFile } from './files.ts'

/** Above what AppConfig hosts. */
const MAX_BUNDLE_BYTES = 4 * 1024 * 1024
/** In PEM, and as a JWK (RFC 7518, 6.2.2 and 6.3.2: `d` is private in each kind). */
const PRIVATE_KEY = /-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----|"d"\s*:\s*"[A-Za-z0-9_-]/

export const ENTRY = 'gateway.yaml'

const BUNDLE = z.strictObject({ files: z.record(z.string(), z.string()) })

export type BundleFiles = Readonly<Record<string, string>>

export type BundleResult =
  | { readonly ok: true; readonly files: BundleFiles }
  | { readonly ok: false; readonly faults: readonly Fault[] }

/** `name` is what a fault names as its file. Never throws. */
export function parseBundle(name: string, content: Uint8Array): BundleResult {
  const fail = (message: string, remedy: string | null, key: string | null = null): BundleResult => ({
    ok: false,
    faults: [{ file: name, line: null, key, message, remedy }],
  })
  const form = 'expected {"files": {"gateway.yaml": "…", "policy.cedar": "…"}}'
  if (content.length > MAX_BUNDLE_BYTES) return fail(`larger than ${MAX_BUNDLE_BYTES} bytes`, null)
  const text = decodeText(content)
  if (text === null) return fail('not text in UTF-8', form)
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    return fail('not JSON', form)
  }
  const parsed = BUNDLE.safeParse(json)
  if (!parsed.success) return fail('not a bundle of files', form)
  const { files } = parsed.data
  for (const [file, value] of Object.entries(files)) {
    const key = `files["${file.replaceAll(/[^\x20-\x7e]/g, '?').slice(0, 80)}"]`
    if (!isPlainPath(file))
      return fail('not a plain relative path', 'such as policy.cedar or pki/roots.pem', key)
    if (Buffer.byteLength(value) > MAX_FILE_BYTES)
      return fail(`larger than ${MAX_FILE_BYTES} bytes`, null, key)
    if (PRIVATE_KEY.test(value)) {
      const remedy = 'replace this key, and name it as secretsmanager:<arn>#<field> or by an absolute path'
      return fail('holds a private key, which everybody has seen who may read the bundle', remedy, key)
    }
  }
  return Object.hasOwn(files, ENTRY) ? { ok: true, files } : fail(`has no ${ENTRY}`, form, 'files')
}

/** Relative paths from the bundle, absolute ones from the disk. */
export function readFromBundle(files: BundleFiles): ReadFile {
  return async (file) => {
    if (path.isAbsolute(file)) return readRegularFile(file)
    const name = path.normalize(file)
    if (!Object.hasOwn(files, name)) throw new FileError('missing', 'no such file in the bundle')
    return { bytes: Buffer.from(files[name] ?? ''), mode: null }
  }
}

function isPlainPath(file: string): boolean {
  const plain = file !== '' && !path.isAbsolute(file) && path.normalize(file) === file
  return plain && !file.startsWith('..') && !file.endsWith('/') && !/[\0\\]/.test(file)
}
