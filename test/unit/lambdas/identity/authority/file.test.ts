// The CA in a directory: born once, never replaced, renewed in time, and an error where anything is not as it was left.
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, unlink, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { createFileAuthority } from '../../../../../lambdas/identity/authority/file.ts'
import type { LogRecord } from '../../../../../lambdas/identity/log.ts'
import { createClock, random, TRUST_DOMAIN } from '../support.ts'

const DAY_MS = 86_400_000

async function place() {
  const parent = await mkdtemp(path.join(os.tmpdir(), 'sallyport-ca-'))
  const directory = path.join(parent, 'ca')
  const clock = createClock()
  const log: LogRecord[] = []
  return {
    directory,
    clock,
    log,
    file: (name: string) => path.join(directory, name),
    document: () => readFile(path.join(directory, 'authority.json'), 'utf8'),
    /** As a process that starts. */
    open: () =>
      createFileAuthority({
        directory,
        trustDomain: TRUST_DOMAIN,
        clock: clock.now,
        random,
        log: (record) => log.push(record),
      }),
    [Symbol.asyncDispose]: () => rm(parent, { recursive: true, force: true }),
  }
}

describe('birth', () => {
  test('makes a root and an issuing CA that only their owner can read, once', async () => {
    await using ca = await place()
    const first = await ca.open().current()
    expect((await stat(ca.directory)).mode & 0o777).toBe(0o700)
    const names = (await readdir(ca.directory)).sort()
    expect(names).toEqual(['authority.json', expect.stringMatching(/^root-[0-9a-f]{16}\.key$/)])
    for (const name of names) expect((await stat(ca.file(name))).mode & 0o777).toBe(0o600)
    const again = await ca.open().current()
    expect(again.bundleText).toBe(first.bundleText)
    expect(ca.log.filter(({ event }) => event === 'authority.created')).toHaveLength(1)
  })

  test('by several at once makes one CA, and leaves one root key', async () => {
    await using ca = await place()
    const states = await Promise.all(Array.from({ length: 6 }, () => ca.open().current()))
    expect(new Set(states.map(({ bundleText }) => bundleText)).size).toBe(1)
    expect((await readdir(ca.directory)).filter((name) => name.endsWith('.key'))).toHaveLength(1)
  })

  const killed: Record<string, readonly string[]> = {
    'before it made a key': ['authority.birth'],
    'before it wrote the document': ['authority.birth', 'root-0123456789abcdef.key'],
    'while it wrote the document': [
      'authority.birth',
      'root-0123456789abcdef.key',
      '.authority.json.0123456789ab.tmp',
    ],
  }
  test.each(Object.entries(killed))('that was killed %s is done again', async (_name, names) => {
    await using ca = await place()
    await mkdir(ca.directory)
    for (const name of names) await writeFile(ca.file(name), 'half', { mode: 0o600 })
    const state = await ca.open().current()
    expect(state.bundle.x509Authorities).toHaveLength(1)
    expect(await readdir(ca.directory)).not.toContain('authority.birth')
    expect((await ca.open().current()).bundleText).toBe(state.bundleText)
  })

  test('that failed half way leaves a key, and is done again', async () => {
    await using ca = await place()
    const random = () => {
      throw new Error('no randomness')
    }
    const failing = { directory: ca.directory, trustDomain: TRUST_DOMAIN, clock: ca.clock.now, random }
    const authority = createFileAuthority({ ...failing, log: () => undefined })
    await expect(authority.current()).rejects.toMatchObject({ code: 'authority-unwritable' })
    expect((await readdir(ca.directory)).filter((name) => name.endsWith('.key'))).toHaveLength(1)
    expect((await ca.open().current()).bundle.x509Authorities).toHaveLength(1)
  })

  test('that was killed when all was there but its mark goes on, and from then on nothing is made over it', async () => {
    await using ca = await place()
    const first = await ca.open().current()
    await writeFile(ca.file('authority.birth'), '')
    expect((await ca.open().current()).bundleText).toBe(first.bundleText)
    await unlink(ca.file('authority.json'))
    await expect(ca.open().current()).rejects.toMatchObject({ code: 'authority-inconsistent' })
  })

  test('waits while another process is at it, and says so', async () => {
    await using ca = await place()
    await mkdir(ca.directory)
    await writeFile(ca.file('authority.lock'), 'theirs')
    await expect(ca.open().current()).rejects.toMatchObject({ code: 'authority-busy' })
    expect(await readdir(ca.directory)).toEqual(['authority.lock'])
  })
})

test('a CA whose document is lost is told, and nothing is made over it', async () => {
  await using ca = await place()
  await ca.open().current()
  await unlink(ca.file('authority.json'))
  const before = await readdir(ca.directory)
  await expect(ca.open().current()).rejects.toMatchObject({ code: 'authority-inconsistent' })
  expect(await readdir(ca.directory)).toEqual(before)
})

describe('a CA that is not as it was left', () => {
  const damages: Record<string, [(text: string) => string, string]> = {
    'cut off': [(text) => text.slice(0, 200), 'authority-malformed'],
    empty: [() => '', 'authority-malformed'],
    'with a chain that is no certificate': [
      (text) => text.replace(/("chain":\s*"-----BEGIN CERTIFICATE-----\\n)[A-Za-z0-9+/]{8}/, '$1AAAAAAAA'),
      'authority-malformed',
    ],
    'said to be unborn': [() => '{"state":"unborn"}', 'authority-unborn'],
  }
  test.each(Object.entries(damages))('%s is an error, and stays as it is', async (_name, [damage, code]) => {
    await using ca = await place()
    await ca.open().current()
    const damaged = damage(await ca.document())
    expect(damaged).not.toBe(await ca.document())
    await writeFile(ca.file('authority.json'), damaged)
    await expect(ca.open().current()).rejects.toMatchObject({ code: expect.stringContaining(code) })
    expect(await ca.document()).toBe(damaged)
  })

  test('with the key of another CA is an error', async () => {
    await using ca = await place()
    await using other = await place()
    await ca.open().current()
    await other.open().current()
    const mine = JSON.parse(await ca.document()) as { issuing: { key: string } }
    const theirs = JSON.parse(await other.document()) as { issuing: { key: string } }
    mine.issuing.key = theirs.issuing.key
    await writeFile(ca.file('authority.json'), JSON.stringify(mine))
    await expect(ca.open().current()).rejects.toMatchObject({ code: 'authority-inconsistent' })
  })

  test('and that others may read is an error that says what to do', async () => {
    await using ca = await place()
    await ca.open().current()
    await chmod(ca.file('authority.json'), 0o644)
    await expect(ca.open().current()).rejects.toMatchObject({
      code: 'authority-permissions',
      message: expect.stringContaining('chmod 600'),
    })
  })
})

describe('over time', () => {
  test('the issuing CA is replaced daily under the same root and sequence', async () => {
    await using ca = await place()
    const authority = ca.open()
    const first = await authority.current()
    ca.clock.advance(DAY_MS / 2)
    expect((await authority.current()).issuing.chainPem).toBe(first.issuing.chainPem)
    ca.clock.advance(DAY_MS)
    const second = await authority.current()
    expect(second.issuing.chainPem).not.toBe(first.issuing.chainPem)
    expect(second.bundleText).toBe(first.bundleText)
    expect((await ca.open().current()).issuing.chainPem).toBe(second.issuing.chainPem)
  })

  test('two processes that renew at once agree', async () => {
    await using ca = await place()
    const [one, two] = [ca.open(), ca.open()]
    await Promise.all([one.current(), two.current()])
    ca.clock.advance(4 * DAY_MS)
    await Promise.all([one.current(), two.current()])
    ca.clock.advance(61_000)
    const states = await Promise.all([one.current(), two.current()])
    expect(new Set(states.map(({ issuing }) => issuing.chainPem)).size).toBe(1)
    expect(ca.log.filter(({ event }) => event === 'authority.advanced')).toHaveLength(1)
  })

  test('without the root key it goes on signing until its end, and says so each time', async () => {
    await using ca = await place()
    const authority = ca.open()
    const first = await authority.current()
    const key = (await readdir(ca.directory)).find((name) => name.endsWith('.key')) ?? ''
    await unlink(ca.file(key))
    ca.clock.advance(4 * DAY_MS)
    expect((await authority.current()).issuing.chainPem).toBe(first.issuing.chainPem)
    expect(ca.log.at(-1)).toMatchObject({ event: 'authority.renewal-failed', level: 'error' })
  })

  test('a document that breaks while it runs, or goes back, is logged, and the last good one serves', async () => {
    await using ca = await place()
    const authority = ca.open()
    const first = await authority.current()
    const text = await ca.document()
    for (const bad of [
      '{',
      text.replace('"sequence":1', '"sequence":0').replace('"sequence": 1', '"sequence": 0'),
    ]) {
      await writeFile(ca.file('authority.json'), bad)
      ca.clock.advance(61_000)
      expect((await authority.current()).bundleText).toBe(first.bundleText)
      expect(ca.log.at(-1)).toMatchObject({ event: 'authority.read-failed', level: 'error' })
    }
  })

  test('what is due and cannot be done is logged each time', async () => {
    await using ca = await place()
    const authority = ca.open()
    await authority.current()
    // A root whose key is elsewhere: it may not sign here, and its successor does not yet.
    const elsewhere = 'kms:arn:aws:kms:eu-west-1:111122223333:key/1'
    await writeFile(ca.file('authority.json'), (await ca.document()).replace(/file:root-[^"]+/, elsewhere))
    ca.clock.advance(DAY_MS)
    for (const due of ['a root is published', 'nothing else is due']) {
      await authority.current()
      const blocked = ca.log.filter(({ event }) => event === 'rotation.blocked')
      expect(blocked, due).toMatchObject([{ code: 'no-root-may-sign', level: 'error' }])
      ca.log.length = 0
      ca.clock.advance(61_000)
    }
    ca.clock.advance(25 * 60_000)
    await authority.current()
    expect(ca.log).toMatchObject([{ event: 'authority.advanced', issuingRenewed: true }])
  })
})
