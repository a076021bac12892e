// The lock of the CA document in one process, by what it finds in its place. Between processes: test/integration.
import { mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises'
import { rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { claimOf, readLock, removeLock, withLock } from '../../../../../lambdas/identity/authority/lock.ts'

const MINUTE = 60_000

async function place() {
  const directory = await mkdtemp(path.join(os.tmpdir(), 'sallyport-lock-'))
  const lock = path.join(directory, 'authority.lock')
  return {
    lock,
    /** A lock of somebody else, that many milliseconds old. */
    async foreign(token: string, age: number) {
      await writeFile(lock, token)
      const time = new Date(Date.now() - age)
      await utimes(lock, time, time)
    },
    content: () => readFile(lock, 'utf8'),
    names: () => readdir(directory),
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true }),
  }
}

test('a lock that nobody has is taken, held while the work goes on, and gone after it', async () => {
  await using here = await place()
  const inside = await withLock(here.lock, async (held) => [await held.isOurs(), await here.names()])
  expect(inside).toEqual([true, ['authority.lock']])
  expect(await here.names()).toEqual([])
  await expect(withLock(here.lock, () => Promise.reject(new Error('no')))).rejects.toThrow('no')
  expect(await here.names()).toEqual([])
})

describe('the lock of somebody else', () => {
  test.each<[string, number, boolean]>([
    ['that is new is left alone', 0, false],
    ['that is not yet a minute old is left alone', MINUTE - 20_000, false],
    ['that is a minute old is of a process that died', MINUTE + 1000, true],
    ['of a clock that is a little ahead is left alone', -30_000, false],
    ['from a future that no clock has any more is of a process that died', -60 * MINUTE, true],
  ])('%s', async (_name, age, taken) => {
    await using here = await place()
    await here.foreign('theirs', age)
    expect(await withLock(here.lock, async () => true)).toBe(taken ? true : null)
    expect(await here.names()).toEqual(taken ? [] : ['authority.lock'])
    if (!taken) expect(await here.content()).toBe('theirs')
  })

  test('that came in our place while we worked is seen, and not removed', async () => {
    await using here = await place()
    const ours = await withLock(here.lock, async (held) => {
      await here.foreign('theirs', 0)
      return held.isOurs()
    })
    expect(ours).toBe(false)
    expect(await here.content()).toBe('theirs')
  })

  test('that comes between looking and removing is put back', async () => {
    await using here = await place()
    await here.foreign('stale', 2 * MINUTE)
    let looks = 0
    await removeLock(here.lock, ({ token }) => {
      looks += 1
      if (looks > 1) return token === 'stale'
      rmSync(here.lock)
      writeFileSync(here.lock, 'theirs')
      return true
    })
    expect(await here.content()).toBe('theirs')
    expect(await here.names()).toEqual(['authority.lock'])
  })
})

test.each<[string, number, boolean]>([
  ['is at it holds the others up', 0, false],
  ['died at it holds nobody up', 2 * MINUTE, true],
])('a process that removes a stale lock and %s', async (_name, age, taken) => {
  await using here = await place()
  await here.foreign('stale', 2 * MINUTE)
  const stale = await readLock(here.lock)
  if (stale === null) throw new Error('no lock')
  const claim = claimOf(here.lock, stale, 0)
  await writeFile(claim, '')
  const time = new Date(Date.now() - age)
  await utimes(claim, time, time)
  expect(await withLock(here.lock, async () => true)).toBe(taken ? true : null)
  expect((await here.names()).includes('authority.lock')).toBe(!taken)
})
