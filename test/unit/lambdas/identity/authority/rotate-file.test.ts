// A CA in files over time and by hand: what is published, when it is used, and when it goes.
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { expect, test } from 'vitest'
import { parseAuthorityDocument } from '../../../../../lambdas/identity/authority/document.ts'
import { createFileAuthority, rotateFileAuthority } from '../../../../../lambdas/identity/authority/file.ts'
import { createClock, random, TRUST_DOMAIN } from '../support.ts'

const MINUTE = 60_000
const DAY = 24 * 60 * MINUTE

async function place() {
  const parent = await mkdtemp(path.join(os.tmpdir(), 'sallyport-ca-'))
  const clock = createClock()
  const directory = path.join(parent, 'ca')
  const options = { directory, trustDomain: TRUST_DOMAIN, clock: clock.now, random, log: () => undefined }
  const authority = createFileAuthority(options)
  await authority.current()
  return {
    clock,
    authority,
    rotate: (wanted: object) => rotateFileAuthority(options, wanted),
    document: async () =>
      parseAuthorityDocument(await readFile(path.join(directory, 'authority.json'), 'utf8')),
    rootKeys: async () => (await readdir(directory)).filter((name) => name.endsWith('.key')),
    [Symbol.asyncDispose]: () => rm(parent, { recursive: true, force: true }),
  }
}

test('a root that is rotated by hand is published at once, signs after 25 minutes, and the old one goes last', async () => {
  await using ca = await place()
  const [old] = (await ca.document()).roots
  const done = await ca.rotate({ issuing: true, root: true })
  expect(done).toMatchObject({ issuingRenewed: true, blocked: [] })
  const published = await ca.document()
  expect(published.roots).toHaveLength(2)
  expect(published.sequence).toBe(2)
  expect(Date.parse(published.roots[1]?.activateAt ?? '') - ca.clock.now().getTime()).toBe(25 * MINUTE)
  expect((await ca.rotate({ root: true })).blocked).toEqual(['successor-waits'])
  ca.clock.advance(24 * MINUTE)
  const before = (await ca.authority.current()).issuing.chain[0]
  ca.clock.advance(2 * MINUTE)
  const after = await ca.authority.current()
  expect(after.issuing.chain[0]?.issuer).not.toBe(before?.issuer)
  expect(after.bundle.x509Authorities).toHaveLength(2)
  const leaving = (await ca.document()).roots.find(({ certificate }) => certificate === old?.certificate)
  expect(Date.parse(leaving?.removeAfter ?? '')).toBeGreaterThan(before?.validToDate.getTime() ?? 0)
  for (let day = 0; day < 9; day++) {
    ca.clock.advance(DAY)
    await ca.authority.current()
  }
  expect((await ca.document()).roots).toHaveLength(1)
  expect(await ca.rootKeys()).toHaveLength(1)
})

test('a JWT key is succeeded after 29 days, with both published meanwhile', async () => {
  await using ca = await place()
  const kid = (await ca.authority.current()).jwt.signingKey(ca.clock.now())?.kid
  for (let day = 0; day < 29; day++) {
    ca.clock.advance(DAY)
    await ca.authority.current()
  }
  const both = await ca.authority.current()
  expect(both.jwt.published).toHaveLength(2)
  expect(both.jwt.signingKey(ca.clock.now())?.kid).toBe(kid)
  ca.clock.advance(26 * MINUTE)
  expect((await ca.authority.current()).jwt.signingKey(ca.clock.now())?.kid).not.toBe(kid)
  for (let day = 0; day < 10; day++) {
    ca.clock.advance(DAY)
    await ca.authority.current()
  }
  expect((await ca.authority.current()).jwt.published).toHaveLength(1)
})

test('a document from before there were JWT keys gets one', async () => {
  await using ca = await place()
  await ca.rotate({ jwt: true })
  expect((await ca.document()).jwtKeys).toHaveLength(2)
})
