// Reads the files that a configuration refers to: each once, with a limit, and with a fault at the key that names it
// where that fails. Keeps what was read for the revision. Trusts nothing about the content.
import { createHash } from 'node:crypto'
import { constants, type FileHandle, open } from 'node:fs/promises'
import path from 'node:path'
import { SallyportError } from '../../common/errors.ts'
import type { KeyPath } from '../../common/schema-faults.ts'
import type { Report } from './rules.ts'

/** Certificates, keys, bundles and policy; the largest of them, a list of roots, has a quarter of this. */
export const MAX_FILE_BYTES = 1024 * 1024

export type FileErrorCode = 'missing' | 'not-permitted' | 'not-a-file' | 'too-large' | 'unreadable'

export class FileError extends SallyportError<FileErrorCode> {}

export interface FileContent {
  readonly bytes: Uint8Array
  /** Permission bits; null where the source has none. */
  readonly mode: number | null
}

/** Rejects with a FileError. */
export type ReadFile = (path: string) => Promise<FileContent>

/** From the file system. */
export const readRegularFile: ReadFile = async (file) => {
  try {
    // Not to hang for ever on a pipe that nobody writes to.
    const handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK)
    try {
      return await readHandle(handle)
    } finally {
      await handle.close()
    }
  } catch (error) {
    throw error instanceof FileError ? error : fileError(error)
  }
}

async function readHandle(handle: FileHandle): Promise<FileContent> {
  const stats = await handle.stat()
  if (!stats.isFile()) throw new FileError('not-a-file', 'not a regular file')
  if (stats.size > MAX_FILE_BYTES) throw new FileError('too-large', `larger than ${MAX_FILE_BYTES} bytes`)
  return { bytes: await handle.readFile(), mode: stats.mode & 0o777 }
}

const CODES: Readonly<Record<string, readonly [FileErrorCode, string]>> = {
  ENOENT: ['missing', 'no such file'],
  ENOTDIR: ['missing', 'no such file'],
  EACCES: ['not-permitted', 'this user may not read it'],
  EPERM: ['not-permitted', 'this user may not read it'],
  EISDIR: ['not-a-file', 'not a regular file'],
}

function fileError(error: unknown): FileError {
  const errno: unknown = error instanceof Error && 'code' in error ? error.code : null
  const [code, message] = (typeof errno === 'string' ? CODES[errno] : undefined) ?? [
    'unreadable',
    `cannot be read${typeof errno === 'string' ? `: ${errno}` : ''}`,
  ]
  return new FileError(code, message, { cause: error })
}

const REMEDIES: Readonly<Record<Exclude<FileErrorCode, 'missing'>, string>> = {
  'not-permitted': 'give the user of this process the right to read it',
  'not-a-file': 'name a file',
  'too-large': 'name the right file',
  unreadable: 'name a file that can be read',
}

export interface ReferencedFilesOptions {
  /** The configuration file: references are relative to its directory. */
  readonly file: string
  readonly bytes: Uint8Array
  readonly readFile: ReadFile
  readonly report: Report
}

/** The files of one configuration. A path that is referred to twice is read once, so that both see the same bytes. */
export class ReferencedFiles {
  readonly #options: ReferencedFilesOptions
  readonly #contents = new Map<string, Promise<FileContent>>()
  readonly #hash = createHash('sha256')

  constructor(options: ReferencedFilesOptions) {
    this.#options = options
    this.#count('', options.bytes)
  }

  /** The path from where this process looks: what a fault inside that file names. */
  nameOf(reference: string): string {
    return path.isAbsolute(reference) ? reference : path.join(path.dirname(this.#options.file), reference)
  }

  /** Every path that was asked for so far, from where this process looks. */
  get names(): readonly string[] {
    return [...this.#contents.keys()].map((reference) => this.nameOf(reference))
  }

  /** The file at a path as it stands in the configuration; null after a fault at `key`. */
  async read(reference: string, key: KeyPath): Promise<FileContent | null> {
    const first = !this.#contents.has(reference)
    const content = await this.readApart(reference, key)
    if (content !== null && first) this.#count(reference, content.bytes)
    return content
  }

  /** As `read`, for what has a revision of its own. */
  async readApart(reference: string, key: KeyPath): Promise<FileContent | null> {
    const content = this.#contents.get(reference) ?? this.#options.readFile(this.nameOf(reference))
    this.#contents.set(reference, content)
    try {
      return await content
    } catch (error) {
      if (!(error instanceof FileError)) throw error
      const looked = `looked for ${this.nameOf(reference)}`
      const remedy = error.code === 'missing' ? looked : REMEDIES[error.code]
      this.#options.report(key, `${reference}: ${error.message}`, remedy)
      return null
    }
  }

  /**
   * `sha256:` and the hex digest over the configuration file and then all that `read` gave, in that order; of each
   * the path as it stands in the configuration, the length and the bytes.
   */
  revision(): string {
    return `sha256:${this.#hash.copy().digest('hex')}`
  }

  /** Lengths are part of it: else a byte could move from one file to the next unseen. */
  #count(reference: string, bytes: Uint8Array): void {
    this.#hash.update(`${Buffer.byteLength(reference)}:${reference}${bytes.length}:`).update(bytes)
  }
}

/** Null where the bytes are not UTF-8. */
export function decodeText(bytes: Uint8Array): string | null {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    return null
  }
}
