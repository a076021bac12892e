// Hostile and plentiful arrivals: one deadline for everything before a request, limits for each source, handshakes in turn,
// and a process that runs out of files.
import http2 from 'node:http2'
import type net from 'node:net'
import { describe, expect, test } from 'vitest'
import { connect, connectTls } from '../../fixtures/connect-client.ts'
import { realHello } from '../../fixtures/client-hello.ts'
import { header } from '../../fixtures/proxy-header.ts'
import { partnerDestination, startPartner, toLoopback } from '../../fixtures/partner.ts'
import { connectRaw, readToEnding } from '../../fixtures/sockets.ts'
import { createWorld, startTestGateway, type TestGateway, type World } from '../../fixtures/world.ts'

const DESTINATIONS = '  - {name: partner, hosts: [partner.test], ports: [443]}'
const LISTENERS = `  - {name: proxy, address: "127.0.0.1:0", protocol: connect}
  - {name: mesh, address: "127.0.0.1:0", protocol: hbone}
  - {name: old, address: "127.0.0.1:0", protocol: connect, minVersion: TLSv1.2}
  - {name: behind, address: "127.0.0.1:0", protocol: connect, proxyProtocol: {required: true, from: [127.0.0.0/8]}}`

async function setUp(arrivals: string, destinations = DESTINATIONS) {
  const world = await createWorld()
  const gateway = await startTestGateway(world, {
    listeners: LISTENERS,
    destinations,
    resolve: toLoopback,
    extra: `drain: {delay: 0s, deadline: 1s}\narrivals: ${arrivals}`,
  })
  return {
    ...{ world, gateway },
    async [Symbol.asyncDispose]() {
      await gateway[Symbol.asyncDispose]()
      await world[Symbol.asyncDispose]()
    },
  }
}

async function nothingOpen(gateway: TestGateway): Promise<void> {
  for (const name of [
    'connections_open',
    'sessions_open',
    'handshakes_working',
    'handshakes_waiting',
    'sources',
  ]) {
    await expect.poll(() => gateway.metric(`sallyport_${name}`), { message: name }).toBe(0)
  }
}

const HELLO = await realHello()

describe('a client that takes too long', () => {
  type Step = (world: World, port: number) => Promise<net.Socket>
  const tls = (more: Buffer | string): Step => {
    return async (world, port) => {
      const socket = await connectTls(world, port, { svid: await world.svid('/payments') })
      socket.write(more)
      return socket
    }
  }
  const raw = (bytes: Buffer): Step => {
    return async (_world, port) => {
      const socket = await connectRaw(port)
      socket.write(bytes)
      return socket
    }
  }
  test.for<[string, string, Step, string]>([
    ['with its ClientHello', 'proxy', raw(HELLO.subarray(0, 100)), 'client-handshake-timeout'],
    ['with its handshake', 'proxy', raw(HELLO), 'client-handshake-timeout'],
    ['with its request', 'proxy', tls('CONNECT partner.test:443 HTTP/1.1\r\n'), 'request-timeout'],
    ['with its PROXY header', 'behind', raw(header().subarray(0, 20)), 'client-proxy-header-timeout'],
    [
      'with its hello behind a PROXY header',
      'behind',
      raw(Buffer.concat([header(), HELLO.subarray(0, 9)])),
      'client-handshake-timeout',
    ],
  ])('%s is given up by the one deadline', async ([, listener, begin, code]) => {
    await using place = await setUp('{timeout: 400ms}')
    const socket = await begin(place.world, place.gateway.portOf(listener))
    await readToEnding(socket)
    expect((await place.gateway.closed(1))[0]?.outcome.code).toBe(code)
    socket.destroy()
    await nothingOpen(place.gateway)
  })

  test('with its first stream of HTTP/2 is given up too', async () => {
    await using place = await setUp('{timeout: 400ms}')
    const { chainPem, keyPem } = await place.world.svid('/payments')
    const session = http2.connect(`https://localhost:${place.gateway.portOf('mesh')}`, {
      ...{ ca: place.world.root.pem, cert: chainPem, key: keyPem },
    })
    session.on('error', () => {})
    await new Promise<void>((resolve) => session.once('close', () => resolve()))
    expect((await place.gateway.closed(1))[0]?.listener).toBe('mesh')
    await nothingOpen(place.gateway)
  })
})

describe('all sources together', () => {
  test.for<[string, string, Buffer]>([
    ['is at its ClientHello', 'proxy', HELLO.subarray(0, 10)],
    ['owes its PROXY header', 'behind', Buffer.alloc(0)],
  ])('may have so many connections and no more, though each %s', async ([, listener, bytes]) => {
    await using place = await setUp('{connections: 3}')
    const port = place.gateway.portOf(listener)
    const held: net.Socket[] = []
    for (let count = 0; count < 3; count++) {
      const socket = await connectRaw(port)
      socket.write(bytes)
      held.push(socket)
    }
    await expect.poll(() => place.gateway.metric('sallyport_connections_open')).toBe(3)
    expect((await readToEnding(await connectRaw(port))).how).toBe('reset')
    expect((await place.gateway.closed(1)).map(({ outcome }) => outcome.code)).toEqual(['limit-connections'])
    for (const socket of held) socket.destroy()
    await nothingOpen(place.gateway)
    const svid = await place.world.svid('/payments')
    expect((await connect(place.world, place.gateway.port, { svid })).status).toBeGreaterThan(0)
  })
})

describe('one source', () => {
  test('may have so many connections and no more, and again when they are gone', async () => {
    await using place = await setUp('{connectionsPerSource: 3}')
    const held: net.Socket[] = []
    for (let count = 0; count < 3; count++) {
      const socket = await connectRaw(place.gateway.port)
      socket.write(HELLO.subarray(0, 10))
      held.push(socket)
    }
    await expect.poll(() => place.gateway.metric('sallyport_connections_open')).toBe(3)
    const refused = await connectRaw(place.gateway.port)
    expect((await readToEnding(refused)).how).toBe('reset')
    expect((await place.gateway.closed(1))[0]?.outcome).toMatchObject({
      code: 'limit-connections-per-source',
      by: 'gateway',
    })
    for (const socket of held) socket.destroy()
    await nothingOpen(place.gateway)
    const svid = await place.world.svid('/payments')
    expect((await connect(place.world, place.gateway.port, { svid })).status).toBeGreaterThan(0)
  })

  test('is the client, not the balancer before it', async () => {
    await using place = await setUp('{connectionsPerSource: 1}')
    const port = place.gateway.portOf('behind')
    const held: net.Socket[] = []
    for (const last of [1, 2, 3]) {
      const addresses = Buffer.from([10, 0, 0, last, 10, 0, 1, 7, 0xa1, 0x12, 0x26, 0xae])
      const socket = await connectRaw(port)
      socket.write(Buffer.concat([header({ addresses }), HELLO.subarray(0, 10)]))
      held.push(socket)
    }
    await expect.poll(() => place.gateway.metric('sallyport_sources')).toBe(3)
    expect(place.gateway.records()).toEqual([])
    for (const socket of held) socket.destroy()
    await nothingOpen(place.gateway)
  })
})

describe('more handshakes than there is room for', () => {
  test('are refused at once, and those that wait are served', async () => {
    await using place = await setUp('{handshakes: 1, waiting: 2, timeout: 20s}')
    const port = place.gateway.port
    // Holds the one place: its hello is there, and its last flight never comes.
    const holder = await connectRaw(port)
    holder.write(HELLO)
    await expect.poll(() => place.gateway.metric('sallyport_handshakes_working')).toBe(1)
    const svid = await place.world.svid('/payments')
    const waiting = [1, 2].map(() => connect(place.world, port, { svid }))
    await expect.poll(() => place.gateway.metric('sallyport_handshakes_waiting')).toBe(2)
    const refused = await connectRaw(port)
    refused.write(HELLO)
    expect((await readToEnding(refused)).how).toBe('reset')
    expect((await place.gateway.closed(1))[0]?.outcome.code).toBe('limit-handshakes')
    holder.destroy()
    const answers = await Promise.all(waiting)
    expect(answers.map(({ status }) => status)).toEqual([403, 403])
    for (const { socket } of answers) socket.destroy()
    await nothingOpen(place.gateway)
  })

  test('of one source leave room for another', async () => {
    await using place = await setUp(
      '{handshakes: 4, handshakesPerSource: 2, waitingPerSource: 1, timeout: 20s}',
    )
    const port = place.gateway.portOf('behind')
    const from = async (last: number) => {
      const addresses = Buffer.from([10, 0, 0, last, 10, 0, 1, 7, 0xa1, 0x12, 0x26, 0xae])
      const socket = await connectRaw(port)
      socket.write(Buffer.concat([header({ addresses }), HELLO]))
      return socket
    }
    const greedy = [await from(1), await from(1), await from(1), await from(1)]
    await expect.poll(() => place.gateway.records().length).toBe(1)
    expect(await place.gateway.metric('sallyport_handshakes_working')).toBe(2)
    expect(await place.gateway.metric('sallyport_handshakes_waiting')).toBe(1)
    const modest = await from(2)
    await expect.poll(() => place.gateway.metric('sallyport_handshakes_working')).toBe(3)
    for (const socket of [...greedy, modest]) socket.destroy()
    await nothingOpen(place.gateway)
  })
})

test.for(['TLSv1.3', 'TLSv1.2'] as const)(
  'a client that ends its side in the middle of a handshake by %s is gone at once',
  async (version) => {
    await using place = await setUp('{timeout: 60s}')
    const socket = await connectRaw(place.gateway.portOf('old'))
    socket.write(await realHello({ minVersion: version, maxVersion: version }))
    await new Promise((resolve) => socket.once('data', resolve))
    socket.end()
    expect((await place.gateway.closed(1))[0]?.outcome.code).toBe('client-closed')
    socket.destroy()
    await nothingOpen(place.gateway)
  },
)

test('while it is flooded with handshakes, a live session goes on', async () => {
  await using world = await createWorld()
  await using partner = await startPartner(world, (socket) => socket.pipe(socket))
  await using gateway = await startTestGateway(world, {
    destinations: partnerDestination(partner.port),
    resolve: toLoopback,
  })
  const svid = await world.svid('/payments')
  const live = await connect(world, gateway.port, { svid, target: `partner.test:${partner.port}` })
  const flood = Array.from({ length: 100 }, async () => {
    const socket = await connectRaw(gateway.port)
    socket.write(HELLO)
    return socket
  })
  for (let count = 0; count < 20; count++) {
    live.socket.write(`ping ${count}`)
    const echoed = await new Promise((resolve) => {
      live.socket.once('data', (chunk: Buffer) => resolve(chunk.toString()))
      live.socket.resume()
    })
    expect(echoed).toBe(`ping ${count}`)
  }
  for (const socket of await Promise.all(flood)) socket.destroy()
  live.socket.end()
  await nothingOpen(gateway)
})
