// The CA document in Secrets Manager, by the real client over a strict fake (attack 49): a new one without a restart,
// the last good one on failure, and never an older one.
import { expect, test } from 'vitest'
import { advance } from '../../../../../lambdas/identity/authority/advance.ts'
import { formatAuthorityDocument } from '../../../../../lambdas/identity/authority/document.ts'
import { createSecretsManagerAuthority } from '../../../../../lambdas/identity/authority/secrets-manager.ts'
import type { LogRecord } from '../../../../../lambdas/identity/log.ts'
import { SecretsStore } from '../../../../fakes/aws/secrets-store.ts'
import { startFakeSecretsManager } from '../../../../fakes/aws/secrets-manager.ts'
import { createClock, createDocument, createTools, TRUST_DOMAIN } from '../support.ts'

async function setUp(value?: string) {
  const manager = await startFakeSecretsManager()
  const clock = createClock()
  const document = await createDocument(clock.now())
  const store = new SecretsStore(value ?? formatAuthorityDocument(document))
  manager.secrets.set('issuing', store)
  const log: LogRecord[] = []
  const authority = createSecretsManagerAuthority({
    secretId: 'issuing',
    client: manager.client,
    trustDomain: TRUST_DOMAIN,
    clock: clock.now,
    log: (record) => log.push(record),
  })
  const publish = (text: string) => {
    const token = crypto.randomUUID()
    store.put({ ClientRequestToken: token, SecretString: text, VersionStages: ['AWSPENDING'] })
    store.move({
      VersionStage: 'AWSCURRENT',
      MoveToVersionId: token,
      RemoveFromVersionId: store.holderOf('AWSCURRENT') ?? '',
    })
  }
  return {
    manager,
    clock,
    document,
    store,
    log,
    authority,
    publish,
    [Symbol.asyncDispose]: () => manager[Symbol.asyncDispose](),
  }
}

test('is read once a minute, once for all, and a new one is picked up without a restart', async () => {
  await using test = await setUp()
  const states = await Promise.all(Array.from({ length: 20 }, () => test.authority.current()))
  expect(new Set(states).size).toBe(1)
  expect(test.manager.requests).toEqual(['GetSecretValue'])
  const tools = createTools()
  const { document } = await advance(
    test.document,
    { ...tools, canSign: () => true },
    { now: test.clock.now(), wanted: { jwt: true } },
  )
  test.publish(formatAuthorityDocument(document))
  test.clock.advance(59_000)
  expect((await test.authority.current()).bundle.sequence).toBe(1)
  test.clock.advance(2_000)
  expect((await test.authority.current()).bundle.sequence).toBe(2)
})

test('attack 49: a version that is pending is not looked at', async () => {
  await using test = await setUp()
  const pending = formatAuthorityDocument({ ...test.document, sequence: 2 })
  const token = crypto.randomUUID()
  test.store.put({ ClientRequestToken: token, SecretString: pending, VersionStages: ['AWSPENDING'] })
  expect((await test.authority.current()).bundle.sequence).toBe(1)
})

test('while Secrets Manager fails the last good one serves, and its age is known', async () => {
  await using test = await setUp()
  const first = await test.authority.current()
  test.manager.failing = true
  const began = test.clock.now()
  for (let minute = 0; minute < 30; minute++) {
    test.clock.advance(60_000)
    expect(await test.authority.current()).toBe(first)
  }
  expect(test.authority.readAt()).toEqual(began)
  expect(test.log.at(-1)).toMatchObject({ event: 'authority.read-failed', level: 'error' })
  test.manager.failing = false
  test.clock.advance(5_000)
  await test.authority.current()
  expect(test.authority.readAt()).toEqual(test.clock.now())
})

test('attack 49: a document with a lower sequence is refused, whoever put it there', async () => {
  await using test = await setUp()
  const later = { ...test.document, sequence: 9 }
  test.publish(formatAuthorityDocument(later))
  expect((await test.authority.current()).bundle.sequence).toBe(9)
  test.publish(formatAuthorityDocument(test.document))
  test.clock.advance(61_000)
  expect((await test.authority.current()).bundle.sequence).toBe(9)
  expect(test.log.at(-1)).toMatchObject({ reason: expect.stringContaining('lower sequence') })
})

test.each<[string, string]>([
  ['{"state":"unborn"}', 'authority-unborn'],
  ['{"state": "unborn"}', 'authority-malformed'],
  ['', 'authority-malformed'],
  ['{}', 'authority-malformed'],
])('a secret that holds %j is %s', async (value, code) => {
  await using test = await setUp(value)
  await expect(test.authority.current()).rejects.toMatchObject({ code })
})

test('attack 50: a JWT key that is a CA key too is refused', async () => {
  const clock = createClock()
  const document = await createDocument(clock.now())
  const [jwt] = document.jwtKeys
  if (jwt === undefined) throw new Error('no key')
  const twice = { ...document, jwtKeys: [jwt, { ...jwt, kid: 'other' }] }
  await using one = await setUp(formatAuthorityDocument(twice))
  await expect(one.authority.current()).rejects.toMatchObject({ code: 'authority-inconsistent' })
  const ca = { ...document, jwtKeys: [{ ...jwt, key: document.issuing.key }] }
  await using two = await setUp(formatAuthorityDocument(ca))
  await expect(two.authority.current()).rejects.toMatchObject({ code: expect.stringMatching(/^authority-/) })
})
