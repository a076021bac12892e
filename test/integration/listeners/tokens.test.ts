// Tokens on a `connect` listener: a workload without a certificate shows a JWT-SVID, as curl and libraries do it.
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import http2 from 'node:http2'
import { describe, expect, test } from 'vitest'
import { readBundle, writeBundle } from '../../../spiffe/bundle.ts'
import { connect, connectTls, readBody } from '../../fixtures/connect-client.ts'
import { connectFields, FLAG, RawH2 } from '../../fixtures/h2-raw.ts'
import { partnerDestination, startPartner, toLoopback } from '../../fixtures/partner.ts'
import { createWorld, startTestGateway } from '../../fixtures/world.ts'

const GATEWAY = 'spiffe://example.org/sallyport/gateway'
const ID = 'spiffe://example.org/payments/agent'

async function setUp(listener = ', clientAuthentication: svid-or-token', extra = '') {
  const world = await createWorld()
  const { publicKey, privateKey } = await generateKeyPair('ES256')
  const key = await exportJWK(publicKey)
  const bundle = readBundle(world.root.pem, 'example.org')
  await world.file('pki/bundle.json', writeBundle({ ...bundle, jwtAuthorities: [{ keyId: 'k1', key }] }))
  const partner = await startPartner(world, (socket) => socket.on('end', () => socket.end()).resume())
  const gateway = await startTestGateway(world, {
    listeners: `  - {name: proxy, address: "127.0.0.1:0", protocol: connect${listener}}`,
    destinations: partnerDestination(partner.port),
    policy: '@id("p") permit (principal in Path::"spiffe://example.org/payments", action, resource);',
    bundle: 'pki/bundle.json',
    extra: `drain: {delay: 0s, deadline: 1s}\n${extra}`,
    resolve: toLoopback,
  })
  const target = `partner.test:${partner.port}`
  const token = async (claims: Readonly<Record<string, unknown>> = {}, signer = privateKey, kid = 'k1') => {
    const now = Math.floor(Date.now() / 1000)
    const body = { sub: ID, aud: GATEWAY, iat: now, exp: now + 300, jti: 'token-1', ...claims }
    return new SignJWT(body).setProtectedHeader({ alg: 'ES256', kid }).sign(signer)
  }
  const ask = async (shown: string | null, svid: Awaited<ReturnType<typeof world.svid>> | null = null) => {
    const authorization = shown === null ? '' : `Proxy-Authorization: ${shown}\r\n`
    return connect(world, gateway.port, {
      svid,
      request: `CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n${authorization}\r\n`,
    })
  }
  return {
    ...{ world, partner, gateway, target, token, ask },
    async [Symbol.asyncDispose]() {
      await gateway[Symbol.asyncDispose]()
      await partner[Symbol.asyncDispose]()
      await world[Symbol.asyncDispose]()
    },
  }
}

const basic = (user: string, password: string) =>
  `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`

describe('a workload without a certificate', () => {
  test.for<[string, (token: string) => string]>([
    ['Bearer', (token) => `Bearer ${token}`],
    ['Basic, as HTTPS_PROXY=https://token:<jwt>@gateway makes it', (token) => basic('token', token)],
    ['Basic with any user name', (token) => basic('', token)],
    ['bearer in lower case', (token) => `bearer ${token}`],
  ])('shows its token by %s', async ([, form]) => {
    await using place = await setUp()
    const token = await place.token()
    const answer = await place.ask(form(token))
    expect(answer.status).toBe(200)
    answer.socket.end()
    expect((await place.gateway.closed(1))[0]).toMatchObject({
      workload: ID,
      credential: 'token',
      tokenId: 'token-1',
      serialNumber: null,
      decision: { policies: ['p'] },
    })
    expect(place.gateway.lines.join('\n')).not.toContain(token.slice(-40))
  })

  test('shows it on each stream of HTTP/2, where nothing is kept from one to the next', async () => {
    await using place = await setUp()
    const client = http2.connect(`https://localhost:${place.gateway.port}`, { ca: place.world.root.pem })
    const open = (authorization: string | null) =>
      new Promise<http2.IncomingHttpHeaders>((resolve, reject) => {
        const stream = client.request({
          ':method': 'CONNECT',
          ':authority': place.target,
          ...(authorization === null ? {} : { 'proxy-authorization': authorization }),
        })
        stream.on('error', reject)
        stream.on('response', (headers) => {
          stream.close()
          resolve(headers)
        })
      })
    expect((await open(`Bearer ${await place.token()}`))[':status']).toBe(200)
    const refused = await open(null)
    expect(refused[':status']).toBe(407)
    expect(refused['proxy-authenticate']).toMatch(/Bearer.*Basic/)
    expect((await open(basic('token', await place.token({ jti: 'token-2' }))))[':status']).toBe(200)
    client.close()
    const records = await place.gateway.closed(3)
    expect(new Set(records.map(({ tokenId }) => tokenId))).toEqual(new Set([null, 'token-1', 'token-2']))
  })

  test('is asked for a token where it shows nothing', async () => {
    await using place = await setUp()
    const answer = await place.ask(null)
    expect(answer.status).toBe(407)
    expect(answer.head.toLowerCase()).toContain(
      'proxy-authenticate: bearer realm="sallyport", basic realm="sallyport"',
    )
    expect(await readBody(answer)).toContain('client-token-missing')
    expect((await place.gateway.closed(1))[0]).toMatchObject({
      credential: null,
      outcome: { code: 'client-token-missing' },
    })
    expect(place.partner.accepted()).toBe(0)
  })

  const past = Math.floor(Date.now() / 1000) - 600
  test.for<[string, (place: Awaited<ReturnType<typeof setUp>>) => Promise<string>, string]>([
    [
      'for another audience',
      (place) => place.token({ aud: 'spiffe://example.org/other' }),
      'client-token-audience',
    ],
    [
      'for two audiences',
      (place) => place.token({ aud: [GATEWAY, 'https://other.example'] }),
      'client-token-audience',
    ],
    ['that has expired', (place) => place.token({ iat: past, exp: past + 60 }), 'client-token-expired'],
    [
      'of the future',
      (place) => place.token({ iat: past + 1200, exp: past + 1500 }),
      'client-token-not-yet-valid',
    ],
    [
      'of another trust domain',
      (place) => place.token({ sub: 'spiffe://other.org/payments' }),
      'client-token-untrusted',
    ],
    ['by an unknown key', (place) => place.token({}, undefined, 'k2'), 'client-token-untrusted'],
    [
      'by another key',
      async (place) => place.token({}, (await generateKeyPair('ES256')).privateKey),
      'client-token-untrusted',
    ],
    ['without an end', (place) => place.token({ exp: undefined }), 'client-token-malformed'],
    ['that is no JWT', async () => 'secret', 'client-token-malformed'],
  ])('is refused with a token %s', async ([, make, code]) => {
    await using place = await setUp()
    const answer = await place.ask(`Bearer ${await make(place)}`)
    expect(answer.status).toBe(407)
    expect(await readBody(answer)).toContain(code)
    expect((await place.gateway.closed(1))[0]?.outcome.code).toBe(code)
    expect(place.partner.accepted()).toBe(0)
  })

  test.for<[string, string]>([
    ['Digest', 'Digest username="x"'],
    ['Basic without a colon', `Basic ${Buffer.from('token').toString('base64')}`],
    ['an empty Bearer', 'Bearer '],
  ])('is refused with %s', async ([, shown]) => {
    await using place = await setUp()
    expect((await place.ask(shown)).status).toBe(407)
  })

  test.for<[string, string, number, string]>([
    ['another method', 'GET / HTTP/1.1\r\nHost: partner.test', 405, 'request-method'],
    ['no port', 'CONNECT partner.test HTTP/1.1\r\nHost: partner.test', 400, 'request-target'],
    [
      'a body',
      'CONNECT partner.test:443 HTTP/1.1\r\nHost: partner.test\r\nContent-Length: 1',
      400,
      'request-body',
    ],
  ])('is told what is wrong with its request, never 407, for %s', async ([, head, status, code]) => {
    await using place = await setUp()
    const request = `${head}\r\nProxy-Authorization: Bearer ${await place.token()}\r\n\r\n`
    const answer = await connect(place.world, place.gateway.port, { svid: null, request })
    expect(answer.status).toBe(status)
    expect((await place.gateway.closed(1))[0]).toMatchObject({ workload: null, outcome: { code } })
  })

  test('is denied by policy with 403, never 407', async () => {
    await using place = await setUp()
    const token = await place.token({ sub: 'spiffe://example.org/reports' })
    expect((await place.ask(`Bearer ${token}`)).status).toBe(403)
    expect((await place.gateway.closed(1))[0]).toMatchObject({
      workload: 'spiffe://example.org/reports',
      outcome: { code: 'policy-denied' },
    })
  })
})

test('a certificate comes first: a token beside it changes nothing', async () => {
  await using place = await setUp()
  const svid = await place.world.svid('/payments/api')
  const answer = await place.ask('Bearer nonsense', svid)
  expect(answer.status).toBe(200)
  answer.socket.end()
  expect((await place.gateway.closed(1))[0]).toMatchObject({
    workload: 'spiffe://example.org/payments/api',
    credential: 'certificate',
    tokenId: null,
  })
})

test('a certificate that is refused is not healed by a good token', async () => {
  await using place = await setUp()
  const svid = await place.world.issuing.issue({ uris: ['spiffe://other.org/x'] })
  const answer = await place.ask(`Bearer ${await place.token()}`, svid)
  expect(answer.status).toBe(403)
  expect((await place.gateway.closed(1))[0]?.outcome.code).toBe('client-trust-domain-unknown')
})

test('the audience is that of the listener, where it says one', async () => {
  await using place = await setUp(
    ', clientAuthentication: svid-or-token, audience: "https://egress.example.org"',
  )
  expect((await place.ask(`Bearer ${await place.token()}`)).status).toBe(407)
  const token = await place.token({ aud: 'https://egress.example.org' })
  expect((await place.ask(`Bearer ${token}`)).status).toBe(200)
})

test('a listener that takes certificates alone takes no token', async () => {
  await using place = await setUp('')
  const answer = await place.ask(`Bearer ${await place.token()}`)
  expect(answer.status).toBe(403)
  expect((await place.gateway.closed(1))[0]?.outcome.code).toBe('client-certificate-missing')
})

test('over HTTP/2, who shows no good token does not keep the connection', async () => {
  await using place = await setUp(undefined, 'arrivals: {timeout: 400ms}')
  const client = http2.connect(`https://localhost:${place.gateway.port}`, { ca: place.world.root.pem })
  client.on('error', () => {})
  const stream = client.request({ ':method': 'CONNECT', ':authority': place.target })
  stream.on('error', () => {})
  const status = await new Promise((resolve) =>
    stream.on('response', (headers) => resolve(headers[':status'])),
  )
  expect(status).toBe(407)
  // Reads nothing of the answer, as one who means no good.
  await expect.poll(() => place.gateway.metric('sallyport_connections_open'), { timeout: 10_000 }).toBe(0)
  client.destroy()
})

test('over HTTP/2, who shows no good token has as many tries as streams', async () => {
  await using place = await setUp()
  const socket = await connectTls(place.world, place.gateway.port, {
    svid: null,
    tls: { ALPNProtocols: ['h2'] },
  })
  const client = new RawH2(socket)
  for (let round = 0; round < 12; round += 1) {
    for (let index = 0; index < 10; index += 1) {
      const fields = [...connectFields(place.target), ['proxy-authorization', 'Bearer a.b.c']] as const
      client.headers(20 * round + 2 * index + 1, fields, FLAG.END_HEADERS | FLAG.END_STREAM)
    }
    const answered = 10 * (round + 1)
    await expect
      .poll(() => client.goAwayCode() !== null || place.gateway.records().length === answered)
      .toBe(true)
  }
  await expect.poll(() => client.closed).toBe(true)
  expect(client.goAwayCode()).toBe(0)
  expect(place.gateway.records()).toHaveLength(101)
  socket.destroy()
})
