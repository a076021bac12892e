// Root keys as files beside the document, `root-<key id>.key`. Trusts who can read the directory.
import path from 'node:path'
import { createFile } from '../atomic-file.ts'
import { generateCaKey, keyIdOf, openCaKey } from './ca-key.ts'
import { AuthorityError } from './document.ts'
import { readPrivateFile } from './private-file.ts'
import type { RootKeys } from './root-keys.ts'

const REFERENCE = /^file:(root-[0-9a-f]{16}\.key)$/

/** The file of a reference; null where it is none. */
export function rootKeyFile(directory: string, reference: string): string | null {
  const [, name] = REFERENCE.exec(reference) ?? []
  return name === undefined ? null : path.join(directory, name)
}

export function createFileRootKeys(directory: string): RootKeys {
  return {
    // Whether the file is there is not asked: a lost key is an operator's matter, not a reason for a new root.
    owns: (reference) => REFERENCE.test(reference),
    hasSpare: () => true,
    async create() {
      const { signer, pem } = await generateCaKey()
      const name = `root-${keyIdOf(signer.spki)}.key`
      await createFile(path.join(directory, name), pem, 0o600)
      return { reference: `file:${name}`, signer }
    },
    async open(reference) {
      const file = rootKeyFile(directory, reference)
      if (file === null)
        throw new AuthorityError('authority-root-key', 'the root has no key in this directory')
      const pem = await readPrivateFile(file)
      if (pem === null) throw new AuthorityError('authority-root-key', `the root key ${file} is missing`)
      return openCaKey(pem)
    },
  }
}
