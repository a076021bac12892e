// What an advance does where a part of it cannot be done: the issuing CA, which everything waits for, goes on.
import { describe, expect, test } from 'vitest'
import {
  advance,
  type CaTools,
  giveBirth,
  logBlocked,
} from '../../../../../lambdas/identity/authority/advance.ts'
import { createKmsRootKeys } from '../../../../../lambdas/identity/authority/root-keys-kms.ts'
import { buildAuthorityState } from '../../../../../lambdas/identity/authority/state.ts'
import type { LogRecord } from '../../../../../lambdas/identity/log.ts'
import { createFakeKms, type FakeKms } from '../../../../fakes/aws/kms.ts'
import { createClock, createTools, TRUST_DOMAIN } from '../support.ts'

const DAY = 86_400_000

describe('a root that is due a successor, where', () => {
  const broken: Record<string, (kms: FakeKms, key: string) => void> = {
    'the second KMS key is disabled': (kms, key) => kms.setState(key, 'Disabled'),
    'the second KMS key is to be deleted': (kms, key) => kms.setState(key, 'PendingDeletion'),
    'the second KMS key signs something else': (kms, key) => kms.signWrongly(key),
  }
  test.each(Object.entries(broken))('%s, goes on signing for a week and more', async (_name, breakKey) => {
    const kms = createFakeKms()
    const [first, second] = [kms.addKey(), kms.addKey()]
    const tools = createTools(createKmsRootKeys({ client: kms.client, keyArns: [first, second] }))
    const clock = createClock()
    let document = await giveBirth(tools, clock.now())
    breakKey(kms, second)
    clock.advance((9 * 365 + 1) * DAY)
    for (let day = 0; day < 9; day++) {
      const advanced = await advance(document, tools, { now: clock.now() })
      expect(advanced).toMatchObject({
        issuingRenewed: true,
        publishedRoot: null,
        blocked: ['successor-failed'],
        failures: [expect.stringContaining(second)],
      })
      ;({ document } = advanced)
      const state = await buildAuthorityState(document, TRUST_DOMAIN)
      expect(state.issuing.notAfter.getTime() - clock.now().getTime()).toBe(7 * DAY)
      clock.advance(DAY)
    }
    // By the JWT key, which was succeeded and then left; the root that was not published moved nothing.
    expect(document).toMatchObject({ sequence: 3, roots: [{ key: `kms:${first}`, removeAfter: null }] })
  })

  test('the second KMS key works again, it is published with the next sequence', async () => {
    const kms = createFakeKms()
    const keyArns = [kms.addKey(), kms.addKey()]
    const tools = createTools(createKmsRootKeys({ client: kms.client, keyArns }))
    const clock = createClock()
    const born = await giveBirth(tools, clock.now())
    kms.setState(keyArns[1] ?? '', 'Disabled')
    const wanted = { root: true }
    const failed = await advance(born, tools, { now: clock.now(), wanted })
    expect(failed).toMatchObject({ document: born, blocked: ['successor-failed'] })
    kms.setState(keyArns[1] ?? '', 'Enabled')
    const done = await advance(born, tools, { now: clock.now(), wanted })
    expect(done).toMatchObject({ document: { sequence: 2, roots: [{}, {}] }, blocked: [], failures: [] })
  })
})

describe('a JWT key that is due a successor which cannot be made', () => {
  const noJwtKey = (tools: CaTools): CaTools => ({
    ...tools,
    makeJwtKey: async () => {
      throw new Error('no randomness')
    },
  })

  test('stays the one that signs, without an end, while the issuing CA is renewed', async () => {
    const tools = createTools()
    const clock = createClock()
    const born = await giveBirth(tools, clock.now())
    clock.advance(30 * DAY)
    const advanced = await advance(born, noJwtKey(tools), { now: clock.now() })
    expect(advanced).toMatchObject({
      issuingRenewed: true,
      publishedJwtKey: null,
      blocked: ['successor-failed'],
      failures: ['JWT key: no randomness'],
    })
    expect(advanced.document).toMatchObject({ sequence: 1, jwtKeys: born.jwtKeys })
  })

  test('does not hold back the successor of a root', async () => {
    const tools = createTools()
    const { now } = createClock()
    const born = await giveBirth(tools, now())
    const wanted = { root: true, jwt: true }
    const advanced = await advance(born, noJwtKey(tools), { now: now(), wanted })
    expect(advanced.document).toMatchObject({ sequence: 2, roots: [{}, {}], jwtKeys: born.jwtKeys })
    expect(advanced.document.roots[1]).toEqual(advanced.publishedRoot)
  })
})

test('what is blocked is logged as an error, each with its reason', () => {
  const log: LogRecord[] = []
  logBlocked((record) => log.push(record), {
    blocked: ['no-spare-root-key', 'successor-failed', 'successor-failed'],
    failures: ['root: x', 'JWT key: y'],
  })
  expect(log).toEqual([
    {
      event: 'rotation.blocked',
      level: 'error',
      code: 'no-spare-root-key',
      reason: expect.stringContaining('every configured key'),
    },
    { event: 'rotation.blocked', level: 'error', code: 'successor-failed', reason: 'root: x; JWT key: y' },
  ])
})
