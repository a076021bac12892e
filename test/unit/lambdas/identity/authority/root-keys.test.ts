// Root keys in KMS and in a secret: what they sign holds, a successor takes another key, and a wrong key is refused.
import { X509Certificate } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { advance, giveBirth } from '../../../../../lambdas/identity/authority/advance.ts'
import { createKmsRootKeys, toP1363 } from '../../../../../lambdas/identity/authority/root-keys-kms.ts'
import { createSecretRootKeys } from '../../../../../lambdas/identity/authority/root-keys-secret.ts'
import { buildAuthorityState } from '../../../../../lambdas/identity/authority/state.ts'
import { createFakeKms } from '../../../../fakes/aws/kms.ts'
import { SecretsStore } from '../../../../fakes/aws/secrets-store.ts'
import { directClient } from '../../../../fakes/aws/secrets-manager.ts'
import { createClock, createTools, TRUST_DOMAIN } from '../support.ts'

const DAY = 86_400_000

describe('KMS', () => {
  test('signs root and issuing CA, and each successor with the other key', async () => {
    const kms = createFakeKms()
    const keyArns = [kms.addKey(), kms.addKey()]
    const tools = createTools(createKmsRootKeys({ client: kms.client, keyArns }))
    const { now, advance: wait } = createClock()
    let document = await giveBirth(tools, now())
    expect(document.roots[0]?.key).toBe(`kms:${keyArns[0]}`)
    await buildAuthorityState(document, TRUST_DOMAIN)
    ;({ document } = await advance(document, tools, { now: now(), wanted: { root: true } }))
    expect(document.roots.map(({ key }) => key)).toEqual(keyArns.map((arn) => `kms:${arn}`))
    // Both are in use now: a third has nowhere to come from.
    wait(DAY)
    ;({ document } = await advance(document, tools, { now: now() }))
    const third = await advance(document, tools, { now: now(), wanted: { root: true } })
    expect(third.blocked).toEqual(['no-spare-root-key'])
    await buildAuthorityState(document, TRUST_DOMAIN)
    for (let day = 0; day < 9; day++) {
      wait(DAY)
      ;({ document } = await advance(document, tools, { now: now() }))
    }
    expect(document.roots.map(({ key }) => key)).toEqual([`kms:${keyArns[1]}`])
    ;({ document } = await advance(document, tools, { now: now(), wanted: { root: true } }))
    expect(document.roots[1]?.key).toBe(`kms:${keyArns[0]}`)
    expect(
      new Set(document.roots.map(({ certificate }) => new X509Certificate(certificate).subject)).size,
    ).toBe(2)
  })

  test('a root whose key is configured no longer gets a successor', async () => {
    const kms = createFakeKms()
    const [a, b, c] = [kms.addKey(), kms.addKey(), kms.addKey()]
    const { now } = createClock()
    const document = await giveBirth(
      createTools(createKmsRootKeys({ client: kms.client, keyArns: [a, b] })),
      now(),
    )
    const changed = createTools(createKmsRootKeys({ client: kms.client, keyArns: [b, c] }))
    const next = await advance(document, changed, { now: now() })
    expect(next.publishedRoot?.key).toBe(`kms:${b}`)
  })

  test.each(['P-256', 'secp256k1'])('refuses a key on %s', async (curve) => {
    const kms = createFakeKms()
    const tools = createTools(createKmsRootKeys({ client: kms.client, keyArns: [kms.addKey(curve)] }))
    await expect(giveBirth(tools, new Date())).rejects.toMatchObject({ code: 'authority-root-key' })
  })

  test('a signature that is of something else is refused', async () => {
    const kms = createFakeKms()
    const key = kms.addKey()
    kms.signWrongly(key)
    const tools = createTools(createKmsRootKeys({ client: kms.client, keyArns: [key] }))
    await expect(giveBirth(tools, new Date())).rejects.toMatchObject({
      code: 'authority-root-key',
      message: expect.stringContaining('does not verify'),
    })
  })

  test('toP1363 takes DER signatures and nothing else', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 120 }), (bytes) => {
        const found = toP1363(bytes)
        if (found !== null) expect(found.length).toBe(96)
      }),
    )
    expect(toP1363(new Uint8Array([0x30, 6, 2, 1, 5, 2, 1, 7]))?.at(95)).toBe(7)
  })
})

describe('a root secret', () => {
  const secretArn = 'arn:aws:secretsmanager:eu-west-1:111122223333:secret:root-AbCdEf'

  test('keeps one key for each root, from unborn on', async () => {
    const store = new SecretsStore('{"state":"unborn"}')
    const { now, advance: wait } = createClock()
    const rootKeys = createSecretRootKeys({ client: directClient(store), secretArn, clock: now })
    const tools = createTools(rootKeys)
    const document = await giveBirth(tools, now())
    await buildAuthorityState(document, TRUST_DOMAIN)
    wait(DAY)
    const next = await advance(document, tools, { now: now(), wanted: { root: true } })
    expect(JSON.parse(store.current)).toMatchObject({ keys: [{ id: expect.any(String) }, {}] })
    await buildAuthorityState(next.document, TRUST_DOMAIN)
  })

  test('keeps what a document may be about to name: what is used, and for a week what is not', async () => {
    const store = new SecretsStore('{"state":"unborn"}')
    const { now, advance: wait } = createClock()
    const rootKeys = createSecretRootKeys({ client: directClient(store), secretArn, clock: now })
    const ids = () => (JSON.parse(store.current) as { keys: { id: string }[] }).keys.map(({ id }) => id)
    const { reference: used } = await rootKeys.create([])
    wait(2 * 3_600_000)
    // Of a rotation that died: its key serves the next try for an hour, and stays for a week.
    const { reference: unused } = await rootKeys.create([used])
    expect((await rootKeys.create([used])).reference).toBe(unused)
    wait(6 * DAY)
    const { reference: third } = await rootKeys.create([used])
    expect(ids().map((id) => `secretsmanager:${secretArn}#${id}`)).toEqual([used, unused, third])
    wait(DAY)
    const { reference: fourth } = await rootKeys.create([used, third])
    expect(ids().map((id) => `secretsmanager:${secretArn}#${id}`)).toEqual([used, third, fourth])
  })

  test.each(['', '{}', '{"state":"born"}', 'x'])(
    'that holds %j is an error that touches nothing',
    async (text) => {
      const store = new SecretsStore(text)
      const rootKeys = createSecretRootKeys({
        client: directClient(store),
        secretArn,
        clock: () => new Date(),
      })
      await expect(giveBirth(createTools(rootKeys), new Date())).rejects.toMatchObject({
        code: 'authority-root-key',
      })
      expect(store.current).toBe(text)
    },
  )

  test('two writers at once: one fails, and no key is lost', async () => {
    const store = new SecretsStore('{"state":"unborn"}')
    const client = directClient(store)
    const make = () =>
      giveBirth(createTools(createSecretRootKeys({ client, secretArn, clock: () => new Date() })), new Date())
    const results = await Promise.allSettled([make(), make()])
    const won = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
    const { keys } = JSON.parse(store.current) as { keys: { id: string }[] }
    for (const { roots } of won)
      expect(keys.map(({ id }) => `secretsmanager:${secretArn}#${id}`)).toContain(roots[0]?.key)
    expect(won.length).toBeGreaterThan(0)
  })
})
