// What testSecret lets become current, and what not: each document here is whole and signs, and is wrong in one way.
import { describe, expect, test } from 'vitest'
import { advance, giveBirth } from '../../../../lambdas/identity/authority/advance.ts'
import type { AuthorityDocument } from '../../../../lambdas/identity/authority/document.ts'
import { createCheck } from '../../../../lambdas/rotation/check.ts'
import { testSecret } from '../../../../lambdas/rotation/steps.ts'
import { createClock, createTools, random, TRUST_DOMAIN } from '../identity/support.ts'
import { DAY, setUp } from './support.ts'

const NOW = new Date('2026-11-24T12:00:00.000Z')
const PAST = new Date(NOW.getTime() - 1).toISOString()
const FUTURE = new Date(NOW.getTime() + 1).toISOString()
const HELD = { publishedAt: PAST, activateAt: PAST, removeAfter: null }
const WAITING = { ...HELD, activateAt: FUTURE }

interface Pair {
  readonly current: AuthorityDocument
  readonly pending: AuthorityDocument
}

const tools = createTools()
const born = await giveBirth(tools, new Date(NOW.getTime() - DAY))
const [oldRoot, oldKey] = [born.roots[0], born.jwtKeys[0]]
if (oldRoot === undefined || oldKey === undefined) throw new Error('no keys')
const newRoot = await tools.makeRoot([], NOW)
const otherRoot = await tools.makeRoot([], NOW)
const newKey = await tools.makeJwtKey()
const byOldRoot = await tools.makeIssuing(oldRoot, NOW)
const byNewRoot = await tools.makeIssuing(newRoot, NOW)

/** A document, by what differs from the first one. */
const like = (more: Partial<AuthorityDocument>): AuthorityDocument => ({ ...born, ...more })
const check = createCheck({ trustDomain: TRUST_DOMAIN, random })
const judge = ({ pending, current }: Pair) => check(pending, current, NOW)

const twoRoots = { roots: [oldRoot, { ...newRoot, ...WAITING }] }
const twoKeys = { jwtKeys: [oldKey, { ...newKey, ...WAITING }] }

describe('lets pass', () => {
  const good: Record<string, Pair> = {
    'a new issuing CA under the same root': { current: born, pending: like({ issuing: byOldRoot }) },
    'a root and a JWT key that are published and wait': {
      current: born,
      pending: like({ sequence: 2, ...twoRoots, ...twoKeys }),
    },
    'the issuing CA of the new root, once that is known': {
      current: like(twoRoots),
      pending: like({ ...twoRoots, issuing: byNewRoot }),
    },
    'a root that goes when its time has come': {
      current: like({
        roots: [
          { ...oldRoot, removeAfter: PAST },
          { ...newRoot, ...HELD },
        ],
        issuing: byNewRoot,
      }),
      pending: like({ sequence: 2, roots: [{ ...newRoot, ...HELD }], issuing: byNewRoot }),
    },
    'a JWT key that goes when its time has come': {
      current: like({
        jwtKeys: [
          { ...oldKey, removeAfter: PAST },
          { ...newKey, ...HELD },
        ],
      }),
      pending: like({ sequence: 2, jwtKeys: [{ ...newKey, ...HELD }] }),
    },
    'the first JWT key of a document from before there were any': {
      current: like({ jwtKeys: [] }),
      pending: like({ sequence: 2, jwtKeys: [{ ...newKey, ...WAITING }] }),
    },
  }
  test.each(Object.entries(good))('%s', async (_name, pair) => {
    await judge(pair)
  })

  test('what an advance makes, day after day, and a birth', async () => {
    const { now, advance: wait } = createClock()
    let document = await giveBirth(tools, now())
    await check(document, null, now())
    for (let day = 0; day < 12; day++) {
      wait(DAY)
      const wanted = { root: day === 0, jwt: day === 0 }
      const next = (await advance(document, tools, { now: now(), wanted })).document
      await check(next, document, now())
      document = next
    }
    expect(document).toMatchObject({ sequence: 3, roots: [{}], jwtKeys: [{}] })
  })
})

describe('attack 49: refuses', () => {
  const bad: Record<string, [Pair, RegExp]> = {
    'a lower sequence': [{ current: like({ sequence: 2 }), pending: like({ issuing: byOldRoot }) }, /falls/],
    'a root more with the same sequence': [{ current: born, pending: like(twoRoots) }, /not the sequence/],
    'a JWT key more with the same sequence': [{ current: born, pending: like(twoKeys) }, /not the sequence/],
    'a root less with the same sequence': [
      {
        current: like({ roots: [oldRoot, { ...newRoot, ...HELD, removeAfter: PAST }] }),
        pending: born,
      },
      /not the sequence/,
    ],
    'another root in place of one, with the same sequence': [
      {
        current: like({ roots: [oldRoot, { ...newRoot, ...HELD, removeAfter: PAST }] }),
        pending: like({ roots: [oldRoot, { ...otherRoot, ...WAITING }] }),
      },
      /not the sequence/,
    ],
    'that a root goes which has no end': [
      { current: like(twoRoots), pending: like({ sequence: 2 }) },
      /before its time/,
    ],
    'that a root goes before its end': [
      {
        current: like({ roots: [oldRoot, { ...newRoot, ...HELD, removeAfter: FUTURE }] }),
        pending: like({ sequence: 2 }),
      },
      /before its time/,
    ],
    'that a JWT key goes which has no end': [
      { current: like(twoKeys), pending: like({ sequence: 2 }) },
      /before its time/,
    ],
    'that a JWT key goes before its end': [
      {
        current: like({ jwtKeys: [oldKey, { ...newKey, ...WAITING, removeAfter: FUTURE }] }),
        pending: like({ sequence: 2 }),
      },
      /before its time/,
    ],
    'leaves that readers of the old bundle cannot verify': [
      {
        current: born,
        pending: like({ sequence: 2, roots: [oldRoot, { ...newRoot, ...HELD }], issuing: byNewRoot }),
      },
      /no root|chain|issuer|bundle/i,
    ],
    'tokens whose kid readers of the old bundle do not know': [
      { current: born, pending: like({ sequence: 2, jwtKeys: [oldKey, { ...newKey, ...HELD }] }) },
      /does not know the JWT key/,
    ],
    'what cannot verify the leaves that instances still sign': [
      {
        current: like({
          roots: [
            { ...oldRoot, removeAfter: PAST },
            { ...newRoot, ...HELD },
          ],
        }),
        pending: like({ sequence: 2, roots: [{ ...newRoot, ...HELD }], issuing: byNewRoot }),
      },
      /no root|chain|issuer|bundle/i,
    ],
    'what does not know the tokens that instances still sign': [
      {
        current: like({
          jwtKeys: [
            { ...oldKey, removeAfter: PAST },
            { ...newKey, ...WAITING },
          ],
        }),
        pending: like({ sequence: 2, jwtKeys: [{ ...newKey, ...HELD }] }),
      },
      /does not know the JWT key/,
    ],
    'a kid that is not the thumbprint of its key': [
      {
        current: like({ jwtKeys: [{ ...oldKey, kid: 'mine' }] }),
        pending: like({ jwtKeys: [{ ...oldKey, kid: 'mine' }], issuing: byOldRoot }),
      },
      /thumbprint/,
    ],
  }
  test.each(Object.entries(bad))('%s', async (_name, [pair, message]) => {
    await expect(judge(pair)).rejects.toThrow(message)
  })

  test('a birth without a JWT key', async () => {
    await expect(check(like({ jwtKeys: [] }), null, NOW)).rejects.toThrow('no JWT key may sign')
  })

  test('the CA of somebody else, and gives the version up', async () => {
    const [ca, foreign] = [setUp(), setUp()]
    await ca.rotate()
    await foreign.rotate()
    ca.clock.advance(DAY)
    const token = ca.store.beginRotation()
    const text = JSON.stringify({ ...foreign.document(), basedOn: ca.store.holderOf('AWSCURRENT') })
    ca.store.put({ ClientRequestToken: token, SecretString: text, VersionStages: ['AWSPENDING'] })
    await expect(testSecret(ca.options(token))).rejects.toMatchObject({ code: 'rotation-test-failed' })
    expect(ca.store.versions.get(token)?.stages.size).toBe(0)
  })
})
