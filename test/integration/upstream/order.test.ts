// What is asked and dialled, and above all what is not: a trapped resolver and a trapped dial see everything.
import { beforeAll, describe, expect, test } from 'vitest'
import { createDial } from '../../../gateway/upstream/dial.ts'
import { createEndpoints } from '../../../gateway/upstream/endpoints.ts'
import { createOpenUpstream } from '../../../gateway/upstream/open.ts'
import { UpstreamError } from '../../../gateway/upstream/types.ts'
import {
  createPki,
  errorsUntilClosed,
  HOST,
  opened,
  type Pki,
  readAll,
  refused,
  request,
  tcpServer,
  tlsServer,
} from './harness.ts'

let pki: Pki
beforeAll(async () => {
  pki = await createPki()
})

function trapped(answers: readonly string[] | Error) {
  const asked: string[] = []
  const dialled: string[] = []
  const dial = createDial()
  const open = createOpenUpstream({
    async resolve(host) {
      asked.push(host)
      if (answers instanceof Error) throw answers
      return answers
    },
    dial(endpoint, signal) {
      dialled.push(`${endpoint.address} ${endpoint.port}`)
      return dial(endpoint, signal)
    },
    // The first session to a host begins with the first address.
    endpoints: createEndpoints({ now: () => performance.now(), random: () => 0 }),
  })
  return { open, asked, dialled }
}

describe('a refused address is never dialled', () => {
  test.each([
    ['0.0.0.0', 'address-unspecified'],
    ['127.0.0.1', 'address-loopback'],
    ['::1', 'address-loopback'],
    ['169.254.1.1', 'address-link-local'],
    ['169.254.169.254', 'address-metadata'],
    ['fd00:ec2::254', 'address-metadata'],
    ['10.0.0.1', 'address-private'],
    ['100.64.0.1', 'address-cgnat'],
    ['198.18.0.1', 'address-benchmark'],
    ['203.0.113.9', 'address-documentation'],
    ['64:ff9b::808:808', 'address-embedded'],
    ['168.63.129.16', 'address-metadata'],
    ['224.0.0.1', 'address-multicast'],
    ['240.0.0.1', 'address-reserved'],
    ['::ffff:127.0.0.1', 'address-loopback'],
    ['64:ff9b::7f00:1', 'address-loopback'],
    ['2002:7f00:1::', 'address-loopback'],
    ['not an address', 'address-reserved'],
  ])('%s: %s', async (address, code) => {
    const { open, asked, dialled } = trapped([address])
    const error = await refused(request(443, { allowAddresses: [] }), open)
    expect(error.code).toBe(code)
    expect(error.facts).toMatchObject({ attempts: 0, address: null })
    expect(asked).toEqual([HOST])
    expect(dialled).toEqual([])
  })

  test('neither as a literal host, for which nobody is asked', async () => {
    const { open, asked, dialled } = trapped(['203.0.113.9'])
    const host = '169.254.169.254'
    const error = await refused(request(80, { tls: 'opaque', allowAddresses: [] }, { host }), open)
    expect(error.code).toBe('address-metadata')
    expect([asked, dialled]).toEqual([[], []])
  })

  test('neither as localhost', async () => {
    const { open, asked, dialled } = trapped(['203.0.113.9'])
    const error = await refused(request(80, { allowAddresses: [] }, { host: 'a.localhost' }), open)
    expect(error.code).toBe('address-loopback')
    expect([asked, dialled]).toEqual([[], []])
  })
})

test('only the checked address is dialled, and the refused one beside it is not', async () => {
  await using server = await tcpServer((socket) => socket.end('x'))
  const { open, dialled } = trapped(['10.0.0.1', '::ffff:127.0.0.1'])
  await using connection = await opened(request(server.port, { tls: 'opaque' }), open)
  expect(dialled).toEqual([`127.0.0.1 ${server.port}`])
  expect(connection.facts.address).toBe(`127.0.0.1:${server.port}`)
})

test('a client that is gone already makes neither query nor dial', async () => {
  const { open, asked, dialled } = trapped(['127.0.0.1'])
  const error = await refused(request(443, {}, { signal: AbortSignal.abort() }), open)
  expect(error.code).toBe('relay-client-reset')
  expect([asked, dialled]).toEqual([[], []])
})

test('the resolver’s own error and timing are kept', async () => {
  const { open, dialled } = trapped(new UpstreamError('dns-not-found', 'no such name'))
  const error = await refused(request(443), open)
  expect(error).toMatchObject({ code: 'dns-not-found', message: 'no such name' })
  expect(error.timings).toEqual({ resolveMs: expect.any(Number), connectMs: null, tlsMs: null })
  expect(dialled).toEqual([])
})

test('a resolver that never answers is a DNS time-out', async () => {
  const open = createOpenUpstream({ resolve: () => new Promise(() => {}), dial: createDial() })
  const connect = { timeoutMs: 50, attempts: 3, confirmMs: null }
  expect((await refused(request(443, { connect }), open)).code).toBe('dns-timeout')
})

test('a fault of ours is told as one', async () => {
  const { open } = trapped(new TypeError('x is not a function'))
  expect(await refused(request(443), open)).toMatchObject({ code: 'session-internal-error' })
})

test('a refused connection is tried as often as allowed', async () => {
  const server = await tcpServer(() => {})
  await server[Symbol.asyncDispose]()
  const { open, dialled } = trapped(['127.0.0.1', '127.0.0.2'])
  const error = await refused(request(server.port), open)
  expect(error).toMatchObject({ code: 'connect-refused', facts: { attempts: 3 } })
  expect(dialled.map((line) => line.split(' ')[0])).toEqual(['127.0.0.1', '127.0.0.2', '127.0.0.1'])
})

test('the next address is dialled where the first refuses', async () => {
  await using server = await tlsServer(pki.server)
  const { open } = trapped(['127.0.0.2', '127.0.0.1'])
  await using connection = await opened(request(server.port, { roots: [pki.servers.pem] }), open)
  expect(connection.facts).toMatchObject({ attempts: 2, address: `127.0.0.1:${server.port}` })
})

describe('opaque', () => {
  test('bytes as they come, the server’s first ones too, and half-close', async () => {
    await using server = await tcpServer(
      (socket) => {
        socket.write('SSH-2.0-x\r\n')
        socket.on('end', () => socket.end('after your end')).resume()
      },
      { allowHalfOpen: true },
    )
    const { open } = trapped(['127.0.0.1'])
    await using connection = await opened(request(server.port, { tls: 'opaque' }), open)
    expect(connection.stream).toBe(connection.raw)
    expect(connection.stream.isPaused()).toBe(true)
    connection.stream.end('hello')
    expect((await readAll(connection)).toString()).toBe('SSH-2.0-x\r\nafter your end')
    expect(connection.facts).toMatchObject({ tlsVersion: null, serverName: null, nameProof: null })
    expect(connection.timings.tlsMs).toBeNull()
  })

  test('a reset is told as a reset', async () => {
    await using server = await tcpServer((socket) => socket.once('data', () => socket.resetAndDestroy()))
    const { open } = trapped(['127.0.0.1'])
    await using connection = await opened(request(server.port, { tls: 'opaque' }), open)
    const failed = errorsUntilClosed(connection.stream)
    connection.stream.resume()
    connection.stream.write('x')
    const errors = await failed
    expect(errors.map(connection.judgeLateError)).toEqual(['relay-upstream-reset'])
  })
})

test('a client that goes away in the TLS handshake leaves nothing open', async () => {
  await using server = await tcpServer((socket) => socket.resume())
  const client = new AbortController()
  const outcome = refused(request(server.port, {}, { signal: client.signal }))
  await expect.poll(server.connections).toBe(1)
  client.abort(new UpstreamError('session-drained', 'the gateway stops'))
  expect((await outcome).code).toBe('session-drained')
  await expect.poll(server.connections).toBe(0)
})
