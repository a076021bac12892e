// Several addresses of a host, some of them dead: who is dialled, how often, and what a failure in TLS may not do.
import { beforeAll, describe, expect, test } from 'vitest'
import type { Destination } from '../../../gateway/config/types.ts'
import { createDial } from '../../../gateway/upstream/dial.ts'
import { createEndpoints } from '../../../gateway/upstream/endpoints.ts'
import { createOpenUpstream } from '../../../gateway/upstream/open.ts'
import { verdicts } from '../../../gateway/upstream/permit-trace.ts'
import type { AttemptResult, LockedDial } from '../../../gateway/upstream/types.ts'
import {
  clientCertificate,
  createPki,
  opened,
  type Pki,
  readSome,
  refused,
  request,
  tcpServer,
  tlsServer,
} from './harness.ts'

const ADDRESSES = ['127.0.0.1', '127.0.0.2', '127.0.0.3']
const PLAIN: Partial<Destination> = { tls: 'opaque' }

let pki: Pki
beforeAll(async () => {
  pki = await createPki()
})

/** Every address leads to the same server, but for the dead ones, where nobody listens. No time passes for what is set aside. */
function scene(addresses: readonly string[] = ADDRESSES, dead: ReadonlySet<string> = new Set()) {
  const dialled: string[] = []
  const results: AttemptResult[] = []
  const connect = createDial()
  const dial: LockedDial = ({ address, port, blockList }, signal) => {
    dialled.push(address)
    return connect({ address: '127.0.0.1', port: dead.has(address) ? 1 : port, blockList }, signal)
  }
  const endpoints = createEndpoints({ now: () => 10_000, random: () => 0 })
  const onAttempt = (result: AttemptResult) => void results.push(result)
  const open = createOpenUpstream({ resolve: async () => addresses, dial, endpoints, onAttempt })
  return { dialled, results, endpoints, open }
}

describe('sessions to a host with several addresses', () => {
  test('share them', async () => {
    await using server = await tcpServer((socket) => socket.resume())
    const { open, dialled } = scene()
    for (const _ of ADDRESSES) {
      await using connection = await opened(request(server.port, PLAIN), open)
      expect(connection.facts).toMatchObject({ attempts: 1, address: `${dialled.at(-1)}:${server.port}` })
    }
    expect([...dialled].sort()).toEqual(ADDRESSES)
  })

  test('find the dead one once, and leave it alone for a while', async () => {
    await using server = await tcpServer((socket) => socket.resume())
    const { open, dialled, results, endpoints } = scene(ADDRESSES, new Set(['127.0.0.1']))
    for (let session = 0; session < 6; session += 1) {
      await using connection = await opened(request(server.port, PLAIN), open)
      expect(connection.facts.attempts).toBe(session === 0 ? 2 : 1)
    }
    expect(dialled.filter((address) => address === '127.0.0.1')).toHaveLength(1)
    expect(results.filter((result) => result !== 'up')).toEqual(['connect-refused'])
    expect(endpoints.aside).toBe(1)
  })

  test('try one that is set aside where it is all there is', async () => {
    await using server = await tcpServer((socket) => socket.resume())
    const dead = new Set(['127.0.0.1'])
    const { open, endpoints } = scene(['127.0.0.1'], dead)
    for (const _ of [1, 2, 3]) {
      expect((await refused(request(server.port, PLAIN), open)).code).toBe('connect-refused')
    }
    expect(endpoints.aside).toBe(1)
    dead.clear()
    await using connection = await opened(request(server.port, PLAIN), open)
    expect(connection.facts.attempts).toBe(1)
    expect(endpoints.aside).toBe(0)
  })
})

describe('what fails after TCP is up', () => {
  const presenting = (): Partial<Destination> => ({
    roots: [pki.servers.pem],
    clientCertificates: [clientCertificate(pki.client)],
    connect: { timeoutMs: 10_000, attempts: 3, confirmMs: null },
  })
  const askingFor = (ca: string) => ({ requestCert: true, rejectUnauthorized: true, ca })
  const FAILURES: Record<string, { server: () => ReturnType<typeof tcpServer>; code: string }> = {
    'a close in the handshake': {
      server: () => tcpServer((socket) => socket.once('data', () => socket.end())),
      code: 'upstream-tls-closed',
    },
    'a reset in the handshake': {
      server: () => tcpServer((socket) => socket.once('data', () => socket.resetAndDestroy())),
      code: 'upstream-tls-closed',
    },
    'a server without TLS': {
      server: () => tcpServer((socket) => socket.end('SSH-2.0-x\r\n')),
      code: 'upstream-tls-plaintext',
    },
    'a certificate of nobody we know': {
      server: async () => tlsServer(await pki.strangers.issue({ dns: ['api.bank.example'] })),
      code: 'upstream-tls-certificate-untrusted',
    },
    'a client certificate that is refused': {
      server: () => tlsServer(pki.server, askingFor(pki.strangers.pem)),
      code: 'upstream-tls-client-certificate-refused',
    },
  }
  for (const [name, { server, code }] of Object.entries(FAILURES)) {
    test(`is not tried again, not at another address either: ${name}`, async () => {
      await using listening = await server()
      const { open, dialled, results, endpoints } = scene()
      const error = await refused(request(listening.port, presenting()), open)
      expect(error).toMatchObject({ code, facts: { attempts: 1, address: `127.0.0.1:${listening.port}` } })
      expect(dialled).toEqual(['127.0.0.1'])
      expect(results).toEqual(['up'])
      expect(endpoints.aside).toBe(0)
    })
  }

  test('closes the way for nobody else: one workload’s refused certificate, again and again', async () => {
    await using server = await tlsServer(pki.server, askingFor(pki.clients.pem), (socket) =>
      socket.end('welcome'),
    )
    const { open, dialled } = scene(['127.0.0.1'])
    const wrong = { ...presenting(), clientCertificates: [clientCertificate(pki.server)] }
    for (let session = 0; session < 8; session += 1) {
      expect((await refused(request(server.port, wrong), open)).code).toBe(
        'upstream-tls-client-certificate-refused',
      )
    }
    await using connection = await opened(request(server.port, presenting()), open)
    expect(await readSome(connection)).toBe('welcome')
    expect(dialled).toHaveLength(9)
  })
})

describe('the trace', () => {
  test('of a connection: what was found, what it is, and every attempt', async () => {
    await using server = await tcpServer((socket) => socket.resume())
    const addresses = ['10.0.0.1', '127.0.0.1', '::ffff:127.0.0.2', '169.254.169.254']
    const { open } = scene(addresses, new Set(['127.0.0.1']))
    await using connection = await opened(request(server.port, PLAIN), open)
    const { trace } = connection
    expect(verdicts(trace)).toEqual([
      { address: '10.0.0.1', class: 'private', permitted: false },
      { address: '127.0.0.1', class: 'loopback', permitted: true },
      { address: '::ffff:127.0.0.2', class: 'loopback', permitted: true },
      { address: '169.254.169.254', class: 'metadata', permitted: false },
    ])
    expect(trace.attempts).toEqual([
      { endpoint: `127.0.0.1:${server.port}`, result: 'connect-refused', ms: expect.any(Number) },
      { endpoint: `127.0.0.2:${server.port}`, result: 'up', ms: expect.any(Number) },
    ])
    expect(connection.facts).toMatchObject({ attempts: 2, address: `127.0.0.2:${server.port}` })
  })

  test('of a refusal: nothing was dialled', async () => {
    const { open } = scene(['10.0.0.1'])
    const { trace } = await refused(request(443, PLAIN), open)
    expect(trace).toEqual({ resolution: null, found: ['10.0.0.1'], permitted: [], attempts: [] })
  })

  test('of a failure: every attempt with its reason', async () => {
    const { open } = scene(['127.0.0.1'], new Set(['127.0.0.1']))
    const error = await refused(request(443, PLAIN), open)
    expect(error.trace?.attempts.map(({ result }) => result)).toEqual(Array(3).fill('connect-refused'))
  })
})
