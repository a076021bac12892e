// A token that somebody else keeps in a file and replaces before it ends, as Kubernetes and CI runners do: read anew for
// each proof. Trusts nothing of it but its form.
import { readFile } from 'node:fs/promises'
import { Secret } from '../secret.ts'
import { IdentityFetchError } from './errors.ts'
import type { TokenSource } from './proof.ts'

const MAX_TOKEN_FILE = 20 * 1024

type ReadText = (file: string) => Promise<string>

const readFromDisk: ReadText = (file) => readFile(file, 'utf8')

/** `name` is what the operator called it by. */
export function tokenFileSource(file: string, name: string, readText = readFromDisk): TokenSource {
  return { kind: 'token', read: () => readToken(file, name, readText) }
}

async function readToken(file: string, name: string, readText: ReadText): Promise<Secret> {
  const text = (await readNamed(file, name, readText)).trim()
  // Checked here because a header value with a line break would fail with a message that quotes the token.
  if (text.length > MAX_TOKEN_FILE || !/^[\w.-]+$/.test(text)) {
    throw new IdentityFetchError('token-unreadable', `${name} ${file} holds no JWT`)
  }
  return new Secret(text)
}

/** @throws IdentityFetchError `token-unreadable` */
export async function readNamed(file: string, name: string, readText = readFromDisk): Promise<string> {
  try {
    return await readText(file)
  } catch (error) {
    const code: unknown = error instanceof Error && 'code' in error ? error.code : null
    const reason = typeof code === 'string' ? code : 'cannot be read'
    throw new IdentityFetchError('token-unreadable', `${name} ${file}: ${reason}`)
  }
}
