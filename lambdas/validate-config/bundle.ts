// The configuration as AppConfig holds it: `{"files": {"gateway.yaml": "…", "policy.cedar": "…"}}`. References in it are
// paths inside it, and it holds no private key: whoever may read a configuration would have it.
import * as z from 'zod'
import { FileError, type ReadFile } from '../../gateway/config/files.ts'
import type { Fault } from '../../common/fault.ts'

const MAX_FILES = 64
export const ROOT_FILE = 'gateway.yaml'
const PRIVATE_KEY = /-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----|"d"\s*:\s*"/

const BUNDLE = z.strictObject({
  files: z
    .record(z.string().regex(/^[A-Za-z0-9_][A-Za-z0-9._/-]{0,254}$/), z.string())
    .refine((files) => Object.keys(files).length <= MAX_FILES)
    .refine((files) => Object.hasOwn(files, ROOT_FILE)),
})

export type BundleFiles = ReadonlyMap<string, string>

function fault(file: string, message: string, remedy: string): Fault {
  return { file, line: null, key: null, message, remedy }
}

export type BundleResult =
  | { readonly ok: true; readonly files: BundleFiles }
  | { readonly ok: false; readonly faults: readonly Fault[] }

/** Never throws. A message never quotes what the bundle holds. */
export function readBundleFiles(text: string): BundleResult {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return { ok: false, faults: [fault('bundle', 'not JSON', 'deploy it by the stack')] }
  }
  const parsed = BUNDLE.safeParse(value)
  if (!parsed.success) {
    const shape = '{"files": {"gateway.yaml": "…"}}'
    return {
      ok: false,
      faults: [fault('bundle', `expected ${shape}, at most ${MAX_FILES} files`, 'write it so')],
    }
  }
  const files = new Map(Object.entries(parsed.data.files))
  const keys = [...files].filter(([, content]) => PRIVATE_KEY.test(content))
  if (keys.length === 0) return { ok: true, files }
  const remedy = 'keep it in Secrets Manager and refer to it: secretsmanager:<arn>#<field>'
  return { ok: false, faults: keys.map(([name]) => fault(name, 'a private key inside the bundle', remedy)) }
}

/** Reads from the bundle alone: neither a path out of it nor one of the machine is a file. */
export function createBundleReader(files: BundleFiles): ReadFile {
  return async (name) => {
    const content = files.get(name)
    if (content === undefined) throw new FileError('missing', 'not in the bundle')
    return { bytes: Buffer.from(content, 'utf8'), mode: null }
  }
}
