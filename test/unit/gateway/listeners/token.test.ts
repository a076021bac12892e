// What a Proxy-Authorization shows.
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'
import { identifyByToken, readToken } from '../../../../gateway/listeners/token.ts'
import type { Bundle } from '../../../../spiffe/bundle.ts'

const basic = (text: string) => `Basic ${Buffer.from(text, 'latin1').toString('base64')}`

describe('readToken', () => {
  test.each<[string, string, string | null]>([
    ['Bearer', 'Bearer a.b.c', 'a.b.c'],
    ['any case and several blanks', 'bEARER   a.b.c  ', 'a.b.c'],
    ['Basic with the token as password', basic('token:a.b.c'), 'a.b.c'],
    ['Basic without a user', basic(':a.b.c'), 'a.b.c'],
    ['Basic with colons in the password', basic('u:a:b'), 'a:b'],
    ['Basic without a colon', basic('a.b.c'), null],
    ['Basic without anything', 'Basic ', null],
    ['Basic that is no base64', 'Basic ***', null],
    ['an empty Bearer', 'Bearer ', null],
    ['Bearer alone', 'Bearer', null],
    ['two credentials joined', 'Bearer a.b.c, Bearer d.e.f', null],
    ['another scheme', 'Digest a', null],
    ['a token of several words', 'Bearer a b', null],
    ['a line break', 'Bearer a\r\nb', null],
    ['nothing', '', null],
    ['Basic of more than a token can be', basic(`u:${'a'.repeat(60_000)}`), null],
  ])('%s', (_, header, token) => {
    expect(readToken(header)).toBe(token)
  })

  test('gives back any token that was shown, by either scheme', () => {
    const part = fc.stringMatching(/^[A-Za-z0-9_-]{1,80}$/)
    const token = fc.tuple(part, part, part).map((parts) => parts.join('.'))
    const user = fc.stringMatching(/^[^:\u0100-\uffff]{0,40}$/)
    fc.assert(
      fc.property(token, user, (text, name) => {
        expect(readToken(`Bearer ${text}`)).toBe(text)
        expect(readToken(basic(`${name}:${text}`))).toBe(text)
      }),
    )
  })

  test('never throws, and takes no time over anything', () => {
    const header = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 200 }),
      fc.string({ maxLength: 100 }).map((text) => `Basic ${text}`),
      fc.string({ maxLength: 100 }).map((text) => `Bearer ${text}`),
      fc.nat(100_000).map((length) => `Bearer ${' '.repeat(length)}=`),
      fc.nat(100_000).map((length) => `Basic ${'='.repeat(length)}\u0000`),
    )
    fc.assert(
      fc.property(header, (text) => {
        const token = readToken(text)
        expect(token === null || typeof token === 'string').toBe(true)
      }),
    )
  })
})

describe('identifyByToken', () => {
  const AUDIENCE = 'spiffe://example.org/sallyport/gateway'
  let bundle: Bundle
  let sign: (claims: object) => Promise<string>

  beforeAll(async () => {
    const { publicKey, privateKey } = await generateKeyPair('ES256')
    bundle = {
      trustDomain: 'example.org',
      x509Authorities: [],
      jwtAuthorities: [{ keyId: 'k1', key: await exportJWK(publicKey) }],
      sequence: null,
      refreshHintSeconds: null,
    }
    sign = (claims) => {
      const now = Math.floor(Date.now() / 1000)
      const body = { sub: 'spiffe://example.org/agent', aud: AUDIENCE, iat: now, exp: now + 60, ...claims }
      return new SignJWT(body).setProtectedHeader({ alg: 'ES256', kid: 'k1' }).sign(privateKey)
    }
  })

  const ask = (shown: string | null) =>
    identifyByToken(shown, {
      audience: AUDIENCE,
      trust: { bundle: (name) => (name === 'example.org' ? bundle : undefined), linkerd: null },
      now: new Date(),
    })

  test('a good one is a workload, by its jti or, without one, its digest', async () => {
    expect(await ask(`Bearer ${await sign({ jti: 'one' })}`)).toMatchObject({
      ok: true,
      principal: { kind: 'workload', id: { uri: 'spiffe://example.org/agent' } },
      credential: 'token',
      tokenId: 'one',
      chain: [],
    })
    const nameless = await ask(`Bearer ${await sign({})}`)
    expect(nameless.ok && nameless.tokenId).toMatch(/^sha256:[\w-]{43}$/)
  })

  test('nothing shown is missing, and what is no token is malformed', async () => {
    expect(await ask(null)).toMatchObject({ ok: false, code: 'client-token-missing' })
    expect(await ask('Digest x')).toMatchObject({ ok: false, code: 'client-token-malformed' })
  })

  test('never rejects, and says nothing of what was shown', async () => {
    const good = await sign({})
    const damaged = fc
      .tuple(fc.nat(good.length - 1), fc.stringMatching(/^[A-Za-z0-9._-]{0,3}$/))
      .map(([at, put]) => `${good.slice(0, at)}${put}${good.slice(at + 1)}`)
    await fc.assert(
      fc.asyncProperty(fc.oneof(damaged, fc.string({ maxLength: 60 })), async (token) => {
        fc.pre(token !== good)
        const identity = await ask(`Bearer ${token}`)
        expect(identity.ok).toBe(false)
        if (identity.ok) return
        expect(identity.code).toMatch(/^client-token-/)
        if (token.length > 20) expect(identity.detail ?? '').not.toContain(token.slice(-20))
      }),
      { numRuns: 150 },
    )
  })
})
