// Changes of a CA in files that must not happen: somebody was faster, too much time went by, or it is not ours to change.
import { rmSync, writeFileSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { parseAuthorityDocument } from '../../../../../lambdas/identity/authority/document.ts'
import { createFileAuthority, rotateFileAuthority } from '../../../../../lambdas/identity/authority/file.ts'
import type { FileAuthorityOptions } from '../../../../../lambdas/identity/authority/place.ts'
import { sweep } from '../../../../../lambdas/identity/authority/sweep.ts'
import { createClock, random, TRUST_DOMAIN } from '../support.ts'

const HOUR = 3_600_000

async function place() {
  const directory = await mkdtemp(path.join(os.tmpdir(), 'sallyport-ca-'))
  const clock = createClock()
  let meanwhile: (() => void) | null = null
  const options: FileAuthorityOptions = {
    directory,
    trustDomain: TRUST_DOMAIN,
    clock: clock.now,
    random(bytes) {
      meanwhile?.()
      meanwhile = null
      return random(bytes)
    },
    log: () => undefined,
  }
  return {
    directory,
    clock,
    file: (name: string) => path.join(directory, name),
    options,
    birth: () => createFileAuthority(options).current(),
    /** What happens while the next certificate is made. */
    meanwhile(what: () => void) {
      meanwhile = what
    },
    document: () => readFile(path.join(directory, 'authority.json'), 'utf8'),
    keys: async () => (await readdir(directory)).filter((name) => name.endsWith('.key')),
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true }),
  }
}
type Place = Awaited<ReturnType<typeof place>>

describe('a change is dropped, with the root key that was made for it, where meanwhile', () => {
  const events: Record<string, [(ca: Place) => void, string, string?]> = {
    'more than half a refresh hint went by': [(ca) => ca.clock.advance(151_000), 'authority-too-late'],
    'another process took the lock over': [
      (ca) => writeFileSync(ca.file('authority.lock'), 'theirs'),
      'authority-busy',
    ],
    'the lock went': [(ca) => rmSync(ca.file('authority.lock')), 'authority-busy'],
    'somebody changed the document': [
      (ca) => writeFileSync(ca.file('authority.json'), '{}', { mode: 0o600 }),
      'authority-busy',
      '{}',
    ],
  }
  test.each(Object.entries(events))('%s', async (_name, [event, code, document]) => {
    await using ca = await place()
    await ca.birth()
    const [before, keys] = [await ca.document(), await ca.keys()]
    ca.meanwhile(() => event(ca))
    const wanted = { issuing: true, root: true }
    await expect(rotateFileAuthority(ca.options, wanted)).rejects.toMatchObject({ code })
    expect(await ca.document()).toBe(document ?? before)
    expect(await ca.keys()).toEqual(keys)
  })

  test('but not where just half a refresh hint went by, or nothing new is published', async () => {
    await using ca = await place()
    await ca.birth()
    ca.meanwhile(() => ca.clock.advance(150_000))
    expect((await rotateFileAuthority(ca.options, { root: true })).publishedRoot).not.toBeNull()
    ca.meanwhile(() => ca.clock.advance(HOUR))
    expect((await rotateFileAuthority(ca.options, { issuing: true })).issuingRenewed).toBe(true)
  })
})

test('a CA of another user is not changed: he could not read it any more', async () => {
  await using ca = await place()
  await ca.birth()
  const before = await ca.document()
  const { uid } = await stat(ca.file('authority.json'))
  const stranger = { ...ca.options, user: uid + 1 }
  await expect(rotateFileAuthority(stranger, { issuing: true })).rejects.toMatchObject({
    code: 'authority-owner',
    message: expect.stringContaining(`user ${uid}`),
  })
  expect(await ca.document()).toBe(before)
  const anywhere = await rotateFileAuthority({ ...ca.options, user: null }, { issuing: true })
  expect(anywhere.issuingRenewed).toBe(true)
})

describe('a rotation by hand, where there is', () => {
  test('no CA yet, says how to get one, and makes none', async () => {
    await using ca = await place()
    const options = { ...ca.options, directory: ca.file('ca') }
    await expect(rotateFileAuthority(options, { root: true })).rejects.toMatchObject({
      code: 'authority-unborn',
      message: expect.stringContaining('sallyport authority'),
    })
    expect(await readdir(ca.directory)).toEqual([])
  })

  test('a root key without a document, tells of the loss', async () => {
    await using ca = await place()
    await writeFile(ca.file('root-0123456789abcdef.key'), '')
    await expect(rotateFileAuthority(ca.options, {})).rejects.toMatchObject({
      code: 'authority-inconsistent',
    })
  })

  test('a directory that cannot be written, is no stack trace', async () => {
    await using ca = await place()
    await ca.birth()
    await mkdir(ca.file('authority.lock'))
    await expect(rotateFileAuthority(ca.options, {})).rejects.toMatchObject({ code: 'authority-unwritable' })
  })
})

describe('what processes that died left behind', () => {
  const LEFT = [
    'root-0123456789abcdef.key',
    '.authority.json.0123456789ab.tmp',
    '.authority.birth.0123456789ab.tmp',
    '.root-0123456789abcdef.key.0123456789ab.tmp',
    '.authority.lock.00112233445566778899aabbccddeeff.tmp',
    '.authority.lock.00112233445566778899aabbccddeeff.1.tmp',
  ]
  const OTHERS = ['notes.txt', 'root-mine.key', '.authority.json.swp', 'authority.json.old']

  async function littered() {
    const ca = await place()
    await ca.birth()
    const own = await readdir(ca.directory)
    for (const name of [...LEFT, ...OTHERS]) await writeFile(ca.file(name), '')
    return { ca, own }
  }

  test('is removed when it is older than that, but nothing that the document names, nor what is not ours', async () => {
    const { ca, own } = await littered()
    await using _ = ca
    const document = parseAuthorityDocument(await ca.document())
    const now = Date.now()
    await sweep(ca.options, document, new Date(now - HOUR))
    expect(await readdir(ca.directory)).toHaveLength(own.length + LEFT.length + OTHERS.length)
    await sweep(ca.options, document, new Date(now + HOUR))
    expect((await readdir(ca.directory)).toSorted()).toEqual([...own, ...OTHERS].toSorted())
  })

  test.each<[string, object, boolean]>([
    ['stays for an hour', {}, false],
    ['goes with the next change', { sweepAfterMs: -HOUR }, true],
  ])('%s', async (_name, more, gone) => {
    const { ca } = await littered()
    await using _ = ca
    await rotateFileAuthority({ ...ca.options, ...more }, { issuing: true })
    const names = await readdir(ca.directory)
    expect(LEFT.filter((name) => names.includes(name))).toHaveLength(gone ? 0 : LEFT.length)
    await createFileAuthority(ca.options).current()
  })
})
