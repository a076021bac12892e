// HTTP/2 clients that mean harm. Whatever they send, the connection ends or the stream is refused, nothing grows without
// bound, each request has one record, nothing stays open, and somebody else's tunnel goes on.
import { afterEach, describe, expect, test, vi } from 'vitest'
import { connect, connectTls } from '../../fixtures/connect-client.ts'
import { heldMemory } from '../../fixtures/heap.ts'
import {
  CANCEL,
  connectFields,
  encodeFields,
  encodeFrame,
  encodeInteger,
  FLAG,
  FRAME,
  INTERNAL_ERROR,
  PROTOCOL_ERROR,
  RawH2,
  uint32,
} from '../../fixtures/h2-raw.ts'
import { type PartnerHandler, partnerDestination, startPartner, toLoopback } from '../../fixtures/partner.ts'
import { createWorld, startTestGateway } from '../../fixtures/world.ts'

const FLOW_CONTROL_ERROR = 3
const STREAM_CLOSED = 5
const ENHANCE_YOUR_CALM = 0xb
const PADDED = 8
const MiB = 1024 * 1024

/** A gateway, a bystander's open tunnel to an echo, and an attacker with an open tunnel to a partner on stream 1. */
async function scene(handler: PartnerHandler = (socket) => void socket.resume()) {
  const stack = new AsyncDisposableStack()
  const world = stack.use(await createWorld())
  const partner = stack.use(await startPartner(world, handler))
  const other = stack.use(await startPartner(world, (socket) => socket.pipe(socket), { name: 'other.test' }))
  const gateway = stack.use(
    await startTestGateway(world, {
      destinations: `${partnerDestination(partner.port)}
  - name: other
    hosts: [other.test]
    ports: [${other.port}]
    roots: file:pki/partner-ca.pem
    allowAddresses: [127.0.0.0/8]
  - {name: silent, hosts: [silent.test], ports: [443]}`,
      resolve: (host) => (host === 'silent.test' ? new Promise(() => {}) : toLoopback()),
    }),
  )
  const target = `partner.test:${partner.port}`
  const bystander = await connect(world, gateway.port, {
    svid: await world.svid('/bystander'),
    target: `other.test:${other.port}`,
  })
  const svid = await world.svid('/attacker')
  const socket = await connectTls(world, gateway.port, { svid, tls: { ALPNProtocols: ['h2'] } })
  stack.defer(() => void socket.destroy())
  const client = new RawH2(socket)
  client.connect(1, target)
  await expect.poll(() => client.isConnected(1)).toBe(true)
  return {
    ...{ world, partner, gateway, target, client },
    async echo(text: string) {
      const echoed = new Promise((resolve) =>
        bystander.socket.once('data', (chunk: Buffer) => resolve(String(chunk))),
      )
      bystander.socket.resume()
      bystander.socket.write(text)
      expect(await echoed).toBe(text)
    },
    leave: () => void bystander.socket.end(),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
}

type Scene = Awaited<ReturnType<typeof scene>>

const many = (count: number, make: (index: number) => Buffer) =>
  Buffer.concat(Array.from({ length: count }, (_, index) => make(index)))
const idOf = (index: number) => 2 * index + 3
const open = (index: number, target: string, flags: number = FLAG.END_HEADERS) =>
  encodeFrame(FRAME.HEADERS, flags, idOf(index), encodeFields(connectFields(target)))

/** Writes `make(0)`, `make(1)` and so on, each when the gateway has answered what came before. */
async function inTurn(client: RawH2, count: number, make: (index: number) => Buffer): Promise<void> {
  for (let index = 0; index < count && !client.closed; index += 1) {
    const answered = client.of(0, FRAME.PING).length
    client.socket.write(Buffer.concat([make(index), encodeFrame(FRAME.PING, 0, 0, Buffer.alloc(8))]))
    await expect
      .poll(() => client.closed || client.of(0, FRAME.PING).length > answered, { interval: 1 })
      .toBe(true)
  }
}

interface Attack {
  readonly act: (client: RawH2, target: string) => Promise<void> | void
  /** Of GOAWAY, one of them. */
  readonly code: readonly number[]
  /** Codes that the attacker's records may have; most of his requests, the open tunnel among them. */
  readonly records: readonly [readonly string[], number]
}

const LOST = ['relay-client-failed', 'request-abandoned']
const write = (make: (target: string) => Buffer): Attack['act'] => {
  return (client, target) => void client.socket.write(make(target))
}

const ATTACKS: Readonly<Record<string, Attack>> = {
  'rapid reset, all at once (CVE-2023-44487)': {
    act: write((target) =>
      many(3000, (index) =>
        Buffer.concat([open(index, target), encodeFrame(FRAME.RST_STREAM, 0, idOf(index), uint32(CANCEL))]),
      ),
    ),
    code: [INTERNAL_ERROR, ENHANCE_YOUR_CALM],
    records: [LOST, 260],
  },
  'rapid reset, one after the other': {
    act: (client, target) =>
      inTurn(client, 1000, (index) =>
        Buffer.concat([open(index, target), encodeFrame(FRAME.RST_STREAM, 0, idOf(index), uint32(CANCEL))]),
      ),
    code: [ENHANCE_YOUR_CALM],
    records: [LOST, 400],
  },
  'a flood of SETTINGS': {
    act: write(() => many(1000, () => encodeFrame(FRAME.SETTINGS, 0, 0))),
    code: [ENHANCE_YOUR_CALM],
    records: [LOST, 1],
  },
  'SETTINGS of many entries': {
    act: write(() =>
      encodeFrame(
        FRAME.SETTINGS,
        0,
        0,
        many(40, () => Buffer.from([0, 3, 0, 0, 0, 9])),
      ),
    ),
    code: [ENHANCE_YOUR_CALM],
    records: [LOST, 1],
  },
  'confirmations of SETTINGS that nobody sent': {
    act: write(() => many(100, () => encodeFrame(FRAME.SETTINGS, FLAG.ACK, 0))),
    code: [PROTOCOL_ERROR],
    records: [LOST, 1],
  },
  'a flood of PING': {
    act: write(() => many(20_000, () => encodeFrame(FRAME.PING, 0, 0, Buffer.alloc(8)))),
    code: [ENHANCE_YOUR_CALM],
    records: [LOST, 1],
  },
  'a flood of empty DATA': {
    act: write(() => many(3000, () => encodeFrame(FRAME.DATA, 0, 1))),
    code: [INTERNAL_ERROR],
    records: [LOST, 1],
  },
  'a flood of DATA that is padding alone': {
    act: write(() => many(30_000, () => encodeFrame(FRAME.DATA, PADDED, 1, Buffer.of(0)))),
    code: [ENHANCE_YOUR_CALM],
    records: [LOST, 1],
  },
  'a flood of PRIORITY': {
    act: write(() => many(20_000, () => encodeFrame(FRAME.PRIORITY, 0, 3, Buffer.from([0, 0, 0, 0, 16])))),
    code: [ENHANCE_YOUR_CALM],
    records: [LOST, 1],
  },
  'a flood of frames that nobody knows': {
    act: write(() => many(20_000, () => encodeFrame(0x42, 0, 0, 'xxxxxxxx'))),
    code: [ENHANCE_YOUR_CALM],
    records: [LOST, 1],
  },
  'CONTINUATION without end (CVE-2024-27316)': {
    act: write((target) =>
      Buffer.concat([
        open(0, target, 0),
        many(1000, () => encodeFrame(FRAME.CONTINUATION, 0, idOf(0), encodeFields([['a', 'b']]))),
      ]),
    ),
    code: [INTERNAL_ERROR],
    records: [LOST, 1],
  },
  'empty CONTINUATION without end': {
    act: write((target) =>
      Buffer.concat([open(0, target, 0), many(1000, () => encodeFrame(FRAME.CONTINUATION, 0, idOf(0)))]),
    ),
    code: [INTERNAL_ERROR],
    records: [LOST, 1],
  },
  '101 streams at once': {
    act: write((target) => many(100, (index) => open(index, target))),
    code: [PROTOCOL_ERROR],
    records: [LOST, 100],
  },
  'a window that overflows': {
    act: write(() => many(2, () => encodeFrame(FRAME.WINDOW_UPDATE, 0, 0, uint32(0x7fffffff)))),
    code: [FLOW_CONTROL_ERROR],
    records: [LOST, 1],
  },
  "a stream's window that overflows (CVE-2025-8671)": {
    act: write((target) =>
      many(500, (index) =>
        Buffer.concat([
          open(index, target),
          encodeFrame(FRAME.WINDOW_UPDATE, 0, idOf(index), uint32(0x7fffffff)),
        ]),
      ),
    ),
    code: [FLOW_CONTROL_ERROR],
    records: [LOST, 2],
  },
  'WINDOW_UPDATE of nothing (CVE-2025-8671)': {
    act: write((target) =>
      many(500, (index) =>
        Buffer.concat([open(index, target), encodeFrame(FRAME.WINDOW_UPDATE, 0, idOf(index), uint32(0))]),
      ),
    ),
    code: [PROTOCOL_ERROR],
    records: [LOST, 2],
  },
  'DATA behind the end of a stream (CVE-2025-8671)': {
    act: write((target) =>
      many(500, (index) =>
        Buffer.concat([
          open(index, target, FLAG.END_HEADERS | FLAG.END_STREAM),
          encodeFrame(FRAME.DATA, 0, idOf(index), 'x'),
        ]),
      ),
    ),
    code: [STREAM_CLOSED],
    records: [LOST, 2],
  },
  'malformed requests, one after the other (CVE-2025-8671)': {
    act: (client, target) => {
      const fields = [...connectFields(target), [':path', '/'], [':scheme', 'https']] as const
      return inTurn(client, 1000, (index) =>
        encodeFrame(FRAME.HEADERS, FLAG.END_HEADERS, idOf(index), encodeFields(fields)),
      )
    },
    code: [INTERNAL_ERROR],
    records: [LOST, 1],
  },
  'DATA on a stream that was never opened': {
    act: write(() => encodeFrame(FRAME.DATA, 0, 101, 'x')),
    code: [PROTOCOL_ERROR],
    records: [LOST, 1],
  },
  'a stream of an even number': {
    act: write((target) =>
      encodeFrame(FRAME.HEADERS, FLAG.END_HEADERS, 2, encodeFields(connectFields(target))),
    ),
    code: [PROTOCOL_ERROR],
    records: [LOST, 1],
  },
  PUSH_PROMISE: {
    act: write((target) =>
      encodeFrame(
        FRAME.PUSH_PROMISE,
        FLAG.END_HEADERS,
        1,
        Buffer.concat([uint32(2), encodeFields(connectFields(target))]),
      ),
    ),
    code: [PROTOCOL_ERROR],
    records: [LOST, 1],
  },
}

async function nothingOpen({ gateway }: Scene): Promise<void> {
  for (const name of ['connections_open', 'sessions_open', 'sources', 'h2_buffered_bytes']) {
    await expect.poll(() => gateway.metric(`sallyport_${name}`), { message: name, timeout: 5000 }).toBe(0)
  }
}

describe('the connection is ended by', () => {
  test.for(Object.entries(ATTACKS))(
    '%s',
    async ([
      ,
      {
        act,
        code,
        records: [codes, most],
      },
    ]) => {
      await using s = await scene()
      await s.echo('before')
      const before = heldMemory()
      await act(s.client, s.target)
      await s.echo('meanwhile')
      await expect.poll(() => s.client.closed, { timeout: 10_000 }).toBe(true)
      if (s.client.goAwayCode() !== null) expect(code).toContain(s.client.goAwayCode())
      s.client.frames.length = 0
      expect(heldMemory() - before).toBeLessThan(16 * MiB)
      // The attacker has not closed his end; the gateway is rid of him all the same.
      await expect.poll(() => s.gateway.metric('sallyport_connections_open'), { timeout: 10_000 }).toBe(1)
      const records = s.gateway.records()
      expect(new Set(records.map(({ id }) => id)).size).toBe(records.length)
      for (const { outcome } of records) expect(codes).toContain(outcome.code)
      expect(records.length).toBeLessThanOrEqual(most)
      expect(await s.gateway.metric('sallyport_sessions_total')).toBe(records.length)
      await s.echo('after')
      s.leave()
      await nothingOpen(s)
    },
  )
})

describe('the stream is refused, and the connection goes on, for', () => {
  const fields = (count: number, value: string) =>
    Array.from({ length: count }, (_, index) => [`x-${index}`, value] as const)
  test.for<[string, (target: string) => Buffer]>([
    [
      'more header fields than there may be',
      (target) =>
        encodeFrame(
          FRAME.HEADERS,
          FLAG.END_HEADERS,
          3,
          encodeFields([...connectFields(target), ...fields(120, 'x')]),
        ),
    ],
    [
      'header fields of more than 16 KiB',
      (target) =>
        Buffer.concat([
          open(0, target, 0),
          encodeFrame(FRAME.CONTINUATION, 0, 3, encodeFields(fields(10, 'x'.repeat(1000)))),
          encodeFrame(FRAME.CONTINUATION, FLAG.END_HEADERS, 3, encodeFields(fields(10, 'y'.repeat(1000)))),
        ]),
    ],
    [
      'a few bytes that stand for megabytes of header fields',
      (target) => {
        // A field of 4000 bytes is put into the table, and then named 3000 times.
        const stored = [
          Buffer.of(0x40),
          encodeInteger(1),
          Buffer.from('a'),
          encodeInteger(4000),
          Buffer.alloc(4000, 'x'),
        ]
        const named = Buffer.alloc(3000, 0xbe)
        const block = Buffer.concat([encodeFields(connectFields(target)), ...stored, named])
        return encodeFrame(FRAME.HEADERS, FLAG.END_HEADERS, 3, block)
      },
    ],
  ])('%s', async ([, make]) => {
    await using s = await scene()
    const before = heldMemory()
    s.client.socket.write(make(s.target))
    await expect.poll(() => s.client.resetCode(3)).toBe(ENHANCE_YOUR_CALM)
    expect(heldMemory() - before).toBeLessThan(16 * MiB)
    s.client.connect(5, s.target)
    await expect.poll(() => s.client.isConnected(5)).toBe(true)
    expect(s.partner.accepted()).toBe(2)
    expect(s.client.closed).toBe(false)
    s.client.socket.destroy()
    s.leave()
    await nothingOpen(s)
  })
})

describe('nothing grows where', () => {
  afterEach(() => void vi.useRealTimers())

  test('asks without end for what it is refused: no more requests are taken, and its open tunnel goes on', async () => {
    await using s = await scene((socket) => void socket.pipe(socket))
    const { client } = s
    let asked = 0
    while (client.goAwayCode() === null && asked < 2_000) {
      const streams = Array.from({ length: 50 }, (_, at) => 3 + 2 * (asked + at))
      for (const stream of streams) client.connect(stream, 'nowhere.test:443')
      asked += streams.length
      const answered = () => streams.every((stream) => client.data(stream).length > 0)
      await expect.poll(() => answered() || client.goAwayCode() !== null).toBe(true)
      for (const stream of streams) client.reset(stream, CANCEL)
    }
    await expect.poll(() => client.goAwayCode()).toBe(0)
    expect(asked).toBeLessThan(1_200)
    client.send(FRAME.DATA, 0, 1, 'still here')
    await expect.poll(() => client.data(1).toString()).toBe('still here')
    client.connect(9_001, 'nowhere.test:443')
    await s.echo('a bystander')
    expect(client.data(9_001)).toHaveLength(0)
    expect(s.gateway.records().length).toBeLessThanOrEqual(asked)
  })

  test('a client reads nothing at all, asks for all the more, and is gone without a word', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] })
    const chunk = Buffer.alloc(64 * 1024)
    let poured = 0
    await using s = await scene((socket) => {
      const pour = () => {
        do poured += 1
        while (!socket.destroyed && socket.write(chunk))
      }
      socket.on('drain', pour)
      pour()
    })
    const before = heldMemory()
    const { socket } = s.client
    socket.pause()
    for (const stream of [0, 1]) {
      s.client.send(FRAME.WINDOW_UPDATE, 0, stream, uint32(0x7fff0000 - 65_535))
    }
    // Until every buffer on the way is full.
    const seen: number[] = []
    const steady = () => seen.push(poured) > 5 && new Set(seen.slice(-5)).size === 1
    await expect.poll(steady, { interval: 100, timeout: 10_000 }).toBe(true)
    socket.write(many(100_000, () => encodeFrame(FRAME.PING, 0, 0, Buffer.alloc(8))))
    await s.echo('meanwhile')
    expect(heldMemory() - before).toBeLessThan(16 * MiB)
    // Node drops the error of a write that fails here, and reads no more: only a PING without answer tells (24.21.0).
    socket.destroy()
    s.leave()
    for (let seconds = 0; seconds < 30; seconds += 1) {
      vi.advanceTimersByTime(1000)
      await new Promise((resolve) => setImmediate(resolve))
    }
    await nothingOpen(s)
  })

  test('WINDOW_UPDATE comes by the hundred thousand', async () => {
    await using s = await scene()
    const before = heldMemory()
    s.client.socket.write(many(200_000, (index) => encodeFrame(FRAME.WINDOW_UPDATE, 0, index % 2, uint32(1))))
    await s.echo('meanwhile')
    s.client.connect(3, s.target)
    await expect.poll(() => s.client.isConnected(3), { timeout: 10_000 }).toBe(true)
    expect(heldMemory() - before).toBeLessThan(16 * MiB)
    s.client.socket.destroy()
    s.leave()
    await nothingOpen(s)
  })

  test('windows are filled with frames of one byte, and nobody reads them', async () => {
    await using s = await scene()
    const { socket } = s.client
    const filled = 200 * 1024
    const before = heldMemory()
    for (const stream of [3, 5, 7]) {
      s.client.connect(stream, 'silent.test:443')
      const frames = many(filled, () => encodeFrame(FRAME.DATA, 0, stream, 'x'))
      if (!socket.write(frames)) await new Promise((resolve) => socket.once('drain', resolve))
    }
    await expect.poll(() => s.gateway.metric('sallyport_h2_buffered_bytes')).toBe(3 * filled)
    expect(heldMemory() - before).toBeLessThan(8 * MiB)
    socket.destroy()
    s.leave()
    await nothingOpen(s)
  })
})

describe('a connection without any request has one record, where it', () => {
  test.for<[string, Buffer, string]>([
    ['speaks another protocol', Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n'), 'request-malformed'],
    [
      'breaks the protocol',
      Buffer.concat([
        Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
        encodeFrame(FRAME.SETTINGS, 0, 0),
        encodeFrame(FRAME.DATA, 0, 1, 'x'),
      ]),
      'request-malformed',
    ],
    [
      'floods',
      Buffer.concat([
        Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
        many(1000, () => encodeFrame(FRAME.SETTINGS, 0, 0)),
      ]),
      'limit-frames',
    ],
  ])('%s', async ([, bytes, code]) => {
    await using s = await scene()
    const svid = await s.world.svid('/attacker')
    const socket = await connectTls(s.world, s.gateway.port, { svid, tls: { ALPNProtocols: ['h2'] } })
    socket.write(bytes)
    socket.resume()
    expect((await s.gateway.closed(1))[0]).toMatchObject({
      workload: 'spiffe://example.org/attacker',
      requested: null,
      outcome: { code },
    })
    socket.destroy()
    s.client.socket.destroy()
    s.leave()
    await nothingOpen(s)
    expect(s.gateway.records()).toHaveLength(3)
  })
})

describe('a slow tunnel does not stall another on its connection', () => {
  test('where the client does not read the slow one', async () => {
    await using s = await scene((socket) => {
      socket.on('data', (bytes: Buffer) =>
        socket.write(bytes.length === 1 ? Buffer.alloc(1024 * 1024) : bytes),
      )
    })
    s.client.connect(3, s.target)
    await expect.poll(() => s.client.isConnected(3)).toBe(true)
    // The connection's window is wide; that of stream 1 stays at its 64 KiB.
    s.client.send(FRAME.WINDOW_UPDATE, 0, 0, uint32(1024 * 1024))
    s.client.send(FRAME.DATA, 0, 1, 'x')
    await expect.poll(() => s.client.data(1).length).toBe(65_535)
    for (const text of ['hello', 'and again']) {
      s.client.send(FRAME.DATA, 0, 3, text)
      await expect.poll(() => s.client.data(3).toString().endsWith(text)).toBe(true)
    }
    // When it reads again, nothing is missing.
    s.client.send(FRAME.WINDOW_UPDATE, 0, 1, uint32(1024 * 1024))
    await expect.poll(() => s.client.data(1).length, { timeout: 10_000 }).toBe(1024 * 1024)
    s.client.socket.destroy()
    s.leave()
    await nothingOpen(s)
  })

  test('where the service does not read the slow one', async () => {
    let served = 0
    await using s = await scene((socket) => {
      served += 1
      if (served === 1) socket.pause()
      else socket.pipe(socket)
    })
    s.client.connect(3, s.target)
    await expect.poll(() => s.client.isConnected(3)).toBe(true)
    // All that stream 1 may send; what sockets took is given back, so its window is never far from used up.
    for (let count = 0; count < 16; count += 1) s.client.send(FRAME.DATA, 0, 1, Buffer.alloc(16 * 1024))
    await expect.poll(() => s.gateway.metric('sallyport_h2_buffered_bytes')).toBeGreaterThanOrEqual(0)
    for (const text of ['hello', 'and again']) {
      s.client.send(FRAME.DATA, 0, 3, text)
      await expect.poll(() => s.client.data(3).toString().endsWith(text)).toBe(true)
    }
    s.client.socket.destroy()
    s.leave()
    await nothingOpen(s)
  })
})
