// The four steps of a rotation by the real client over a strict Secrets Manager: twice each, killed between any two
// calls, late, and two at once.
import { describe, expect, test } from 'vitest'
import { parseAuthorityDocument } from '../../../../lambdas/identity/authority/document.ts'
import { buildAuthorityState } from '../../../../lambdas/identity/authority/state.ts'
import { createSecret, finishSecret, testSecret } from '../../../../lambdas/rotation/steps.ts'
import { type Interrupt, startFakeSecretsManager } from '../../../fakes/aws/secrets-manager.ts'
import type { SecretsStore } from '../../../fakes/aws/secrets-store.ts'
import { TRUST_DOMAIN } from '../identity/support.ts'
import { DAY, HOUR, MINUTE, setUp, STEPS } from './support.ts'

test('the real client: birth, then a day later a new issuing CA under the same root', async () => {
  await using manager = await startFakeSecretsManager()
  const { clock, store, options, document } = setUp()
  manager.secrets.set('issuing', store)
  const real = (token: string) => ({ ...options(token), client: manager.client })
  for (let day = 0; day < 2; day++) {
    const token = store.beginRotation()
    for (const step of STEPS) await step(real(token))
    await buildAuthorityState(document(), TRUST_DOMAIN)
    clock.advance(DAY)
  }
  expect(document()).toMatchObject({ sequence: 1, basedOn: store.holderOf('AWSPREVIOUS') })
  expect([...store.versions.values()].map(({ stages }) => [...stages].toSorted())).toContainEqual([
    'AWSCURRENT',
    'AWSPENDING',
  ])
})

test('each step twice changes nothing the second time', async () => {
  const { clock, store, options, rotate } = setUp()
  await rotate()
  clock.advance(DAY)
  const token = store.beginRotation()
  for (const step of STEPS) {
    await step(options(token))
    const before = JSON.stringify(
      [...store.versions].map(([id, { value, stages }]) => [id, value, [...stages]]),
    )
    await step(options(token))
    expect(
      JSON.stringify([...store.versions].map(([id, { value, stages }]) => [id, value, [...stages]])),
    ).toBe(before)
  }
})

describe('killed before or after any call', () => {
  class Killed extends Error {}

  test.each(['birth', 'a day later'])(
    '%s: the next try ends it, and one document is current',
    async (when) => {
      let stop = 0
      for (;;) {
        const { clock, store, options, rotate } = setUp()
        if (when !== 'birth') {
          await rotate()
          clock.advance(DAY)
        }
        const token = store.beginRotation()
        let calls = 0
        const kill: Interrupt = () => {
          calls += 1
          if (calls === stop) throw new Killed()
        }
        let killed = false
        for (const step of STEPS) {
          try {
            await step(options(token, kill))
          } catch (error) {
            if (!(error instanceof Killed)) throw error
            killed = true
            await step(options(token))
          }
        }
        expect(store.holderOf('AWSCURRENT')).toBe(token)
        const state = await buildAuthorityState(parseAuthorityDocument(store.current), TRUST_DOMAIN)
        expect(state.jwt.signingKey(clock.now())).not.toBeNull()
        if (!killed && stop > 0) break
        stop += 1
      }
      expect(stop).toBeGreaterThan(15)
    },
  )
})

describe('birth', () => {
  test.each(['', '{}', '{"state":"unborn" }', '{"state":"dead"}', 'AQIDBA==', '{"sequence":1}'])(
    'is from unborn alone: %j is an error that touches nothing',
    async (value) => {
      const { store, options } = setUp(value)
      const token = store.beginRotation()
      await expect(createSecret(options(token))).rejects.toThrow()
      expect(store.current).toBe(value)
      expect(store.versions.get(token)?.value).toBeNull()
    },
  )
})

describe('what is given up, with AWSPENDING taken off', () => {
  test('a rotation whose base moved: another was faster', async () => {
    const { clock, store, options, rotate, log } = setUp()
    await rotate()
    clock.advance(DAY)
    const slow = store.beginRotation()
    await createSecret(options(slow))
    // An impatient operator takes the label off, rotates, and puts it on the first one again.
    store.move({ VersionStage: 'AWSPENDING', RemoveFromVersionId: slow })
    const fast = await rotate()
    store.move({ VersionStage: 'AWSPENDING', MoveToVersionId: slow, RemoveFromVersionId: fast })
    await expect(finishSecret(options(slow))).rejects.toMatchObject({ code: 'rotation-base-moved' })
    expect(store.holderOf('AWSCURRENT')).toBe(fast)
    expect(store.versions.get(slow)?.stages.size).toBe(0)
    expect(log.at(-1)).toMatchObject({ event: 'rotation.abandoned' })
    await rotate()
  })

  test('attack 49: new keys that would be published so late that they are used too early', async () => {
    const { clock, store, options, rotate, document } = setUp()
    await rotate()
    for (let day = 0; day < 28; day++) {
      clock.advance(DAY)
      await rotate()
    }
    clock.advance(DAY)
    const token = store.beginRotation()
    await createSecret(options(token))
    expect(parseAuthorityDocument(store.versions.get(token)?.value ?? '').jwtKeys).toHaveLength(2)
    clock.advance(2.5 * MINUTE + 1)
    await expect(finishSecret(options(token))).rejects.toMatchObject({ code: 'rotation-too-late' })
    expect(document().jwtKeys).toHaveLength(1)
    await rotate()
    expect(document().jwtKeys).toHaveLength(2)
  })

  test('an issuing CA that waited for hours, at birth too', async () => {
    const { clock, store, options, rotate, document } = setUp()
    for (const when of ['birth', 'later']) {
      const token = store.beginRotation()
      await createSecret(options(token))
      await testSecret(options(token))
      clock.advance(4 * HOUR)
      await expect(finishSecret(options(token)), when).rejects.toMatchObject({ code: 'rotation-too-late' })
      expect(store.versions.get(token)?.stages.size).toBe(0)
      await rotate()
      expect(Date.parse(document().issuing.notAfter) - clock.now().getTime()).toBe(7 * DAY)
      clock.advance(DAY)
    }
  })

  test.each<[string, (ca: ReturnType<typeof setUp>, token: string) => void, string]>([
    ['is out of date', ({ clock }) => clock.advance(5 * HOUR), 'rotation-too-late'],
    [
      'nobody can read',
      ({ store }, token) => store.versions.set(token, { value: '{}', stages: new Set(['AWSPENDING']) }),
      'rotation-test-failed',
    ],
  ])(
    'a version that is to be created again and %s: its content cannot change',
    async (_name, spoil, code) => {
      const ca = setUp()
      await ca.rotate()
      ca.clock.advance(DAY)
      const token = ca.store.beginRotation()
      await createSecret(ca.options(token))
      spoil(ca, token)
      await expect(createSecret(ca.options(token))).rejects.toMatchObject({ code })
      expect(ca.store.versions.get(token)?.stages.size).toBe(0)
      expect(ca.events('rotation.abandoned')).toMatchObject([{ code, level: 'error' }])
      await ca.rotate()
      expect(Date.parse(ca.document().issuing.notAfter) - ca.clock.now().getTime()).toBe(7 * DAY)
    },
  )

  test('but not a document that changes nothing, however long it waited', async () => {
    const { clock, store, options, rotate, events } = setUp()
    await rotate()
    clock.advance(HOUR)
    const token = store.beginRotation()
    await createSecret(options(token))
    expect(events('rotation.nothing-due')).toMatchObject([{ level: 'info' }])
    clock.advance(5 * HOUR)
    await finishSecret(options(token))
    expect(store.holderOf('AWSCURRENT')).toBe(token)
  })
})

test.each<[string, (store: SecretsStore) => string, string]>([
  [
    'rotation that is switched off',
    (store) => ((store.rotationEnabled = false), store.beginRotation()),
    'rotation-disabled',
  ],
  ['a token of no version', () => crypto.randomUUID(), 'rotation-token-unknown'],
])('%s is refused', async (_name, prepare, code) => {
  const { store, options } = setUp()
  const token = prepare(store)
  for (const step of STEPS) await expect(step(options(token))).rejects.toMatchObject({ code })
})
