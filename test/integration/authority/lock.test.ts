// The lock of the CA document between real processes: whatever they find there, never two are inside at once.
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { expect, test } from 'vitest'
import type { Round } from '../../fixtures/lock-holder.ts'

const HOLDER = path.resolve(import.meta.dirname, '../../fixtures/lock-holder.ts')
const PROCESSES = 4
const ROUNDS = 200
const LONG_AGO = new Date('2026-01-01T00:00:00Z')

async function startHolders(lock: string, inside: string) {
  const children = Array.from({ length: PROCESSES }, () => fork(HOLDER, [lock, inside]))
  await Promise.all(children.map((child) => once(child, 'message')))
  return {
    children,
    async [Symbol.asyncDispose]() {
      await Promise.all(
        children.map((child) => {
          child.kill('SIGKILL')
          return once(child, 'exit')
        }),
      )
    },
  }
}

async function play(child: ChildProcess): Promise<Round> {
  const answer = once(child, 'message')
  child.send('go')
  const [round] = (await answer) as [Round]
  return round
}

const TEST = 'of processes that find the lock of one that died, one at a time is inside'
test(TEST, { timeout: 120_000 }, async () => {
  const directory = await mkdtemp(path.join(os.tmpdir(), 'sallyport-lock-'))
  const lock = path.join(directory, 'authority.lock')
  await using holders = await startHolders(lock, path.join(directory, 'inside'))
  try {
    for (let round = 0; round < ROUNDS; round++) {
      await writeFile(lock, `of a process that died in round ${round}`)
      await utimes(lock, LONG_AGO, LONG_AGO)
      const answers = await Promise.all(holders.children.map(play))
      expect(answers.reduce((sum, { together }) => sum + together, 0)).toBe(0)
      expect(answers.reduce((sum, { entered }) => sum + entered, 0)).toBeGreaterThan(0)
      expect(await readdir(directory)).toEqual([])
    }
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
})
