// The last configuration that was in force, kept on disk for a start at which its source cannot be asked. It is the bundle as
// it came, which holds no key (bundle.ts); written beside and renamed, so that a crash leaves the one before. The time of
// the last contact with the source is the file's own.
import { mkdir, open, readFile, rename, stat, utimes } from 'node:fs/promises'
import path from 'node:path'
import * as z from 'zod'
import { type BundleFiles, parseBundle } from './bundle.ts'

/** Where a start looks, since the configuration that could say so is what is missing. */
export const DIRECTORY_VARIABLE = 'SALLYPORT_LAST_KNOWN_GOOD'
export const DEFAULT_DIRECTORY = '/var/lib/sallyport'

/** The right of others to write. The group's, and that of others to the directory, come with volumes of platforms. */
const ANYBODY = 0o002

/** How far a file server's clock may be ahead of this one's. */
const SKEW_MS = 60_000

const NAME = 'last-known-good.json'
const KEPT = z.strictObject({
  version: z.literal(1),
  /** `appconfig:…`: one of another source is nobody's last known good. */
  source: z.string(),
  versionLabel: z.string().nullable(),
  files: z.record(z.string(), z.string()),
})

export interface KeptConfig {
  readonly files: BundleFiles
  readonly versionLabel: string | null
  /** Of the last contact with the source; null = not known. */
  readonly contactAt: Date | null
  /** What the file says of it, whether that can be or not. */
  readonly stamp: Date
}

/**
 * `kept` is null where there is none of this source, or none that can be read; `problem` says which. A time in the future,
 * after a clock was set back or a volume restored, is no time: the file would be fresh at every start.
 */
export async function readKept(
  directory: string,
  source: string,
  now = new Date(),
): Promise<{ readonly kept: KeptConfig | null; readonly problem: string | null }> {
  const file = path.join(directory, NAME)
  try {
    const { mtime, mode } = await stat(file)
    if ((mode & ANYBODY) !== 0) {
      const problem = `${file}: anybody on this machine may write it, so that nobody can say whose it is`
      return { kept: null, problem }
    }
    const parsed = KEPT.safeParse(JSON.parse(await readFile(file, 'utf8')))
    if (!parsed.success) return { kept: null, problem: `${file}: not a configuration that was kept` }
    if (parsed.data.source !== source) {
      return { kept: null, problem: `${file}: is of ${parsed.data.source}` }
    }
    const { files, versionLabel } = parsed.data
    const contactAt = mtime.getTime() > now.getTime() + SKEW_MS ? null : mtime
    const bundle = parseBundle(file, Buffer.from(JSON.stringify({ files })))
    if (!bundle.ok) return { kept: null, problem: `${file}: ${bundle.faults[0]?.message}` }
    return { kept: { files: bundle.files, versionLabel, contactAt, stamp: mtime }, problem: null }
  } catch (error) {
    return { kept: null, problem: `${file}: ${error instanceof Error ? error.message : String(error)}` }
  }
}

/** Rejects where it cannot be written. */
export async function writeKept(
  directory: string,
  kept: { readonly source: string; readonly versionLabel: string | null; readonly files: BundleFiles },
): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 })
  const file = path.join(directory, NAME)
  const beside = `${file}.${process.pid}.new`
  const handle = await open(beside, 'w', 0o600)
  try {
    await handle.writeFile(JSON.stringify({ version: 1, ...kept }))
    await handle.sync()
  } finally {
    await handle.close()
  }
  await rename(beside, file)
}

/** The source was asked at this time. Rejects where there is nothing to say it of. */
export async function touchKept(directory: string, at: Date): Promise<void> {
  await utimes(path.join(directory, NAME), at, at)
}
