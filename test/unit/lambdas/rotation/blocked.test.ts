// Rotations that cannot do all that is due: who watches them hears of it, and what can be done is done.
import { describe, expect, test } from 'vitest'
import { createKmsRootKeys } from '../../../../lambdas/identity/authority/root-keys-kms.ts'
import { createSecret } from '../../../../lambdas/rotation/steps.ts'
import { createFakeKms } from '../../../fakes/aws/kms.ts'
import { DAY, MINUTE, setUp, UNBORN } from './support.ts'

function onKms() {
  const kms = createFakeKms()
  const [a, b, c] = [kms.addKey(), kms.addKey(), kms.addKey()]
  const keys = (...keyArns: string[]) => createKmsRootKeys({ client: kms.client, keyArns })
  return { kms, a, b, c, keys, ca: setUp(UNBORN, keys(a, b)) }
}

describe('where the key of the root is configured no longer', () => {
  test('and there is another, its root is published and signs when it may, and each day says what is blocked', async () => {
    const { ca, keys, b } = onKms()
    await ca.rotate()
    ca.configure(keys(b))
    ca.clock.advance(DAY)
    await ca.rotate()
    expect(ca.document().roots.map(({ key }) => key)).toContain(`kms:${b}`)
    expect(ca.events('rotation.blocked')).toMatchObject([{ code: 'no-root-may-sign', level: 'error' }])
    const waiting = ca.store.beginRotation()
    await expect(createSecret(ca.options(waiting))).rejects.toMatchObject({ code: 'rotation-blocked' })
    // Secrets Manager tries again with the same token.
    ca.clock.advance(25 * MINUTE)
    await ca.rotate(waiting)
    expect(Date.parse(ca.document().issuing.notAfter) - ca.clock.now().getTime()).toBe(7 * DAY)
  })

  test('after the issuing CA has ended, its successor is the way out', async () => {
    const { ca, keys, b } = onKms()
    await ca.rotate()
    ca.configure(keys(b))
    ca.clock.advance(8 * DAY)
    await ca.rotate()
    ca.clock.advance(25 * MINUTE)
    await ca.rotate()
    expect(Date.parse(ca.document().issuing.notAfter) - ca.clock.now().getTime()).toBe(7 * DAY)
  })

  test('and there is none, the rotation fails, so that Secrets Manager says so', async () => {
    const { ca, keys, a } = onKms()
    await ca.rotate()
    const before = ca.store.current
    // No key of these is that of the root, and the one that could be is broken.
    const { kms, a: other } = onKms()
    kms.setState(other, 'Disabled')
    ca.configure(createKmsRootKeys({ client: kms.client, keyArns: [other] }))
    ca.clock.advance(DAY)
    const token = ca.store.beginRotation()
    await expect(createSecret(ca.options(token))).rejects.toMatchObject({ code: 'rotation-blocked' })
    expect(ca.events('rotation.blocked').map(({ code }) => code)).toEqual([
      'no-root-may-sign',
      'successor-failed',
    ])
    expect(ca.store.current).toBe(before)
    expect(ca.store.versions.get(token)?.value).toBeNull()
    ca.configure(keys(a))
    await ca.rotate(token)
  })
})

test('a successor that cannot be made is said, and the issuing CA is renewed', async () => {
  const { ca, kms, b } = onKms()
  await ca.rotate()
  kms.setState(b, 'PendingDeletion')
  ca.clock.advance(9 * 365 * DAY + DAY)
  await ca.rotate()
  expect(ca.events('rotation.blocked')).toMatchObject([
    { code: 'successor-failed', reason: expect.stringContaining('pending deletion') },
  ])
  expect(Date.parse(ca.document().issuing.notAfter) - ca.clock.now().getTime()).toBe(7 * DAY)
})
