// `tls: passthrough` behind every listener that is not `passthrough` itself: the client is told "connected", and then its
// own ClientHello must name the host that it asked for, before a byte of it goes up.
import type net from 'node:net'
import type { Duplex } from 'node:stream'
import tls from 'node:tls'
import { describe, expect, test } from 'vitest'
import { connectHbone } from '../../fakes/mesh/hbone-client.ts'
import { connectLinkerd } from '../../fakes/mesh/linkerd-client.ts'
import { extension, hello, inRecords, name, record, serverName } from '../../fixtures/client-hello.ts'
import { connect, connectTls } from '../../fixtures/connect-client.ts'
import { CANCEL, FLAG, FRAME, RawH2 } from '../../fixtures/h2-raw.ts'
import { startPartner, startTcp, toLoopback } from '../../fixtures/partner.ts'
import { connectRaw, readToEnding } from '../../fixtures/sockets.ts'
import { createWorld, startTestGateway } from '../../fixtures/world.ts'

const GATEWAY_ID = 'spiffe://example.org/sallyport/gateway'

interface Seen {
  readonly raw: net.Socket
  bytes: Buffer
  how: 'open' | 'end' | 'reset'
}

/** A TLS partner that echoes, a port that keeps what comes, and one of each kind of listener. */
async function setUp(options: { destination?: string; greeting?: string; extra?: string } = {}) {
  const stack = new AsyncDisposableStack()
  const world = stack.use(await createWorld())
  const partner = stack.use(
    await startPartner(world, (socket) => {
      socket.on('data', (chunk) => socket.write(`echo ${chunk}`))
      socket.on('end', () => socket.end())
    }),
  )
  const seen: Seen[] = []
  const keeper = stack.use(
    await startTcp((raw) => {
      const one: Seen = { raw, bytes: Buffer.alloc(0), how: 'open' }
      seen.push(one)
      raw.on('data', (chunk: Buffer) => {
        one.bytes = Buffer.concat([one.bytes, chunk])
      })
      raw.on('end', () => {
        one.how = 'end'
      })
      raw.on('error', () => {
        one.how = 'reset'
      })
      if (options.greeting !== undefined) raw.write(options.greeting)
    }),
  )
  const passthrough = 'tls: passthrough, allowAddresses: [127.0.0.0/8]'
  const gateway = stack.use(
    await startTestGateway(world, {
      listeners: `  - {name: proxy, address: "127.0.0.1:0", protocol: connect}
  - {name: mesh, address: "127.0.0.1:0", protocol: hbone}
  - {name: l5d, address: "127.0.0.1:0", protocol: linkerd}
  - {name: names, address: "127.0.0.1:0", protocol: sni, serverNames: {partner.internal: partner, keeper.internal: keeper}}
  - {name: one, address: "127.0.0.1:0", protocol: fixed, destination: partner}
  - {name: other, address: "127.0.0.1:0", protocol: fixed, destination: keeper}`,
      destinations: `  - {name: partner, hosts: [partner.test], ports: [${partner.port}], ${passthrough}, requestedAs: ["240.0.0.7:443"]}
  - {name: keeper, hosts: [keeper.test], ports: [${keeper.port}], ${passthrough}${options.destination ?? ''}}
  - {name: address, hosts: [127.0.0.1], ports: [${keeper.port}], ${passthrough}, nameProof: whenPresent}
  - {name: plain, hosts: [plain.test], ports: [${keeper.port}], tls: opaque, allowAddresses: [127.0.0.0/8]}`,
      resolve: toLoopback,
      extra: `drain: {delay: 0s, deadline: 1s}\n${options.extra ?? ''}`,
    }),
  )
  return {
    ...{ world, partner, keeper, seen, gateway },
    svid: await world.svid('/payments/api'),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
}

type Place = Awaited<ReturnType<typeof setUp>>

interface Opened extends AsyncDisposable {
  readonly stream: Duplex
  readonly raw: { destroy(): void }
}

async function overH1({ world, gateway, svid }: Place, target: string): Promise<Opened> {
  const { status, socket } = await connect(world, gateway.port, { svid, target })
  expect(status).toBe(200)
  return { stream: socket, raw: socket, [Symbol.asyncDispose]: async () => void socket.destroy() }
}

function overH2(listener: string) {
  return async ({ world, gateway, svid }: Place, target: string): Promise<Opened> => {
    const client = await connectHbone({
      ...{ port: gateway.portOf(listener), cert: svid.chainPem, key: svid.keyPem, ca: world.root.pem },
      serverIds: [GATEWAY_ID],
    })
    const { status, stream } = await client.connect({ authority: target })
    expect(status).toBe(200)
    stream.on('error', () => {})
    return { stream, raw: stream, [Symbol.asyncDispose]: () => client[Symbol.asyncDispose]() }
  }
}

async function overLinkerd({ world, gateway, svid }: Place, target: string): Promise<Opened> {
  const [host = '', port = ''] = target.split(':')
  const client = await connectLinkerd({
    ...{ port: gateway.portOf('l5d'), cert: svid.chainPem, key: svid.keyPem, ca: world.root.pem },
    serverName: 'localhost',
    header: { port: Number(port), name: host },
  })
  return {
    stream: client.socket,
    raw: client.raw,
    [Symbol.asyncDispose]: () => client[Symbol.asyncDispose](),
  }
}

function overPreset(listener: (host: string) => string) {
  return async ({ world, gateway, svid }: Place, target: string): Promise<Opened> => {
    const host = (target.split(':')[0] ?? '').replace('.test', '')
    const raw = await connectRaw(gateway.portOf(listener(host)))
    const socket = tls.connect({
      ...{ socket: raw, servername: `${host}.internal`, allowHalfOpen: true },
      ...{ ca: world.root.pem, cert: svid.chainPem, key: svid.keyPem, checkServerIdentity: () => undefined },
    } as tls.ConnectionOptions)
    socket.on('error', () => {})
    await new Promise((resolve) => socket.once('secureConnect', resolve))
    return { stream: socket, raw, [Symbol.asyncDispose]: async () => void socket.destroy() }
  }
}

const WAYS: readonly (readonly [string, (place: Place, target: string) => Promise<Opened>])[] = [
  ['HTTP/1.1 CONNECT', overH1],
  ['HTTP/2 CONNECT', overH2('proxy')],
  ['HBONE', overH2('mesh')],
  ['Linkerd', overLinkerd],
  ['a server name', overPreset(() => 'names')],
  ['a fixed port', overPreset((host) => (host === 'partner' ? 'one' : 'other'))],
]

const partnerOf = (place: Place) => `partner.test:${place.partner.port}`
const keeperOf = (place: Place) => `keeper.test:${place.keeper.port}`

const naming = (host: string, ...more: readonly Uint8Array[]) =>
  record(hello({ extensions: [serverName(name(host)), ...more] }))

describe.each(WAYS)('by %s', (_way, open) => {
  test('the partner’s own TLS goes through, and the record says by what it was proven', async () => {
    await using place = await setUp()
    await using tunnel = await open(place, partnerOf(place))
    const inner = tls.connect({
      ...{
        socket: tunnel.stream,
        servername: 'partner.test',
        ca: place.world.partnerCa.pem,
        allowHalfOpen: true,
      },
    } as tls.ConnectionOptions)
    inner.on('error', () => {})
    inner.end('hello')
    expect(await readToEnding(inner)).toMatchObject({ how: 'end', data: Buffer.from('echo hello') })
    tunnel.stream.end()
    const [record] = await place.gateway.closed(1)
    expect(record).toMatchObject({
      destination: 'partner',
      upstream: { serverName: 'partner.test', nameProof: 'client-hello', tlsVersion: null },
      outcome: { code: 'closed' },
    })
    // A ClientHello, a Finished and what was said.
    expect(record?.bytes.sent).toBeGreaterThan(200)
    expect(place.gateway.events()[0]).toMatchObject({
      event: 'session.opened',
      upstream: { serverName: null, nameProof: null },
    })
    await expect.poll(() => place.gateway.metric('sallyport_sessions_open')).toBe(0)
  })

  test('a wrong name is reset on both sides, and not a byte of it went up', async () => {
    await using place = await setUp()
    await using tunnel = await open(place, keeperOf(place))
    tunnel.stream.write(naming('partner.test'))
    expect((await readToEnding(tunnel.stream)).how).toBe('reset')
    const [record] = await place.gateway.closed(1)
    expect(record).toMatchObject({
      bytes: { sent: 0, received: 0 },
      upstream: { serverName: null, nameProof: null, attempts: 1 },
      outcome: {
        code: 'name-mismatch',
        by: 'gateway',
        detail: 'the ClientHello names partner.test, and keeper.test was asked for',
      },
    })
    await expect.poll(() => place.seen[0]?.how).toBe('reset')
    expect(place.seen[0]?.bytes).toHaveLength(0)
    await expect.poll(() => place.gateway.metric('sallyport_sessions_open')).toBe(0)
  })
})

const TWO = WAYS.slice(0, 2)

describe.each(TWO)('over %s', (_way, open) => {
  test.for<[string, string, Buffer, string]>([
    ['a name of another destination', '', naming('partner.test'), 'name-mismatch'],
    ['a wrong name where none would do', ', nameProof: whenPresent', naming('evil.test'), 'name-mismatch'],
    ['no name', '', record(hello({ extensions: [] })), 'name-missing'],
    ['HTTP', '', Buffer.from('GET / HTTP/1.1\r\n\r\n'), 'name-not-tls'],
    [
      'HTTP where no name would do',
      ', nameProof: whenPresent',
      Buffer.from('GET / HTTP/1.1\r\n\r\n'),
      'name-not-tls',
    ],
    ['a record that is no ClientHello', '', record(Buffer.of(2, 0, 0, 0)), 'name-hello-malformed'],
    [
      'an encrypted hello where the destination refuses it',
      ', ech: refuse',
      naming('keeper.test', extension(0xfe0d, Buffer.alloc(186))),
      'request-ech',
    ],
  ])('%s is reset on both sides', async ([, destination, bytes, code]) => {
    await using place = await setUp({ destination })
    await using tunnel = await open(place, keeperOf(place))
    tunnel.stream.write(bytes)
    expect(await readToEnding(tunnel.stream)).toMatchObject({ how: 'reset', data: Buffer.alloc(0) })
    expect((await place.gateway.closed(1))[0]?.outcome).toMatchObject({ code, by: 'gateway' })
    await expect.poll(() => place.seen[0]?.how).toBe('reset')
    expect(place.seen[0]?.bytes).toHaveLength(0)
  })

  test.for<[string, string, Buffer, string | null]>([
    ['the host', '', naming('keeper.test'), 'keeper.test'],
    [
      'another name of its own',
      ', serverNames: [www.keeper.test]',
      naming('www.keeper.test'),
      'www.keeper.test',
    ],
    ['no name where none will do', ', nameProof: whenPresent', record(hello({ extensions: [] })), null],
    [
      'the outer name of an encrypted hello',
      '',
      naming('keeper.test', extension(0xfe0d, Buffer.alloc(186))),
      'keeper.test',
    ],
    [
      'the host, in records of one byte',
      '',
      inRecords(naming('keeper.test').subarray(5), [1]),
      'keeper.test',
    ],
  ])('%s goes up with all that follows it, in order and counted', async ([, destination, bytes, proven]) => {
    await using place = await setUp({ destination })
    await using tunnel = await open(place, keeperOf(place))
    const more = Buffer.from('early data and more')
    tunnel.stream.write(Buffer.concat([bytes, more]))
    tunnel.stream.write(' and more')
    const expected = Buffer.concat([bytes, more, Buffer.from(' and more')])
    await expect.poll(() => place.seen[0]?.bytes.length).toBe(expected.length)
    expect(place.seen[0]?.bytes).toEqual(expected)
    place.seen[0]?.raw.end('answer')
    tunnel.stream.end()
    expect(await readToEnding(tunnel.stream)).toMatchObject({ how: 'end', data: Buffer.from('answer') })
    expect((await place.gateway.closed(1))[0]).toMatchObject({
      bytes: { sent: expected.length, received: 6 },
      upstream: { serverName: proven, nameProof: proven === null ? null : 'client-hello' },
      outcome: { code: 'closed' },
    })
  })

  test('a hello byte by byte is a hello, and nothing goes up before its last byte', async () => {
    await using place = await setUp()
    await using tunnel = await open(place, keeperOf(place))
    const bytes = naming('keeper.test')
    for (const byte of bytes.subarray(0, -1)) {
      await new Promise((resolve) => tunnel.stream.write(Buffer.of(byte), resolve))
    }
    expect(place.seen[0]?.bytes).toHaveLength(0)
    tunnel.stream.write(bytes.subarray(-1))
    await expect.poll(() => place.seen[0]?.bytes).toEqual(bytes)
  })

  test('a client that drips its hello gets arrivals.timeout and no more', async () => {
    await using place = await setUp({ extra: 'arrivals: {timeout: 1s}' })
    await using tunnel = await open(place, keeperOf(place))
    const bytes = naming('keeper.test', extension(21, Buffer.alloc(10_000)))
    let sent = 0
    const drip = setInterval(() => tunnel.stream.write(bytes.subarray(sent, (sent += 1))), 20)
    expect((await readToEnding(tunnel.stream)).how).toBe('reset')
    clearInterval(drip)
    expect((await place.gateway.closed(1))[0]?.outcome).toMatchObject({ code: 'name-timeout', by: 'gateway' })
    await expect.poll(() => place.seen[0]?.how).toBe('reset')
    expect(place.seen[0]?.bytes).toHaveLength(0)
  })

  test.for<[string, (place: Place, tunnel: Opened) => void, string, string]>([
    ['the client ends', (_place, { stream }) => void stream.end(), 'name-client-closed', 'client'],
    [
      'the client ends in the middle of its hello',
      (_place, { stream }) => void stream.end(naming('keeper.test').subarray(0, 40)),
      'name-client-closed',
      'client',
    ],
    ['the server ends', ({ seen }) => void seen[0]?.raw.end(), 'name-upstream-closed', 'upstream'],
    [
      'the server resets',
      ({ seen }) => void seen[0]?.raw.resetAndDestroy(),
      'relay-upstream-reset',
      'upstream',
    ],
    [
      'the server speaks',
      ({ seen }) => void seen[0]?.raw.write('220 hello\r\n'),
      'request-server-first',
      'gateway',
    ],
    ['the gateway drains', ({ gateway }) => void gateway.gateway.drain(), 'session-drained', 'gateway'],
  ])('where %s before the ClientHello, the record says so', async ([, act, code, by]) => {
    await using place = await setUp()
    await using tunnel = await open(place, keeperOf(place))
    await expect.poll(() => place.seen.length).toBe(1)
    act(place, tunnel)
    const { how, data } = await readToEnding(tunnel.stream)
    expect(data).toHaveLength(0)
    // Node's HTTP/2 client says 'end' of a stream whose connection ends before it has read the reset.
    if (code !== 'session-drained') expect(how).toBe('reset')
    expect((await place.gateway.closed(1))[0]).toMatchObject({
      bytes: { sent: 0, received: 0 },
      upstream: { nameProof: null },
      outcome: { code, by },
    })
    await expect.poll(() => place.seen[0]?.how !== 'open' || place.seen[0].raw.destroyed).toBe(true)
    expect(place.seen[0]?.bytes).toHaveLength(0)
  })

  test('asked for by an address of requestedAs, the name to prove is the destination’s own', async () => {
    await using place = await setUp()
    await using tunnel = await open(place, '240.0.0.7:443')
    const inner = tls.connect({
      ...{ socket: tunnel.stream, servername: 'partner.test', ca: place.world.partnerCa.pem },
    })
    inner.on('error', () => {})
    inner.write('hello')
    const [first] = await new Promise<Buffer[]>((resolve) =>
      inner.once('data', (chunk: Buffer) => resolve([chunk])),
    )
    expect(String(first)).toBe('echo hello')
    inner.destroy()
    expect((await place.gateway.closed(1))[0]).toMatchObject({
      requested: { host: '240.0.0.7', port: 443 },
      upstream: { serverName: 'partner.test', nameProof: 'client-hello' },
    })
  })

  test('an address is proven by nothing: no name passes where the destination says so, any name is wrong', async () => {
    await using place = await setUp()
    const target = `127.0.0.1:${place.keeper.port}`
    await using nameless = await open(place, target)
    const bytes = record(hello({ extensions: [] }))
    nameless.stream.write(bytes)
    await expect.poll(() => place.seen[0]?.bytes).toEqual(bytes)
    await using named = await open(place, target)
    named.stream.write(naming('keeper.test'))
    expect((await readToEnding(named.stream)).how).toBe('reset')
    expect((await place.gateway.closed(1))[0]?.outcome.code).toBe('name-mismatch')
  })

  test('opaque takes bytes as they come, a server that speaks first too, and says that nothing was proven', async () => {
    await using place = await setUp({ greeting: 'SSH-2.0-x\r\n' })
    await using tunnel = await open(place, `plain.test:${place.keeper.port}`)
    const [greeting] = await new Promise<Buffer[]>((resolve) => {
      tunnel.stream.once('data', (chunk: Buffer) => resolve([chunk]))
      tunnel.stream.resume()
    })
    expect(String(greeting)).toBe('SSH-2.0-x\r\n')
    tunnel.stream.end('SSH-2.0-y\r\n')
    await expect.poll(() => place.seen[0]?.how).toBe('end')
    expect(String(place.seen[0]?.bytes)).toBe('SSH-2.0-y\r\n')
    place.seen[0]?.raw.end()
    expect((await place.gateway.closed(1))[0]).toMatchObject({
      upstream: { serverName: null, nameProof: null },
      outcome: { code: 'closed' },
    })
  })
})

describe('to a destination with startTls: postgres', () => {
  const SSL_REQUEST = Buffer.from('0000000804d2162f', 'hex')

  async function asked(place: Place) {
    const tunnel = await overH1(place, keeperOf(place))
    tunnel.stream.write(SSL_REQUEST)
    await expect.poll(() => place.seen[0]?.bytes).toEqual(SSL_REQUEST)
    const answer = new Promise<Buffer>((resolve) => tunnel.stream.once('data', resolve))
    tunnel.stream.resume()
    place.seen[0]?.raw.write('S')
    expect(String(await answer)).toBe('S')
    tunnel.stream.pause()
    return tunnel
  }

  test('the ClientHello behind the server’s agreement proves the name', async () => {
    await using place = await setUp({ destination: ', startTls: postgres' })
    await using tunnel = await asked(place)
    const bytes = naming('keeper.test')
    tunnel.stream.write(bytes)
    await expect.poll(() => place.seen[0]?.bytes).toEqual(Buffer.concat([SSL_REQUEST, bytes]))
    place.seen[0]?.raw.end()
    tunnel.stream.end()
    expect((await place.gateway.closed(1))[0]).toMatchObject({
      bytes: { sent: 8 + bytes.length, received: 1 },
      upstream: { serverName: 'keeper.test', nameProof: 'client-hello' },
      outcome: { code: 'closed' },
    })
  })

  test('a wrong name behind it is reset, and nothing but the preamble went up', async () => {
    await using place = await setUp({ destination: ', startTls: postgres' })
    await using tunnel = await asked(place)
    tunnel.stream.write(naming('evil.test'))
    expect((await readToEnding(tunnel.stream)).how).toBe('reset')
    expect((await place.gateway.closed(1))[0]).toMatchObject({
      bytes: { sent: 8, received: 1 },
      outcome: { code: 'name-mismatch' },
    })
    await expect.poll(() => place.seen[0]?.how).toBe('reset')
    expect(place.seen[0]?.bytes).toEqual(SSL_REQUEST)
  })

  test('a server that will not begin TLS is the server’s doing', async () => {
    await using place = await setUp({ destination: ', startTls: postgres' })
    await using tunnel = await overH1(place, keeperOf(place))
    tunnel.stream.write(SSL_REQUEST)
    await expect.poll(() => place.seen[0]?.bytes.length).toBe(8)
    place.seen[0]?.raw.write('N')
    expect((await readToEnding(tunnel.stream)).how).toBe('reset')
    expect((await place.gateway.closed(1))[0]?.outcome).toMatchObject({
      code: 'upstream-starttls-refused',
      by: 'upstream',
    })
  })
})

test('a client that goes away by a reset before its ClientHello is told from one that ends', async () => {
  await using place = await setUp()
  const raw = await connectRaw(place.gateway.port)
  const socket = tls.connect({
    ...{ socket: raw, servername: 'localhost', ca: place.world.root.pem },
    ...{ cert: place.svid.chainPem, key: place.svid.keyPem },
  })
  socket.on('error', () => {})
  socket.write(`CONNECT ${keeperOf(place)} HTTP/1.1\r\nHost: ${keeperOf(place)}\r\n\r\n`)
  await new Promise((resolve) => socket.once('data', resolve))
  raw.resetAndDestroy()
  expect((await place.gateway.closed(1))[0]?.outcome).toMatchObject({
    code: 'relay-client-reset',
    by: 'client',
  })
  await expect.poll(() => place.seen[0]?.how).toBe('reset')
})

test.each<[string, (client: RawH2) => void, string]>([
  ['resets its stream', (client) => client.reset(1, CANCEL), 'relay-client-reset'],
  [
    'resets its stream in the middle of the hello',
    (client) => {
      client.send(FRAME.DATA, 0, 1, naming('keeper.test').subarray(0, 20))
      client.reset(1, CANCEL)
    },
    'relay-client-reset',
  ],
  ['loses its connection', (client) => void client.socket.destroy(), 'relay-client-reset'],
  ['ends its stream', (client) => client.send(FRAME.DATA, FLAG.END_STREAM, 1), 'name-client-closed'],
])('an HTTP/2 client that %s before its ClientHello is told as such', async (_what, act, code) => {
  await using place = await setUp()
  const { world, gateway, svid } = place
  const socket = await connectTls(world, gateway.port, { svid, tls: { ALPNProtocols: ['h2'] } })
  const client = new RawH2(socket)
  client.connect(1, keeperOf(place))
  await expect.poll(() => client.isConnected(1)).toBe(true)
  act(client)
  expect((await gateway.closed(1))[0]?.outcome).toMatchObject({ code, by: 'client' })
  await expect.poll(() => place.seen[0]?.how).toBe('reset')
  expect(place.seen[0]?.bytes).toHaveLength(0)
  socket.destroy()
})

test('a server that speaks first is refused though the client said nothing yet', async () => {
  await using place = await setUp({ greeting: '220 mail.test\r\n' })
  await using _tunnel = await overPreset(() => 'other')(place, keeperOf(place))
  expect((await place.gateway.closed(1))[0]?.outcome).toMatchObject({
    code: 'request-server-first',
    by: 'gateway',
  })
  await expect.poll(() => place.seen[0]?.how).toBe('reset')
})
