// Files that are whole or not there, and nothing beside them where the disk fails in the middle.
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { expect, test } from 'vitest'
import { createFile, replaceFile } from '../../../../lambdas/identity/atomic-file.ts'

/** What a disk does that is full after the first half: Node writes what such a thing gives, part by part. */
async function* half(): AsyncGenerator<string> {
  yield 'the first half of a secret'
  throw new Error('no space left on device')
}

test.for<[string, typeof replaceFile | typeof createFile]>([
  ['replaced', replaceFile],
  ['made', createFile],
])('a file that cannot be %s in full leaves the old one and nothing else', async ([, write]) => {
  const directory = await mkdtemp(path.join(os.tmpdir(), 'sallyport-atomic-'))
  try {
    const file = path.join(directory, 'document.json')
    await writeFile(file, 'old')
    await expect(write(file, half() as unknown as string, 0o600)).rejects.toThrow(/no space/)
    expect(await readdir(directory)).toEqual(['document.json'])
    expect(await readFile(file, 'utf8')).toBe('old')
  } finally {
    await rm(directory, { recursive: true })
  }
})
