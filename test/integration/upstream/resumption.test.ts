// Upstream TLS sessions are resumed, and never where anything is different from what the full handshake verified.
import { randomBytes, X509Certificate } from 'node:crypto'
import tls from 'node:tls'
import { beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { parseSpiffeId } from '../../../spiffe/id.ts'
import type { Destination } from '../../../gateway/config/types.ts'
import { createDial } from '../../../gateway/upstream/dial.ts'
import { createOpenUpstream } from '../../../gateway/upstream/open.ts'
import { createTlsMemory, type TlsMemory } from '../../../gateway/upstream/originate.ts'
import { spkiPin } from '../../../gateway/upstream/server-identity.ts'
import { SessionCache } from '../../../gateway/upstream/session-cache.ts'
import type { OpenUpstream, UpstreamFacts, UpstreamRequest } from '../../../gateway/upstream/types.ts'
import type { Issued } from '../../fixtures/pki.ts'
import {
  clientCertificate,
  createPki,
  destination,
  HOST,
  opened,
  type Pki,
  readSome,
  refused,
  request,
  tcpServer,
  WORKLOAD,
} from './harness.ts'
import { holdingProxy } from './holding-proxy.ts'

const HOUR = 3_600_000
const OTHER = 'other.bank.example'
const REFUNDS = parseSpiffeId('spiffe://example.org/refunds/api')

let pki: Pki
let both: Issued
beforeAll(async () => {
  pki = await createPki()
  both = await pki.servers.issue({ dns: [HOST, OTHER] })
})

let memory: TlsMemory
let open: OpenUpstream
let offset: number
beforeEach(() => {
  offset = 0
  memory = { ...createTlsMemory(), sessions: new SessionCache({ now: () => Date.now() + offset }) }
  open = createOpenUpstream({ resolve: async () => ['127.0.0.1'], dial: createDial(), tlsMemory: memory })
})

/** A server that says whose certificate it saw, and notes whether the session was resumed. */
async function partner(issued: Issued, options: tls.TlsOptions = {}) {
  const reused: boolean[] = []
  const server = tls.createServer(
    { cert: issued.chainPem, key: issued.keyPem, ...options },
    (socket: tls.TLSSocket) => {
      socket.on('error', () => {})
      reused.push(socket.isSessionReused())
      socket.end(socket.getPeerX509Certificate()?.subject ?? 'nobody')
    },
  )
  const state = { resets: false }
  server.on('tlsClientError', () => {})
  const listening = await tcpServer((raw) => {
    if (state.resets) raw.once('data', () => raw.resetAndDestroy())
    else server.emit('connection', raw)
  })
  const { port } = listening
  return Object.assign(state, {
    ...{ port, server, reused },
    [Symbol.asyncDispose]: () => listening[Symbol.asyncDispose](),
  })
}

/** One session from beginning to end: what the record says of it, and what the server said. */
async function visit(wanted: UpstreamRequest): Promise<UpstreamFacts & { readonly said: string }> {
  await using connection = await opened(wanted, open)
  const said = await readSome(connection)
  return { ...connection.facts, said }
}

const asking = () => ({ requestCert: true, rejectUnauthorized: true, ca: pki.clients.pem })
const to = (port: number, at: Destination, rest: Partial<UpstreamRequest> = {}): UpstreamRequest => ({
  ...request(port, {}, rest),
  destination: at,
})
const trusting = (overrides: Partial<Destination> = {}) =>
  destination({ roots: [pki.servers.pem], ...overrides })

describe.each(['TLSv1.2', 'TLSv1.3'] as const)('%s', (version) => {
  const only = { minVersion: version, maxVersion: version } as const

  test('the second session is resumed, and the record keeps whose server it is', async () => {
    await using server = await partner(pki.server, only)
    const at = trusting()
    const first = await visit(to(server.port, at))
    const second = await visit(to(server.port, at))
    expect(server.reused).toEqual([false, true])
    expect(first).toMatchObject({
      resumed: false,
      certificateSha256: expect.stringMatching(/^[0-9a-f]{64}$/),
    })
    expect(second).toEqual({ ...first, resumed: true })
  })

  test('the session that is kept has the certificate of the server in it below TLS 1.3 alone', async () => {
    await using server = await partner(pki.server, only)
    const put = vi.spyOn(memory.sessions, 'put')
    const at = trusting()
    for (let times = 0; times < 3; times++) await visit(to(server.port, at))
    expect(server.reused).toEqual([false, true, true])
    const { raw } = new X509Certificate(pki.server.chainPem)
    const holds = put.mock.calls.map(([, { session }]) => session.includes(raw))
    expect(new Set(holds)).toEqual(new Set([version === 'TLSv1.2']))
  })

  test('with a client certificate, which the server knows and the record keeps', async () => {
    await using server = await partner(pki.server, { ...only, ...asking() })
    const at = trusting({ clientCertificates: [clientCertificate(pki.client)] })
    const first = await visit(to(server.port, at))
    const second = await visit(to(server.port, at))
    expect(server.reused).toEqual([false, true])
    expect(first.clientCertificateSha256).toMatch(/^[0-9a-f]{64}$/)
    expect(second).toEqual({ ...first, resumed: true })
    expect(second.said).toBe('CN=payments')
  })

  test('two workloads with different client certificates never share', async () => {
    await using server = await partner(pki.server, { ...only, ...asking() })
    const refunds = await pki.clients.issue({ cn: 'refunds' })
    const at = trusting({
      clientCertificates: [clientCertificate(pki.client), clientCertificate(refunds, REFUNDS.uri)],
    })
    const seen = []
    for (const workload of [WORKLOAD, REFUNDS, WORKLOAD, REFUNDS]) {
      const { resumed, said } = await visit(to(server.port, at, { workload }))
      seen.push([said, resumed])
    }
    expect(seen).toEqual([
      ['CN=payments', false],
      ['CN=refunds', false],
      ['CN=payments', true],
      ['CN=refunds', true],
    ])
  })

  test('a session of one host of a wildcard destination is never offered to another', async () => {
    await using server = await partner(both, only)
    for (const overrides of [{}, { serverName: HOST }]) {
      const at = trusting({ hosts: [{ kind: 'suffix', suffix: 'bank.example' }], ...overrides })
      const resumed = []
      for (const host of [HOST, OTHER, HOST, OTHER]) {
        resumed.push((await visit(to(server.port, at, { host }))).resumed)
      }
      expect(resumed).toEqual([false, false, true, true])
    }
  })

  test('so a server of another host that takes the session is found out', async () => {
    // Both servers, one operator, one set of ticket keys; the certificate names the first host alone.
    await using server = await partner(pki.server, only)
    const at = trusting({ hosts: [{ kind: 'any' }] })
    await visit(to(server.port, at))
    const error = await refused(to(server.port, at, { host: OTHER }), open)
    expect(error.code).toBe('upstream-tls-name-mismatch')
  })

  test('a server that refuses the session gets a full handshake, verified in full', async () => {
    await using server = await partner(pki.server, only)
    const at = trusting()
    await visit(to(server.port, at))
    server.server.setTicketKeys(randomBytes(48))
    expect(await visit(to(server.port, at))).toMatchObject({ resumed: false, nameProof: 'certificate' })
    const { chainPem: cert, keyPem: key } = await pki.servers.issue({ dns: [OTHER] })
    server.server.setSecureContext({ cert, key, ...only })
    server.server.setTicketKeys(randomBytes(48))
    expect((await refused(to(server.port, at), open)).code).toBe('upstream-tls-name-mismatch')
  })
})

describe('a destination that changed makes the next handshake full, and it is judged by the new one', () => {
  const OTHER_PIN = 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA='
  const changes: Record<string, { change: () => Partial<Destination>; code?: string }> = {
    'other roots': {
      change: () => ({ roots: [pki.strangers.pem] }),
      code: 'upstream-tls-certificate-untrusted',
    },
    'one root more': { change: () => ({ roots: [pki.servers.pem, pki.strangers.pem] }) },
    'another pin': { change: () => ({ pins: [OTHER_PIN] }), code: 'upstream-tls-pin-mismatch' },
    'a pin that fits': { change: () => ({ pins: [spkiPin(new X509Certificate(pki.server.pem))] }) },
    'a client certificate': {
      change: () => ({ clientCertificates: [clientCertificate(pki.client)] }),
    },
    'a higher version': { change: () => ({ minVersion: 'TLSv1.3' }) },
    'a protocol to agree on': { change: () => ({ alpn: ['imap'] }), code: 'upstream-tls-alpn' },
    'another name': { change: () => ({ serverName: OTHER }), code: 'upstream-tls-name-mismatch' },
    'nothing that TLS knows of': { change: () => ({ tags: ['pci'] }) },
  }
  for (const [name, { change, code }] of Object.entries(changes)) {
    test(name, async () => {
      await using server = await partner(pki.server)
      const before = trusting()
      await visit(to(server.port, before))
      const after = { ...before, ...change() }
      if (code === undefined) expect((await visit(to(server.port, after))).resumed).toBe(false)
      else expect((await refused(to(server.port, after), open)).code).toBe(code)
      // What is left of the old one is good for the old one alone, and forgotten once the new one has a session of its own.
      expect((await visit(to(server.port, before))).resumed).toBe(code !== undefined)
    })
  }
})

test('a way out to the destination as it was before, however slow, takes nothing from the destination as it is', async () => {
  await using server = await partner(pki.server)
  const [before, after] = [trusting({ serverName: HOST }), trusting()]
  const slow = Promise.withResolvers<readonly string[]>()
  const resolve = async (host: string) => (host === OTHER ? slow.promise : ['127.0.0.1'])
  open = createOpenUpstream({ resolve, dial: createDial(), tlsMemory: memory })
  const old = visit(to(server.port, before, { host: OTHER }))
  await visit(to(server.port, after))
  slow.resolve(['127.0.0.1'])
  await old
  await visit(to(server.port, after))
  expect((await visit(to(server.port, after))).resumed).toBe(true)
})

describe('a session ends', () => {
  test('after an hour', async () => {
    const lasting = await pki.servers.issue({ dns: [HOST], notAfter: new Date(Date.now() + 10 * HOUR) })
    await using server = await partner(lasting)
    const at = trusting()
    await visit(to(server.port, at))
    offset = HOUR - 60_000
    expect((await visit(to(server.port, at))).resumed).toBe(true)
    offset = HOUR + 60_000
    expect((await visit(to(server.port, at))).resumed).toBe(false)
  })

  test('with the server’s certificate', async () => {
    const brief = await pki.servers.issue({ dns: [HOST], notAfter: new Date(Date.now() + HOUR / 2) })
    await using server = await partner(brief)
    const at = trusting()
    await visit(to(server.port, at))
    offset = HOUR / 2 + 1_000
    expect((await visit(to(server.port, at))).resumed).toBe(false)
  })

  test('with the client certificate that the server was shown', async () => {
    const notAfter = new Date(Date.now() + HOUR / 2)
    const brief = await pki.clients.issue({ cn: 'brief', notAfter })
    await using server = await partner(pki.server, asking())
    const at = trusting({ clientCertificates: [clientCertificate(brief)] })
    await visit(to(server.port, at))
    expect((await visit(to(server.port, at))).resumed).toBe(true)
    offset = HOUR / 2 + 1_000
    expect((await visit(to(server.port, at))).resumed).toBe(false)
  })

  test('TLS 1.3: with its use', async () => {
    await using server = await partner(pki.server, { minVersion: 'TLSv1.3' })
    const at = trusting()
    const resumed = []
    for (let round = 0; round < 4; round += 1) resumed.push((await visit(to(server.port, at))).resumed)
    // Two tickets come with each full handshake of this server, and none with a resumed one.
    expect(resumed).toEqual([false, true, true, false])
  })
})

test('of a server that refuses the client certificate nothing is kept, though it gave tickets', async () => {
  const { chainPem: cert, keyPem: key } = pki.server
  // Tickets come after OpenSSL has accepted the certificate, and the end with them.
  const refusing = tls.createServer({ cert, key, ...asking() }, (socket) => {
    socket.on('error', () => {})
    setImmediate(() => socket.end())
  })
  await using server = await tcpServer((raw) => void refusing.emit('connection', raw))
  await using proxy = await holdingProxy(server.port)
  const at = trusting({
    clientCertificates: [clientCertificate(pki.client)],
    connect: { timeoutMs: 30_000, attempts: 1, confirmMs: 20_000 },
  })
  const outcome = refused(to(proxy.port, at), open)
  await expect.poll(proxy.serverEnded).toBe(true)
  proxy.release()
  expect((await outcome).code).toBe('upstream-tls-client-certificate-refused')
  expect(memory.sessions.bytes).toBe(0)
})

test('a refusal that comes late takes what the server gave with it', async () => {
  await using server = await partner(pki.server, asking())
  const at = trusting({ clientCertificates: [clientCertificate(pki.client)] })
  await using connection = await opened(to(server.port, at), open)
  await expect.poll(() => memory.sessions.bytes).toBeGreaterThan(0)
  connection.judgeLateError(new Error('x:SSL alert number 44'))
  expect(memory.sessions.bytes).toBe(0)
})

test('a handshake that fails with an old session is followed by a full one', async () => {
  await using server = await partner(pki.server)
  const at = trusting()
  await visit(to(server.port, at))
  await expect.poll(() => memory.sessions.bytes).toBeGreaterThan(0)
  server.resets = true
  await refused(to(server.port, at), open)
  expect(memory.sessions.bytes).toBe(0)
  server.resets = false
  expect((await visit(to(server.port, at))).resumed).toBe(false)
})
