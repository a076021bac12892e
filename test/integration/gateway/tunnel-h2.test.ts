import { randomBytes } from 'node:crypto'
import type net from 'node:net'
import type tls from 'node:tls'
import { describe, expect, test } from 'vitest'
import { connectTls } from '../../fixtures/connect-client.ts'
import {
  CANCEL,
  CONNECT_ERROR,
  FLAG,
  FRAME,
  INTERNAL_ERROR,
  PROTOCOL_ERROR,
  RawH2,
} from '../../fixtures/h2-raw.ts'
import { partnerDestination, startPartner, toLoopback } from '../../fixtures/partner.ts'
import { createWorld, startTestGateway } from '../../fixtures/world.ts'

/** A gateway, a partner whose connections the test holds, and a client that speaks raw frames. */
async function scene(policy?: string, extra?: string, more?: string) {
  const stack = new AsyncDisposableStack()
  const world = stack.use(await createWorld())
  const sockets: { socket: tls.TLSSocket; raw: net.Socket; received: Buffer[]; how: string }[] = []
  const partner = stack.use(
    await startPartner(world, (socket, raw) => {
      const seen = { socket, raw, received: [] as Buffer[], how: 'open' }
      sockets.push(seen)
      socket.on('data', (chunk: Buffer) => seen.received.push(chunk))
      socket.on('end', () => {
        seen.how = 'end'
      })
      socket.on('error', () => {
        seen.how = 'reset'
      })
    }),
  )
  const gateway = stack.use(
    await startTestGateway(world, {
      destinations: partnerDestination(partner.port, more),
      resolve: toLoopback,
      ...(policy === undefined ? {} : { policy }),
      ...(extra === undefined ? {} : { extra }),
    }),
  )
  const svid = await world.svid('/payments/api')
  const socket = await connectTls(world, gateway.port, { svid, tls: { ALPNProtocols: ['h2'] } })
  stack.defer(() => void socket.destroy())
  const client = new RawH2(socket)
  const target = `partner.test:${partner.port}`
  return {
    world,
    partner,
    gateway,
    client,
    target,
    sockets,
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
}

describe('a tunnel over HTTP/2 CONNECT', () => {
  test('carries bytes both ways; END_STREAM is FIN, and half-close is kept', async () => {
    await using s = await scene()
    s.client.connect(1, s.target)
    await expect.poll(() => s.client.isConnected(1)).toBe(true)
    s.client.send(FRAME.DATA, FLAG.END_STREAM, 1, 'ping')
    await expect.poll(() => s.sockets[0]?.how).toBe('end')
    expect(Buffer.concat(s.sockets[0]?.received ?? []).toString()).toBe('ping')
    s.sockets[0]?.socket.end('late answer')
    await expect.poll(() => s.client.endedCleanly(1)).toBe(true)
    expect(s.client.data(1).toString()).toBe('late answer')
    expect(s.client.resetCode(1)).toBeNull()
    expect((await s.gateway.closed(1))[0]).toMatchObject({
      bytes: { sent: 4, received: 11 },
      outcome: { code: 'closed', by: 'client' },
    })
  })

  test.for<[string, (client: RawH2) => void]>([
    [
      'leaves by GOAWAY and an end',
      (client) => {
        client.send(FRAME.GOAWAY, 0, 0, Buffer.alloc(8))
        client.socket.end()
      },
    ],
    ['leaves by an end', (client) => void client.socket.end()],
    ['stays', () => {}],
  ])('what a client sent and ended arrives at its pace, though the client %s', async ([, leave]) => {
    await using s = await scene(undefined, undefined, '    limits: {bytesPerSecond: 16KiB}\n')
    s.client.connect(1, s.target)
    await expect.poll(() => s.client.isConnected(1)).toBe(true)
    s.sockets[0]?.socket.end('early answer')
    await expect.poll(() => s.client.endedCleanly(1)).toBe(true)
    const sent = randomBytes(48 * 1024)
    for (let at = 0; at < 3; at += 1) {
      const piece = sent.subarray(at * 16_384, (at + 1) * 16_384)
      s.client.send(FRAME.DATA, at === 2 ? FLAG.END_STREAM : 0, 1, piece)
    }
    leave(s.client)
    await expect.poll(() => s.sockets[0]?.how, { timeout: 15_000 }).not.toBe('open')
    expect(s.sockets[0]?.how).toBe('end')
    expect(Buffer.concat(s.sockets[0]?.received ?? []).equals(sent)).toBe(true)
    expect((await s.gateway.closed(1))[0]).toMatchObject({
      bytes: { sent: sent.length, received: 12 },
      outcome: { code: 'closed' },
    })
  })

  test('a client that leaves while its service has something to say is lost, though it had ended', async () => {
    await using s = await scene(undefined, undefined, '    limits: {bytesPerSecond: 16KiB}\n')
    s.client.connect(1, s.target)
    await expect.poll(() => s.client.isConnected(1)).toBe(true)
    for (const flags of [0, 0, FLAG.END_STREAM]) s.client.send(FRAME.DATA, flags, 1, randomBytes(16_384))
    s.client.socket.end()
    await expect.poll(() => s.sockets[0]?.how).toBe('reset')
    expect((await s.gateway.closed(1))[0]?.outcome).toMatchObject({ code: 'relay-client-reset' })
  })

  test('a reset by the partner is RST_STREAM(CONNECT_ERROR) without END_STREAM before it', async () => {
    await using s = await scene()
    s.client.connect(1, s.target)
    await expect.poll(() => s.client.isConnected(1)).toBe(true)
    s.sockets[0]?.socket.write('half an ans')
    await expect.poll(() => s.client.data(1).toString()).toBe('half an ans')
    s.sockets[0]?.raw.resetAndDestroy()
    await expect.poll(() => s.client.resetCode(1)).toBe(CONNECT_ERROR)
    expect(s.client.endedCleanly(1)).toBe(false)
    expect((await s.gateway.closed(1))[0]?.outcome).toMatchObject({
      code: 'relay-upstream-reset',
      by: 'upstream',
    })
  })

  test('a reset by the partner after the client ended its side is still RST_STREAM', async () => {
    await using s = await scene()
    s.client.connect(1, s.target)
    await expect.poll(() => s.client.isConnected(1)).toBe(true)
    s.client.send(FRAME.DATA, FLAG.END_STREAM, 1, 'ping')
    await expect.poll(() => s.sockets[0]?.how).toBe('end')
    s.sockets[0]?.raw.resetAndDestroy()
    await expect.poll(() => s.client.resetCode(1)).toBe(CONNECT_ERROR)
    expect(s.client.endedCleanly(1)).toBe(false)
  })

  test.for<[string, number]>([
    ['CANCEL', CANCEL],
    ['NO_ERROR', 0],
    ['CONNECT_ERROR', CONNECT_ERROR],
  ])('RST_STREAM(%s) by the client is a reset for the partner, never a clean end', async ([, code]) => {
    await using s = await scene()
    s.client.connect(1, s.target)
    await expect.poll(() => s.client.isConnected(1)).toBe(true)
    s.client.send(FRAME.DATA, 0, 1, 'half a request')
    await expect.poll(() => s.sockets[0]?.received.length).toBe(1)
    s.client.reset(1, code)
    await expect.poll(() => s.sockets[0]?.how).toBe('reset')
    expect((await s.gateway.closed(1))[0]?.outcome).toMatchObject({
      code: 'relay-client-reset',
      by: 'client',
    })
    expect(await s.gateway.metric('sallyport_sessions_open')).toBe(0)
  })

  test('END_STREAM with the request is FIN too', async () => {
    await using s = await scene()
    const fields = [[':method', 'CONNECT'] as const, [':authority', s.target] as const]
    s.client.headers(1, fields, FLAG.END_HEADERS | FLAG.END_STREAM)
    await expect.poll(() => s.sockets[0]?.how).toBe('end')
    s.sockets[0]?.socket.end('an answer')
    await expect.poll(() => s.client.endedCleanly(1)).toBe(true)
    expect((await s.gateway.closed(1))[0]?.outcome).toMatchObject({ code: 'closed', by: 'client' })
  })

  test.for<[string, number]>([
    ['CANCEL', CANCEL],
    ['NO_ERROR', 0],
    // nghttpx sends it when its own client has gone.
    ['INTERNAL_ERROR', INTERNAL_ERROR],
  ])('RST_STREAM(%s) by the client is a reset too where the partner had ended before', async ([, code]) => {
    await using s = await scene()
    s.client.connect(1, s.target)
    await expect.poll(() => s.client.isConnected(1)).toBe(true)
    s.client.send(FRAME.DATA, 0, 1, 'half a request')
    await expect.poll(() => s.sockets[0]?.received.length).toBe(1)
    s.sockets[0]?.socket.end()
    await expect.poll(() => s.client.endedCleanly(1)).toBe(true)
    s.client.reset(1, code)
    await expect.poll(() => s.sockets[0]?.how).toBe('reset')
    expect((await s.gateway.closed(1))[0]?.outcome.code).toBe('relay-client-reset')
  })

  test('an end that comes with fields is none: in a tunnel only DATA may follow', async () => {
    await using s = await scene()
    s.client.connect(1, s.target)
    await expect.poll(() => s.client.isConnected(1)).toBe(true)
    s.client.send(FRAME.DATA, 0, 1, 'half a request')
    await expect.poll(() => s.sockets[0]?.received.length).toBe(1)
    s.client.headers(1, [['x', 'y']], FLAG.END_HEADERS | FLAG.END_STREAM)
    await expect.poll(() => s.sockets[0]?.how).toBe('reset')
    expect(s.client.resetCode(1)).toBe(PROTOCOL_ERROR)
    expect((await s.gateway.closed(1))[0]?.outcome.code).toBe('relay-client-reset')
  })

  test("bytes and an end that come with the request itself are the tunnel's", async () => {
    await using s = await scene()
    s.client.socket.cork()
    s.client.connect(1, s.target)
    for (const byte of Buffer.from('ping')) s.client.send(FRAME.DATA, 0, 1, Buffer.of(byte))
    s.client.send(FRAME.DATA, FLAG.END_STREAM, 1, '!')
    s.client.socket.uncork()
    await expect.poll(() => s.sockets[0]?.how).toBe('end')
    expect(Buffer.concat(s.sockets[0]?.received ?? []).toString()).toBe('ping!')
    s.sockets[0]?.socket.end('pong')
    await expect.poll(() => s.client.endedCleanly(1)).toBe(true)
    expect((await s.gateway.closed(1))[0]).toMatchObject({
      bytes: { sent: 5, received: 4 },
      outcome: { code: 'closed' },
    })
  })

  test('a lost connection is a reset for every partner behind it', async () => {
    await using s = await scene()
    s.client.connect(1, s.target)
    s.client.connect(3, s.target)
    await expect.poll(() => s.client.isConnected(1) && s.client.isConnected(3)).toBe(true)
    s.client.socket.destroy()
    await expect.poll(() => s.sockets.map(({ how }) => how)).toEqual(['reset', 'reset'])
    const records = await s.gateway.closed(2)
    expect(new Set(records.map(({ connection }) => connection)).size).toBe(1)
    expect(new Set(records.map(({ id }) => id)).size).toBe(2)
    await expect.poll(() => s.gateway.metric('sallyport_connections_open')).toBe(0)
  })

  test('a denied stream leaves the others alone', async () => {
    await using s = await scene()
    s.client.connect(1, s.target)
    await expect.poll(() => s.client.isConnected(1)).toBe(true)
    s.client.connect(3, 'elsewhere.test:443')
    await expect.poll(() => s.client.of(3, FRAME.HEADERS).length).toBe(1)
    expect(s.client.isConnected(3)).toBe(false)
    await expect.poll(() => s.client.data(3).toString()).toContain('403')
    s.client.send(FRAME.DATA, FLAG.END_STREAM, 1, 'still here')
    await expect.poll(() => Buffer.concat(s.sockets[0]?.received ?? []).toString()).toBe('still here')
  })

  test('a connection whose identity is refused is told once and closed', async () => {
    await using s = await scene()
    const svid = await s.world.issuing.issue({ uris: ['spiffe://other.org/x'] })
    const socket = await connectTls(s.world, s.gateway.port, { svid, tls: { ALPNProtocols: ['h2'] } })
    const client = new RawH2(socket)
    client.connect(1, s.target)
    await expect.poll(() => client.data(1).toString()).toContain('client-trust-domain-unknown')
    await expect.poll(() => client.closed, { timeout: 10_000 }).toBe(true)
  })

  test.for<[string, readonly (readonly [string, string])[], string]>([
    [
      'another method',
      [
        [':method', 'GET'],
        [':scheme', 'https'],
        [':path', '/'],
        [':authority', 'x.test'],
      ],
      'request-method',
    ],
    [
      'an authority without port',
      [
        [':method', 'CONNECT'],
        [':authority', 'partner.test'],
      ],
      'request-target',
    ],
    [
      'a content-length',
      [
        [':method', 'CONNECT'],
        [':authority', 'partner.test:443'],
        ['content-length', '5'],
      ],
      'request-body',
    ],
    [
      'a host that is another than the authority',
      [
        [':method', 'CONNECT'],
        [':authority', 'partner.test:443'],
        ['host', 'other.test:443'],
      ],
      'request-host-mismatch',
    ],
    [
      'a host with another port',
      [
        [':method', 'CONNECT'],
        [':authority', 'partner.test:443'],
        ['host', 'partner.test:8443'],
      ],
      'request-host-mismatch',
    ],
    [
      'two credentials',
      [
        [':method', 'CONNECT'],
        [':authority', 'partner.test:443'],
        ['proxy-authorization', 'Bearer a'],
        ['proxy-authorization', 'Bearer b'],
      ],
      'request-malformed',
    ],
  ])('%s is refused with its reason', async ([, fields, code]) => {
    await using s = await scene()
    s.client.headers(1, fields)
    await expect.poll(() => s.client.data(1).toString()).toContain(code)
    expect((await s.gateway.closed(1))[0]?.outcome.code).toBe(code)
  })

  test('a host that names what the authority names is no difference', async () => {
    await using s = await scene()
    for (const [index, host] of [s.target, 'Partner.test', 'partner.test.'].entries()) {
      const fields = [
        [':method', 'CONNECT'] as const,
        [':authority', s.target] as const,
        ['host', host] as const,
      ]
      s.client.headers(2 * index + 1, fields)
      await expect.poll(() => s.client.isConnected(2 * index + 1), { message: host }).toBe(true)
    }
  })

  test('CONNECT with :path is malformed and opens nothing', async () => {
    await using s = await scene()
    s.client.headers(1, [
      [':method', 'CONNECT'],
      [':scheme', 'https'],
      [':path', '/'],
      [':authority', s.target],
    ])
    await expect
      .poll(
        () =>
          s.client.resetCode(1) !== null ||
          s.client.of(0, FRAME.GOAWAY).length > 0 ||
          s.client.of(1, FRAME.HEADERS).length > 0,
      )
      .toBe(true)
    expect(s.client.isConnected(1)).toBe(false)
    expect(s.partner.accepted()).toBe(0)
  })

  test('drain sends GOAWAY, lets the open tunnel end, and refuses new ones', async () => {
    await using s = await scene(undefined, 'drain: {delay: 0s, deadline: 10s}')
    s.client.connect(1, s.target)
    await expect.poll(() => s.client.isConnected(1)).toBe(true)
    const drained = s.gateway.gateway.drain()
    await expect.poll(() => s.client.of(0, FRAME.GOAWAY).length).toBeGreaterThan(0)
    s.client.send(FRAME.DATA, FLAG.END_STREAM, 1, 'last words')
    await expect.poll(() => s.sockets[0]?.how).toBe('end')
    s.sockets[0]?.socket.end()
    await drained
    expect(s.gateway.records()[0]?.outcome.code).toBe('closed')
  })
})
