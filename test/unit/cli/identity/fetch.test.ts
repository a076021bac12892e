// The client of the authority: what it sends again, and with which key, when something goes wrong on the way.
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { Secret } from '../../../../common/secret.ts'
import { type FetchX509SvidOptions, fetchX509Svid } from '../../../../cli/identity/fetch.ts'
import { createKeyRing } from '../../../../common/authority/keys.ts'
import type { MadeSource } from '../../../../common/authority/proof.ts'
import { AUDIENCE, provider, registration } from '../../lambdas/identity/support.ts'
import { createLine, type Line, URL_OF_AUTHORITY } from '../../../fixtures/authority-line.ts'

const POST = '/v1/svid/x509'
const BUNDLE = '/v1/bundle'

/** A client that shows `token.text`, which may be changed, and waits for nothing. */
function client(line: Line, more: Partial<FetchX509SvidOptions> = {}) {
  const token = { text: '' }
  const pauses: number[] = []
  const options: FetchX509SvidOptions = {
    authorityUrl: URL_OF_AUTHORITY,
    proof: { kind: 'token', read: async () => new Secret(token.text) },
    trustDomain: 'example.org',
    keys: createKeyRing(),
    fetch: line.fetch,
    clock: line.authority.clock.now,
    random: () => 0.5,
    sleep: async (ms) => void pauses.push(ms),
    ...more,
  }
  return { token, pauses, run: () => fetchX509Svid(options) }
}

async function start() {
  const line = await createLine()
  const made = client(line)
  made.token.text = await line.authority.token()
  return { line, ...made }
}

/** A certificate of the very key that is kept. */
function expectWhole(svid: Awaited<ReturnType<typeof fetchX509Svid>>): void {
  const leaf = new X509Certificate(svid.certificatePem)
  expect(leaf.checkPrivateKey(createPrivateKey(svid.keyPem))).toBe(true)
}

describe('a token that is tied to the first key', () => {
  test('is shown again with that key where the answer was lost', async () => {
    const { line, pauses, run } = await start()
    line.lose(POST, 2)
    expectWhole(await run())
    expect(line.sent).toEqual([`POST ${POST}`, `POST ${POST}`, `POST ${POST}`, `GET ${BUNDLE}`])
    expect(new Set(line.requests.slice(0, 3).map(({ body }) => body)).size).toBe(1)
    expect(line.authority.issuances).toHaveLength(3)
    expect(pauses).toEqual([500, 2000])
  })

  const failures: Record<string, (line: Line) => void> = {
    'every answer was lost': (line) => line.lose(POST, 3),
    'the bundle could not be fetched': (line) => line.lose(BUNDLE, 3),
    'the answer was damaged': (line) => {
      line.tamper = (route, answer) =>
        route === POST ? { ...answer, body: answer.body.slice(0, 99) } : answer
    },
    'the authority could not record it': (line) => {
      line.authority.failIssuances = true
    },
  }
  test.each(Object.entries(failures))(
    'works at the next try of the command where %s',
    async (_name, fail) => {
      const { line, run } = await start()
      fail(line)
      await expect(run()).rejects.toMatchObject({ name: 'IdentityFetchError' })
      line.tamper = (_route, answer) => answer
      line.authority.failIssuances = false
      expectWhole(await run())
    },
  )

  test('certifies its key again where the platform has not replaced it, and a new one where it has', async () => {
    const { line, token, run } = await start()
    const first = await run()
    const again = await run()
    expect(again.keyPem).toBe(first.keyPem)
    expect(again.serialNumber).not.toBe(first.serialNumber)
    token.text = await line.authority.token()
    const next = await run()
    expectWhole(next)
    expect(next.keyPem).not.toBe(first.keyPem)
  })

  test('is refused at once where it does not hold, and not shown again', async () => {
    const { line, token, run } = await start()
    token.text = await line.authority.token({ aud: 'https://other.example' })
    await expect(run()).rejects.toMatchObject({ code: 'proof-refused' })
    expect(line.sent).toEqual([`POST ${POST}`])
  })
})

test('an authority that fails is asked three times, and then it is said', async () => {
  const { line, run } = await start()
  line.authority.failIssuances = true
  await expect(run()).rejects.toMatchObject({
    code: 'authority-failed',
    message: expect.stringContaining('issuance-record-unavailable (503)'),
  })
  expect(line.sent).toHaveLength(3)
  line.tamper = () => ({ status: 502, body: '<html>Bad Gateway</html>' })
  await expect(run()).rejects.toMatchObject({ code: 'authority-failed' })
})

describe('a proof that is made for the key', () => {
  const registrations = [registration({ name: 'first', claims: { kind: 'first' } })]

  /** Tokens of two kinds: the first is what `make` gives, the second what `makeOther` does. */
  function source(line: Line, kinds: readonly [string, string | null]) {
    const wanted: string[] = []
    const refusals: string[] = []
    const made: MadeSource = {
      kind: 'made',
      make: async ({ audience, binding }) => {
        wanted.push(binding)
        const aud = `${audience}#${binding}`
        return { token: new Secret(await line.authority.token({ aud, kind: kinds[0] })) }
      },
      makeOther:
        kinds[1] === null
          ? null
          : async ({ audience, binding }, refusal) => {
              refusals.push(refusal)
              const aud = `${audience}#${binding}`
              return { token: new Secret(await line.authority.token({ aud, kind: kinds[1] })) }
            },
    }
    return { made, wanted, refusals }
  }

  test('is for a new key each time', async () => {
    const line = await createLine({ registrations })
    const { made, wanted } = source(line, ['first', null])
    const { run } = client(line, { proof: made })
    expect((await run()).keyPem).not.toBe((await run()).keyPem)
    expect(new Set(wanted).size).toBe(2)
  })

  test('gives way to the other kind, once and for the same key, where it is refused', async () => {
    const line = await createLine({ registrations })
    const { made, refusals } = source(line, ['second', 'first'])
    expectWhole(await client(line, { proof: made }).run())
    expect(refusals).toEqual([expect.stringContaining('registration-refused (403)')])
    const both = source(line, ['second', 'second'])
    await expect(client(line, { proof: both.made }).run()).rejects.toMatchObject({
      code: 'registration-refused',
    })
    expect(both.refusals).toHaveLength(1)
  })

  test.for<[string, Parameters<Line['tamper']>[1]]>([
    [
      'credentials that are about to end',
      { status: 401, body: '{"title":"t","code":"credentials-expiring"}' },
    ],
    ['several registrations', { status: 409, body: '{"title":"t","code":"registration-ambiguous"}' }],
  ])('does not give way to %s', async ([, answer]) => {
    const line = await createLine({ registrations })
    const { made, refusals } = source(line, ['first', 'first'])
    line.tamper = () => answer
    await expect(client(line, { proof: made }).run()).rejects.toMatchObject({ code: 'authority-refused' })
    expect(refusals).toEqual([])
  })

  test('says what the authority calls itself where it was made for another name, and makes none for that', async () => {
    const line = await createLine({ registrations })
    const { made, wanted } = source(line, ['first', null])
    const { run } = client(line, { proof: made, authorityUrl: 'https://vpce-1.example.org/' })
    await expect(run()).rejects.toThrow(
      `was made for https://vpce-1.example.org, and the authority calls itself ${AUDIENCE}: see --audience`,
    )
    expect(wanted).toHaveLength(1)
    expectWhole(
      await client(line, {
        proof: made,
        authorityUrl: 'https://vpce-1.example.org',
        audience: AUDIENCE,
      }).run(),
    )
  })
})

test('the URL of the authority is its audience, with a slash at its end or without', async () => {
  const line = await createLine({ providers: [provider({ reuse: 'untilExpiry', maxTokenAgeMs: 600_000 })] })
  for (const authorityUrl of [URL_OF_AUTHORITY, `${URL_OF_AUTHORITY}/`]) {
    const audiences: string[] = []
    const proof: MadeSource = {
      kind: 'made',
      make: async ({ audience }) => {
        audiences.push(audience)
        return { token: new Secret(await line.authority.token()) }
      },
      makeOther: null,
    }
    await client(line, { authorityUrl, proof }).run()
    expect(audiences).toEqual([AUDIENCE])
  }
})

describe('the URL of the authority', () => {
  test.for<[string, string]>([
    ['no URL', 'identity.example.org'],
    ['plain http', 'http://identity.example.org'],
    ['another scheme', 'file:///etc/passwd'],
    ['http to a name that begins like loopback', 'http://localhost.example.org'],
    ['http to an address that begins like loopback', 'http://127.0.0.1.example.org'],
    ['a user name', 'https://user@identity.example.org'],
    ['a password alone', 'https://:secret@identity.example.org'],
    ['a query', 'https://identity.example.org/?a=b'],
    ['an empty query', 'https://identity.example.org/?'],
    ['a fragment', 'https://identity.example.org/#x'],
  ])('is refused as %s, before a proof is made', async ([, authorityUrl]) => {
    const line = await createLine()
    const { run } = client(line, {
      authorityUrl,
      proof: { kind: 'token', read: () => Promise.reject(new Error('read')) },
    })
    await expect(run()).rejects.toMatchObject({ code: 'authority-url' })
    expect(line.sent).toEqual([])
  })

  test.for<[string, string]>([
    ['loopback by name', 'http://localhost:8080'],
    ['loopback by address', 'http://127.0.0.2:8080'],
    ['loopback in IPv6', 'http://[::1]:8080'],
    ['a path', 'https://example.org/identity'],
  ])('may be %s', async ([, authorityUrl]) => {
    const line = await createLine()
    const urls: string[] = []
    const { run, token } = client(line, {
      authorityUrl,
      fetch: async (request) => {
        urls.push(request.url)
        return line.fetch({ ...request, url: request.url.replace('/identity/', '/') })
      },
    })
    token.text = await line.authority.token()
    await run()
    expect(urls).toEqual([`${authorityUrl}${POST}`, `${authorityUrl}${BUNDLE}`])
  })
})
