// Files of lines as commands name them: `-` is standard input, a directory is all files below it, in order of name.
import { createReadStream } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import path from 'node:path'
import { type Line, readLines } from './lines.ts'

/** A file that cannot be read, as a sentence for people. */
export class ReadError extends Error {}

const MEANING: Readonly<Record<string, string>> = {
  ENOENT: 'no such file',
  ENOTDIR: 'no such file',
  EACCES: 'this user may not read it',
  EISDIR: 'a directory, not a file',
}

function readError(file: string, error: unknown): ReadError {
  const code = error instanceof Error && 'code' in error ? String(error.code) : String(error)
  return new ReadError(`${file}: ${MEANING[code] ?? `cannot be read: ${code}`}`)
}

/** The lines of a file. @throws ReadError */
export async function* linesOf(file: string): AsyncGenerator<Line> {
  try {
    yield* readLines(file === '-' ? process.stdin : createReadStream(file))
  } catch (error) {
    // What a reader of the lines throws is not of the file.
    throw error instanceof Error && 'code' in error ? readError(file, error) : error
  }
}

/** `place` itself, or the files below it. @throws ReadError */
export async function filesAt(place: string): Promise<readonly string[]> {
  if (place === '-') return [place]
  try {
    if (!(await stat(place)).isDirectory()) return [place]
    const found = await readdir(place, { recursive: true, withFileTypes: true })
    return found
      .filter((entry) => entry.isFile())
      .map((entry) => path.join(entry.parentPath, entry.name))
      .sort()
  } catch (error) {
    throw readError(place, error)
  }
}
