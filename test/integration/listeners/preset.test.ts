// `sni` and `fixed`: mTLS ends at the gateway, and the client names no destination of its own.
import type net from 'node:net'
import tls from 'node:tls'
import { describe, expect, test } from 'vitest'
import { partnerDestination, startPartner, startTcp, toLoopback } from '../../fixtures/partner.ts'
import type { Issued } from '../../fixtures/pki.ts'
import { connectRaw, readToEnding } from '../../fixtures/sockets.ts'
import { createWorld, startTestGateway } from '../../fixtures/world.ts'

async function setUp(options: { policy?: string; startTls?: boolean } = {}) {
  const world = await createWorld()
  const partner = await startPartner(world, (socket) => {
    socket.on('data', (chunk) => socket.write(`echo ${chunk}`))
    socket.on('end', () => socket.end())
  })
  // Speaks no TLS, as a database behind a tunnel.
  const database = await startTcp((raw) => {
    raw.on('data', (chunk) => {
      if (String(chunk) === 'reset') raw.resetAndDestroy()
      else raw.write(`db ${String(chunk)}`)
    })
    raw.on('end', () => raw.end())
  })
  const gateway = await startTestGateway(world, {
    listeners: `  - name: names
    address: "127.0.0.1:0"
    protocol: sni
    serverNames: {bank.egress.internal: partner, orders.egress.internal: orders}
  - {name: orders, address: "127.0.0.1:0", protocol: fixed, destination: orders${options.startTls ? ', startTls: postgres' : ''}}`,
    destinations: `${partnerDestination(partner.port)}
  - {name: orders, hosts: [orders.test], ports: [${database.port}], tls: opaque, allowAddresses: [127.0.0.0/8]}`,
    resolve: toLoopback,
    ...(options.policy === undefined ? {} : { policy: options.policy }),
  })
  return {
    ...{ world, partner, database, gateway },
    async [Symbol.asyncDispose]() {
      await gateway[Symbol.asyncDispose]()
      await database[Symbol.asyncDispose]()
      await partner[Symbol.asyncDispose]()
      await world[Symbol.asyncDispose]()
    },
  }
}

type Place = Awaited<ReturnType<typeof setUp>>

function dial(
  { world, gateway }: Place,
  listener: string,
  svid: Issued | null,
  more: tls.ConnectionOptions = {},
) {
  return new Promise<tls.TLSSocket>((resolve, reject) => {
    const socket = tls.connect({
      ...{ host: '127.0.0.1', port: gateway.portOf(listener), ca: world.root.pem, allowHalfOpen: true },
      ...(svid === null ? {} : { cert: svid.chainPem, key: svid.keyPem }),
      checkServerIdentity: () => undefined,
      ...more,
    } as tls.ConnectionOptions)
    socket.once('secureConnect', () => resolve(socket))
    socket.once('error', reject)
    socket.on('error', () => {})
  })
}

describe('the sni listener', () => {
  test.for<[string, string, string, string]>([
    ['bank.egress.internal', 'partner', 'partner.test', 'echo '],
    ['orders.egress.internal', 'orders', 'orders.test', 'db '],
  ])(
    'takes %s to its destination, whose host and port are the request',
    async ([name, destination, host, word]) => {
      await using place = await setUp()
      const svid = await place.world.svid('/payments')
      const socket = await dial(place, 'names', svid, { servername: name })
      socket.end('hello')
      expect((await readToEnding(socket)).data.toString()).toBe(`${word}hello`)
      const port = destination === 'partner' ? place.partner.port : place.database.port
      expect((await place.gateway.closed(1))[0]).toMatchObject({
        listener: 'names',
        workload: 'spiffe://example.org/payments',
        requested: { host, port, serverName: name },
        destination,
        outcome: { code: 'closed' },
      })
    },
  )

  test.for<[string, tls.ConnectionOptions, string]>([
    ['names no server', {}, 'request-server-name-missing'],
    ['names one that is not listed', { servername: 'elsewhere.test' }, 'destination-unknown'],
    ['names the host itself, which is not listed', { servername: 'partner.test' }, 'destination-unknown'],
    ['names one below a listed one', { servername: 'a.bank.egress.internal' }, 'destination-unknown'],
  ])('resets a client that %s', async ([, more, code]) => {
    await using place = await setUp()
    const socket = await dial(place, 'names', await place.world.svid('/payments'), more)
    expect((await readToEnding(socket)).how).toBe('reset')
    expect((await place.gateway.closed(1))[0]?.outcome.code).toBe(code)
    expect(place.partner.accepted() + place.database.accepted()).toBe(0)
  })
})

describe.each(['names', 'orders'])('on %s', (listener) => {
  const more = { servername: 'orders.egress.internal' }

  test('nobody gets through without a certificate', async () => {
    await using place = await setUp()
    const socket = await dial(place, listener, null, more)
    expect((await readToEnding(socket)).how).toBe('reset')
    expect((await place.gateway.closed(1))[0]?.outcome.code).toBe('client-certificate-missing')
    expect(place.database.accepted()).toBe(0)
  })

  test('a reset by the service in mid-stream is a reset for the client', async () => {
    await using place = await setUp()
    const socket = await dial(place, listener, await place.world.svid('/payments'), more)
    const ending = readToEnding(socket)
    socket.write('reset')
    const { how, data } = await ending
    expect([how, data.toString()]).toEqual(['reset', ''])
    expect((await place.gateway.closed(1))[0]?.outcome).toMatchObject({
      code: 'relay-upstream-reset',
      by: 'upstream',
    })
  })

  test('policy denies by a reset, and nothing was dialled', async () => {
    await using place = await setUp({ policy: '@id("x") forbid (principal, action, resource);' })
    const socket = await dial(place, listener, await place.world.svid('/payments'), more)
    expect((await readToEnding(socket)).how).toBe('reset')
    expect((await place.gateway.closed(1))[0]?.outcome.code).toBe('policy-denied')
    expect(place.database.accepted()).toBe(0)
  })
})

const SSL_REQUEST = Buffer.from('0000000804d2162f', 'hex')
const GSSENC_REQUEST = Buffer.from('0000000804d21630', 'hex')
const STARTUP = Buffer.from('00000017000300007573657200706f737467726573000000', 'hex')

/** Sends `first`, and what it is answered with until the connection ends or `length` bytes are there. */
async function exchange(socket: net.Socket, first: Buffer, length: number): Promise<string> {
  socket.write(first)
  let answer = Buffer.alloc(0)
  while (answer.length < length) {
    const chunk = await new Promise<Buffer | null>((resolve) => {
      const stop = (value: Buffer | null) => {
        socket.off('data', stop).off('close', onClose).off('end', onClose)
        socket.pause()
        resolve(value)
      }
      const onClose = () => stop(null)
      socket.on('data', stop).on('close', onClose).on('end', onClose)
      socket.resume()
    })
    if (chunk === null) break
    answer = Buffer.concat([answer, chunk])
  }
  return answer.toString('latin1')
}

describe('a fixed listener with startTls: postgres', () => {
  const ASKED = [[SSL_REQUEST, 'S']] as const
  const ASKED_TWICE = [[GSSENC_REQUEST, 'N'], ...ASKED] as const
  test.for<[string, readonly (readonly [Buffer, string])[], string | null]>([
    ['answers SSLRequest before TLS', ASKED, 'postgresql'],
    ['answers GSSENCRequest with a no, and SSLRequest after it', ASKED_TWICE, 'postgresql'],
    ['takes TLS from the first byte', [], 'postgresql'],
    ['needs no ALPN behind an SSLRequest, as clients before version 17 offer none', ASKED, null],
  ])('%s', async ([, steps, alpn]) => {
    await using place = await setUp({ startTls: true })
    const raw = await connectRaw(place.gateway.portOf('orders'))
    for (const [request, answer] of steps) expect(await exchange(raw, request, 1)).toBe(answer)
    const svid = await place.world.svid('/payments')
    const socket = await dial(place, 'orders', svid, {
      socket: raw,
      servername: 'orders.test',
      ...(alpn === null ? {} : { ALPNProtocols: [alpn] }),
    })
    expect(socket.alpnProtocol).toBe(alpn ?? false)
    socket.end('query')
    expect((await readToEnding(socket)).data.toString()).toBe('db query')
    expect((await place.gateway.closed(1))[0]).toMatchObject({
      destination: 'orders',
      requested: { host: 'orders.test', port: place.database.port, serverName: 'orders.test' },
    })
  })

  test.for<[string, readonly (readonly [Buffer, string])[], tls.ConnectionOptions, string, string]>([
    ['direct TLS without ALPN', [], {}, 'request-start-tls', 'NO_APPLICATION_PROTOCOL'],
    [
      "direct TLS of another protocol, as an attacker would lead a browser's here",
      [],
      { ALPNProtocols: ['h2', 'http/1.1'] },
      'request-start-tls',
      'NO_APPLICATION_PROTOCOL',
    ],
    [
      'another ALPN behind an SSLRequest',
      ASKED,
      { ALPNProtocols: ['http/1.1'] },
      'client-handshake-failed',
      'NO_APPLICATION_PROTOCOL',
    ],
    [
      'direct TLS behind a GSSENCRequest, which no client sends',
      [[GSSENC_REQUEST, 'N']],
      { ALPNProtocols: ['postgresql'] },
      'request-start-tls',
      'ECONNRESET',
    ],
  ])('refuses %s', async ([, steps, more, code, error]) => {
    await using place = await setUp({ startTls: true })
    const raw = await connectRaw(place.gateway.portOf('orders'))
    for (const [request, answer] of steps) expect(await exchange(raw, request, 1)).toBe(answer)
    const svid = await place.world.svid('/payments')
    const dialled = dial(place, 'orders', svid, { socket: raw, servername: 'orders.test', ...more })
    await expect(dialled).rejects.toMatchObject({ code: expect.stringContaining(error) })
    raw.destroy()
    expect((await place.gateway.closed(1))[0]?.outcome.code).toBe(code)
    expect(place.database.accepted()).toBe(0)
    await expect.poll(() => place.gateway.metric('sallyport_connections_open')).toBe(0)
  })

  test.for<[string, Buffer, string, RegExp]>([
    [
      'begins without TLS',
      STARTUP,
      'request-start-tls',
      /^E[\s\S]*FATAL[\s\S]*28000[\s\S]*sslmode=verify-full/,
    ],
    ['sends bytes with its SSLRequest', Buffer.concat([SSL_REQUEST, STARTUP]), 'request-start-tls', /^$/],
    ['asks for GSSENC for ever', Buffer.concat([GSSENC_REQUEST, GSSENC_REQUEST]), 'request-start-tls', /^$/],
    [
      'cancels without TLS',
      Buffer.from('0000001004d2162e0000000100000002', 'hex'),
      'request-cancel-unknown',
      /^$/,
    ],
    ['speaks HTTP', Buffer.from('GET / HTTP/1.1\r\n\r\n'), 'request-start-tls', /^E/],
  ])('ends a client that %s', async ([, bytes, code, answer]) => {
    await using place = await setUp({ startTls: true })
    const raw = await connectRaw(place.gateway.portOf('orders'))
    expect(await exchange(raw, bytes, Number.POSITIVE_INFINITY)).toMatch(answer)
    expect((await place.gateway.closed(1))[0]?.outcome.code).toBe(code)
    expect(place.database.accepted()).toBe(0)
  })
})
