// The chain of a run, judged by the command that an auditor uses.
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { expect, test } from 'vitest'
import { checkChain } from '../../chaos/chain.ts'
import { createSigningWorld, type SignedLog, startSignedLog } from '../../fixtures/signed-log.ts'

test.for<[string, (log: SignedLog) => void, readonly RegExp[]]>([
  ['whole has no fault', () => {}, []],
  [
    'without one of its records',
    (log) => void log.lines.splice(3, 1),
    [/audit verify ended with 1.*missing/s],
  ],
  [
    'without its end',
    (log) => void log.lines.splice(-1),
    [/audit verify ended with 1.*truncated/s, /no signed end/],
  ],
  ['without a second sink', (log) => void log.checkpoints.splice(0), [/no checkpoint was kept/]],
])('a chain %s', async ([, spoil, expected]) => {
  await using stack = new AsyncDisposableStack()
  const directory = await mkdtemp(path.join(os.tmpdir(), 'sallyport-chain-'))
  stack.defer(() => rm(directory, { recursive: true, force: true }))
  const world = await createSigningWorld()
  const identity = await world.identity('/sallyport/gateway')
  const log = startSignedLog(() => identity)
  log.sessions(3)
  log.checkpoint()
  log.sessions(1)
  log.checkpoint(true)
  spoil(log)
  await mkdir(path.join(directory, 'pki'))
  await writeFile(path.join(directory, 'pki/bundle.pem'), world.root.pem)
  const kept = log.checkpoints.map(({ line }) => `${line}\n`).join('')
  await writeFile(path.join(directory, 'checkpoints.jsonl'), kept)
  const faults = await checkChain(directory, log.lines)
  expect(faults).toHaveLength(expected.length)
  for (const one of expected) expect(faults).toContainEqual(expect.stringMatching(one))
})
