// `sallyport audit` as a process: its exit codes and what it prints.
import { cp, mkdir } from 'node:fs/promises'
import path from 'node:path'
import { expect, test } from 'vitest'
import { runVerify, type VerifyOptions } from '../../../cli/audit/run-verify.ts'
import { runSallyport } from '../../fixtures/sallyport.ts'
import { createSigningWorld, startSignedLog } from '../../fixtures/signed-log.ts'
import { createWorld } from '../../fixtures/world.ts'

const textOf = (lines: readonly string[]) => lines.map((line) => `${line}\n`).join('')

test('verify: 0 and the chains of a whole log, 1 and the place of what is wrong, 2 for what cannot be read', async () => {
  await using world = await createWorld()
  const signing = await createSigningWorld()
  const identity = await signing.identity('/sallyport/gateway')
  const log = startSignedLog(() => identity)
  log.sessions(2)
  log.checkpoint(true)
  const chain = log.checkpoints[0]?.chain
  await world.file('audit.jsonl', textOf(log.lines))
  await world.file('roots.pem', signing.root.pem)
  await mkdir(path.join(world.directory, 'kept/2026-08-01'), { recursive: true })
  await cp(
    await world.file('5.json', textOf(log.checkpoints.map(({ line }) => line))),
    path.join(world.directory, 'kept/2026-08-01/5.json'),
  )
  const inDirectory = { cwd: world.directory }
  const run = (...args: string[]) => runSallyport(['audit', 'verify', ...args], inDirectory)
  const trust = ['--bundle', 'roots.pem', '--trust-domain', 'example.org']

  expect(await run('audit.jsonl', '--checkpoints', 'kept', ...trust)).toEqual({
    code: 0,
    stderr: '',
    stdout: `chain ${chain}: records 1 to 5, signed up to 5 by spiffe://example.org/sallyport/gateway, ended in order
5 records in 1 chain: whole
`,
  })
  await world.file('cut.jsonl', textOf(log.lines.toSpliced(1, 1).slice(0, -1)))
  const cut = await run('cut.jsonl', '--checkpoints', 'kept', ...trust)
  expect(cut.code).toBe(1)
  expect(cut.stdout.split('\n').slice(0, 2)).toEqual([
    `cut.jsonl:2: missing: chain ${chain}, record 3: record 2 is missing before this one`,
    `truncated: chain ${chain}, record 5: ends at record 4, but the second sink has a checkpoint of record 5 (kept/2026-08-01/5.json:1)`,
  ])
  expect(await run()).toMatchObject({ code: 2, stdout: '' })
})

test('verify: wrong use is told apart from a no', async () => {
  await using world = await createWorld()
  await world.file('empty.jsonl', '')
  const at = (name: string) => path.join(world.directory, name)
  const run = async (options: VerifyOptions, file = at('empty.jsonl')) => {
    let stdout = ''
    let stderr = ''
    const code = await runVerify([file], options, {
      stdout: { write: (text) => void (stdout += text) },
      stderr: { write: (text) => void (stderr += text) },
    })
    return { code, stdout, stderr }
  }
  const bundle = at('pki/bundle.pem')
  expect(await run({})).toMatchObject({
    code: 0,
    stdout: '0 records in 0 chains: there is nothing to verify\n',
  })
  expect(await run({ json: true })).toMatchObject({
    code: 0,
    stdout: expect.stringContaining('"trusted":false'),
  })
  expect(await run({}, at('nothing'))).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('no such file'),
  })
  expect(await run({}, world.directory)).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('a directory'),
  })
  expect(await run({ checkpoints: [at('nothing')] })).toMatchObject({ code: 2 })
  expect(await run({ bundle })).toMatchObject({ code: 2, stderr: expect.stringContaining('go together') })
  expect(await run({ bundle, trustDomain: 'EXAMPLE' })).toMatchObject({ code: 2 })
  expect(await run({ bundle, trustDomain: 'example.org', gatewayId: 'spiffe://other.org/x' })).toMatchObject({
    code: 2,
  })
  expect(await run({ bundle: at('pki/gateway.key'), trustDomain: 'example.org' })).toMatchObject({ code: 2 })
})

test('explain: 0 and the story, 1 where there is none', async () => {
  await using world = await createWorld()
  const log = startSignedLog(() => {
    throw new Error('no key')
  })
  log.sessions(1)
  await world.file('audit.jsonl', textOf(log.lines))
  const run = (id: string) =>
    runSallyport(['audit', 'explain', id, '--audit', 'audit.jsonl'], { cwd: world.directory })
  const told = await run('01K0000000000000000000000A')
  expect(told).toMatchObject({ code: 0, stderr: '' })
  expect(told.stdout).toContain('Decision    allowed by payments-to-bank\n')
  expect(await run('nobody')).toEqual({
    code: 1,
    stdout: '',
    stderr: 'sallyport: no record of "nobody" in audit.jsonl\n',
  })
})
