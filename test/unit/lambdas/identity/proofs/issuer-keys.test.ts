// The keys of an issuer between requests: how often it is asked, what is believed, how long it is kept (attacks 19,
// 21, 24, 26, 27).
import { describe, expect, it } from 'vitest'
import type { LogRecord } from '../../../../../lambdas/identity/log.ts'
import { createIssuerKeys } from '../../../../../lambdas/identity/proofs/issuer-keys.ts'
import {
  createFakeIssuer,
  DISCOVERY_PATH,
  fetchOf,
  KEYS_PATH,
  type Misbehaviour,
} from '../../../../fakes/oidc-issuer.ts'
import { createClock, ISSUER, provider } from '../support.ts'

async function setUp(more: { readonly jwksUri?: string; readonly timeoutMs?: number } = {}) {
  const clock = createClock()
  const issuer = await createFakeIssuer(ISSUER)
  const log: LogRecord[] = []
  const keys = createIssuerKeys({
    provider: provider({ jwksUri: more.jwksUri ?? null }),
    fetch: fetchOf(issuer),
    clock: clock.now,
    log: (record) => log.push(record),
    timeoutMs: more.timeoutMs ?? 2_000,
  })
  return { clock, issuer, log, keys, find: () => keys.find(issuer.kid, 'ES256') }
}

describe('the keys of an issuer', () => {
  it('are fetched once for many requests at a time', async () => {
    const { issuer, find } = await setUp()
    await Promise.all(Array.from({ length: 50 }, find))
    expect(Object.fromEntries(issuer.requests)).toEqual({ [DISCOVERY_PATH]: 1, [KEYS_PATH]: 1 })
  })

  it('attack 27: are fetched once a cool-down under a thousand unknown kids', async () => {
    const { clock, issuer, keys, find } = await setUp()
    await find()
    const storm = () =>
      Promise.allSettled(Array.from({ length: 1000 }, (_, index) => keys.find(`unknown-${index}`, 'ES256')))
    for (const result of await storm()) expect(result).toMatchObject({ reason: { code: 'key-unknown' } })
    expect(issuer.requests.get(KEYS_PATH)).toBe(1)
    clock.advance(30_000)
    await storm()
    expect(issuer.requests.get(KEYS_PATH)).toBe(2)
  })

  it('attack 27: are asked for once a cool-down while the issuer fails', async () => {
    const { clock, issuer, find } = await setUp()
    issuer.misbehave(DISCOVERY_PATH, { kind: 'status', status: 500 })
    for (let count = 0; count < 20; count++) {
      await expect(find()).rejects.toMatchObject({ code: 'issuer-unavailable' })
    }
    expect(issuer.total).toBe(1)
    clock.advance(30_000)
    issuer.misbehave(DISCOVERY_PATH, null)
    await find()
    expect(issuer.requests.get(DISCOVERY_PATH)).toBe(2)
  })

  it('stay usable while a refresh fails, for a day and no longer', async () => {
    const { clock, issuer, find, log } = await setUp()
    await find()
    issuer.misbehave(KEYS_PATH, { kind: 'status', status: 500 })
    clock.advance(23 * 3_600_000)
    await expect(find()).resolves.toBeDefined()
    expect(log).toContainEqual(expect.objectContaining({ event: 'issuer.keys-failed' }))
    clock.advance(2 * 3_600_000)
    await expect(find()).rejects.toMatchObject({ code: 'issuer-unavailable' })
  })

  it('stop working ten minutes after the issuer withdrew them', async () => {
    const { clock, issuer, find } = await setUp()
    await find()
    issuer.misbehave(KEYS_PATH, { kind: 'document', document: { keys: [] } })
    clock.advance(10 * 60_000)
    await expect(find()).resolves.toBeDefined()
    clock.advance(1)
    await expect(find()).rejects.toMatchObject({ code: 'key-unknown' })
  })

  it('are found anew when the clock was set back', async () => {
    const { clock, issuer, keys, find } = await setUp()
    await find()
    clock.advance(-3_600_000)
    await expect(keys.find('new', 'ES256')).rejects.toMatchObject({ code: 'key-unknown' })
    expect(issuer.requests.get(KEYS_PATH)).toBe(2)
  })

  it('come from the configured jwksUri without discovery', async () => {
    const { issuer, find } = await setUp({ jwksUri: `${ISSUER}${KEYS_PATH}` })
    await find()
    expect(Object.fromEntries(issuer.requests)).toEqual({ [KEYS_PATH]: 1 })
  })

  const discoveries: Record<string, Misbehaviour> = {
    'another issuer': {
      kind: 'document',
      document: { issuer: `${ISSUER}/`, jwks_uri: `${ISSUER}${KEYS_PATH}` },
    },
    'keys on another host': {
      kind: 'document',
      document: { issuer: ISSUER, jwks_uri: 'https://evil.example/keys' },
    },
    'keys on another port': {
      kind: 'document',
      document: { issuer: ISSUER, jwks_uri: `${ISSUER}:8443/keys` },
    },
    'keys over http': {
      kind: 'document',
      document: { issuer: ISSUER, jwks_uri: 'http://issuer.example/keys' },
    },
    'keys in a userinfo trick': {
      kind: 'document',
      document: { issuer: ISSUER, jwks_uri: 'https://issuer.example@evil.example/keys' },
    },
    'keys at the metadata service': {
      kind: 'document',
      document: { issuer: ISSUER, jwks_uri: 'http://169.254.169.254/' },
    },
    'no jwks_uri': { kind: 'document', document: { issuer: ISSUER } },
    'its issuer twice': {
      kind: 'text',
      text: `{"issuer":"x","jwks_uri":"${ISSUER}/keys","issuer":"${ISSUER}"}`,
    },
    'a redirect': { kind: 'redirect', status: 302, to: 'http://169.254.169.254/latest/meta-data' },
  }
  it.each(Object.entries(discoveries))(
    'attacks 24, 26: are not fetched where discovery gives %s',
    async (_name, how) => {
      const { issuer, find } = await setUp()
      issuer.misbehave(DISCOVERY_PATH, how)
      await expect(find()).rejects.toMatchObject({ code: 'issuer-unavailable' })
      expect(issuer.total).toBe(1)
    },
  )

  // Each of these would answer, with the very keys that were looked for: only the pin keeps them unasked.
  it.each<[string, string]>([
    ['another host', 'https://evil.example'],
    ['a host below', 'https://keys.issuer.example'],
    ['another port', `${ISSUER}:8443`],
    ['plain http', 'http://issuer.example'],
  ])('attack 26: are not asked for at %s, where valid keys wait', async (_name, elsewhere) => {
    const issuer = await createFakeIssuer(ISSUER)
    const other = await createFakeIssuer(elsewhere)
    other.misbehave(KEYS_PATH, { kind: 'document', document: { keys: [issuer.jwk] } })
    const document = { issuer: ISSUER, jwks_uri: `${elsewhere}${KEYS_PATH}` }
    issuer.misbehave(DISCOVERY_PATH, { kind: 'document', document })
    const keys = createIssuerKeys({
      provider: provider(),
      fetch: fetchOf(issuer, other),
      clock: createClock().now,
      log: () => undefined,
    })
    await expect(keys.find(issuer.kid, 'ES256')).rejects.toMatchObject({ code: 'issuer-unavailable' })
    expect(other.total).toBe(0)
  })

  const answers: Record<string, (jwk: Readonly<Record<string, unknown>>) => Misbehaviour> = {
    'a redirect to another host': () => ({ kind: 'redirect', status: 307, to: 'https://evil.example/keys' }),
    'a server error': () => ({ kind: 'status', status: 500 }),
    'no content': () => ({ kind: 'status', status: 204 }),
    'an endless document': () => ({ kind: 'grow' }),
    'no answer at all': () => ({ kind: 'stall' }),
    'no JSON': () => ({ kind: 'text', text: '<html>' }),
    'a list': (jwk) => ({ kind: 'document', document: [jwk] }),
    'ten thousand keys': (jwk) => ({
      kind: 'document',
      document: { keys: Array.from({ length: 10_000 }, (_, i) => ({ ...jwk, kid: `${i}` })) },
    }),
    '101 keys': (jwk) => ({
      kind: 'document',
      document: { keys: [jwk, ...Array.from({ length: 100 }, (_, i) => ({ kty: 'EC', kid: `${i}` }))] },
    }),
    'a private key': (jwk) => ({
      kind: 'document',
      document: { keys: [jwk, { ...jwk, kid: 'other', d: 'AA' }] },
    }),
    'a shared secret': (jwk) => ({
      kind: 'document',
      document: { keys: [jwk, { kty: 'oct', k: 'c2VjcmV0', kid: 'other' }] },
    }),
  }
  it.each(Object.entries(answers))(
    'attack 27: are not believed where the key set is %s',
    async (_name, how) => {
      const { issuer, find } = await setUp({ timeoutMs: 100 })
      issuer.misbehave(KEYS_PATH, how(issuer.jwk))
      await expect(find()).rejects.toMatchObject({ code: 'issuer-unavailable' })
    },
  )

  const unfit: Record<string, [(jwk: Readonly<Record<string, unknown>>) => unknown[], string]> = {
    'is for encryption': [(jwk) => [{ ...jwk, use: 'enc' }], 'key-unknown'],
    'is for other operations': [(jwk) => [{ ...jwk, key_ops: ['encrypt'] }], 'key-unknown'],
    'has another algorithm': [(jwk) => [{ ...jwk, alg: 'ES384' }], 'key-unfit'],
    'stands there twice': [(jwk) => [jwk, jwk], 'key-unfit'],
    'is of another kind': [
      (jwk) => [{ kty: 'RSA', kid: jwk.kid, n: 'A'.repeat(342), e: 'AQAB' }],
      'key-unfit',
    ],
    'is on another curve': [(jwk) => [{ ...jwk, alg: undefined, crv: 'P-384' }], 'key-unfit'],
    'is no point of its curve': [(jwk) => [{ ...jwk, x: jwk.y }], 'key-unfit'],
    'has no kid': [(jwk) => [{ ...jwk, kid: undefined }], 'key-unknown'],
    'is a short RSA key': [
      (jwk) => [{ kty: 'RSA', kid: jwk.kid, n: 'A'.repeat(171), e: 'AQAB' }],
      'key-unknown',
    ],
    'is a huge RSA key': [
      (jwk) => [{ kty: 'RSA', kid: jwk.kid, n: 'A'.repeat(4096), e: 'AQAB' }],
      'key-unknown',
    ],
  }
  it.each(Object.entries(unfit))('attacks 19, 21: refuse a key that %s', async (_name, [keys, code]) => {
    const { issuer, find } = await setUp()
    issuer.misbehave(KEYS_PATH, { kind: 'document', document: { keys: keys(issuer.jwk) } })
    await expect(find()).rejects.toMatchObject({ code })
  })

  it('leave out what cannot be used and keep the rest', async () => {
    const { issuer, find } = await setUp()
    const keys = [
      { kty: 'AKP', kid: issuer.kid },
      { ...issuer.jwk, kid: 'other' },
      { use: 'x509-svid' },
      issuer.jwk,
    ]
    issuer.misbehave(KEYS_PATH, { kind: 'document', document: { keys } })
    await expect(find()).resolves.toBeDefined()
  })
})
