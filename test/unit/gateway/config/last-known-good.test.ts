import { chmod, mkdtemp, rm, utimes } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { readKept, writeKept } from '../../../../gateway/config/last-known-good.ts'

const SOURCE = 'appconfig:a/b/c'

async function place() {
  const directory = await mkdtemp(path.join(os.tmpdir(), 'sallyport-kept-'))
  const files = { 'gateway.yaml': 'version: 1' }
  await writeKept(directory, { source: SOURCE, versionLabel: null, files })
  return {
    ...{ directory, files, file: path.join(directory, 'last-known-good.json') },
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true }),
  }
}

test('what was kept is read again, also where a group may write it', async () => {
  await using at = await place()
  for (const mode of [0o600, 0o660]) {
    await chmod(at.file, mode)
    expect(await readKept(at.directory, SOURCE)).toMatchObject({ kept: { files: at.files }, problem: null })
  }
})

test('a file that anybody may write is nobody’s last known good', async () => {
  await using at = await place()
  await chmod(at.file, 0o602)
  const { kept, problem } = await readKept(at.directory, SOURCE)
  expect(kept).toBeNull()
  expect(problem).toBe(`${at.file}: anybody on this machine may write it, so that nobody can say whose it is`)
})

describe('the time of the last contact is the file’s own', () => {
  const now = new Date('2026-08-01T10:00:00Z')

  test.for<[string, number, boolean]>([
    ['and may lie in the past', -3_600_000, true],
    ['and may be a little ahead of this clock, as that of a file server is', 59_000, true],
    ['and is not known where it lies in the future', 61_000, false],
  ])('%s', async ([, aheadMs, known]) => {
    await using at = await place()
    const written = new Date(now.getTime() + aheadMs)
    await utimes(at.file, written, written)
    const { kept } = await readKept(at.directory, SOURCE, now)
    expect(kept?.contactAt).toEqual(known ? written : null)
  })
})
