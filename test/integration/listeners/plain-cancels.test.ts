// A CancelRequest without TLS on a fixed listener (Ctrl-C in psql): taken for the workload of the session whose key it shows
// and for nobody otherwise, and never answered.
import { once } from 'node:events'
import tls from 'node:tls'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { toLoopback } from '../../fixtures/partner.ts'
import type { Issued } from '../../fixtures/pki.ts'
import { type FakePostgres, startFakePostgres } from '../../fixtures/postgres-server.ts'
import * as wire from '../../fixtures/postgres-wire.ts'
import { header } from '../../fixtures/proxy-header.ts'
import { connectRaw, readToEnding } from '../../fixtures/sockets.ts'
import { createWorld, startTestGateway, type TestGateway, type World } from '../../fixtures/world.ts'

const KEY = wire.key(4711, Buffer.from('5ec2e7a1', 'hex'))
const LONG = wire.key(4711, Buffer.alloc(256, 0x5e))

const stack = new AsyncDisposableStack()
let world: World
let certificate: Issued
let database: FakePostgres
let gateway: TestGateway
let other: Issued
let payments: Issued

beforeAll(async () => {
  world = stack.use(await createWorld())
  certificate = await world.partnerCa.issue({ dns: ['orders.test'] })
  payments = await world.svid('/payments')
  other = await world.svid('/other')
  const shown = await world.partnerCa.issue({ cn: 'payments-at-partner' })
  await world.file('pki/payments.pem', shown.chainPem)
  await world.file('pki/payments.key', shown.keyPem)
})
afterAll(() => stack.disposeAsync())

const ALL = '@id("p") permit (principal is Workload, action, resource);'
const FROM = 'proxyProtocol: {required: true, from: [127.0.0.0/8]}'

async function setUp(key: Buffer, more: { readonly policy: string; readonly now: () => Date } | null = null) {
  const held = new AsyncDisposableStack()
  database = held.use(
    await startFakePostgres(certificate, { key, requestCert: true, rejectUnauthorized: false }),
  )
  gateway = held.use(
    await startTestGateway(world, {
      listeners: ['orders', 'twin', `behind, ${FROM}`]
        .map(
          (name) =>
            `  - {address: "127.0.0.1:0", protocol: fixed, destination: db, startTls: postgres, name: ${name}}`,
        )
        .join('\n'),
      destinations: `  - name: db
    hosts: [orders.test]
    ports: [${database.port}]
    startTls: postgres
    roots: file:pki/partner-ca.pem
    allowAddresses: [127.0.0.0/8]
    clientCertificates: [{workloads: ["spiffe://example.org/payments"], certificate: file:pki/payments.pem, key: file:pki/payments.key}]`,
      policy: ALL,
      resolve: toLoopback,
      ...more,
    }),
  )
  return held
}

beforeEach(async () => {
  const held = await setUp(KEY)
  return () => held.disposeAsync()
})

const NONE = Buffer.alloc(0)

/** A session that has its key. */
async function live(svid: Issued, listener = 'orders', before: Buffer = NONE): Promise<tls.TLSSocket> {
  const raw = await connectRaw(gateway.portOf(listener))
  raw.write(Buffer.concat([before, wire.SSL_REQUEST]))
  await once(raw, 'data')
  raw.pause()
  const socket = tls.connect({
    ...{ socket: raw, ca: world.root.pem, checkServerIdentity: () => undefined },
    ...{ cert: svid.chainPem, key: svid.keyPem },
  })
  socket.on('error', () => {})
  await once(socket, 'secureConnect')
  const told = once(socket, 'data')
  socket.write(wire.STARTUP)
  await told
  return socket
}

/** What comes of a packet on a connection of its own. */
async function say(packet: Buffer, listener = 'orders') {
  const raw = await connectRaw(gateway.portOf(listener))
  const ending = readToEnding(raw)
  raw.write(packet)
  const { how, data } = await ending
  raw.destroy()
  return { how, said: data.length }
}

const codes = () => gateway.records().map(({ outcome }) => outcome.code)
const cancels = () => database.told().filter((told) => told.length > 0 && !told.equals(wire.STARTUP))

test('cancels the query of a session from the same address, as its workload', async () => {
  const session = await live(payments)
  expect(await say(wire.cancelRequest(KEY))).toEqual({ how: 'end', said: 0 })
  expect(cancels()).toEqual([wire.cancelRequest(KEY)])
  expect(database.clients).toEqual(['payments-at-partner', 'payments-at-partner'])
  expect((await gateway.closed(1))[0]).toMatchObject({
    workload: 'spiffe://example.org/payments',
    credential: 'cancel-key',
    serialNumber: null,
    listener: 'orders',
    requested: { host: 'orders.test', port: database.port },
    destination: 'db',
    decision: { result: 'allow', policies: ['p'] },
    outcome: { code: 'closed' },
    timings: { handshakeMs: null },
  })
  // The session itself is left alone.
  const echo = once(session, 'data')
  session.write('more')
  expect(String((await echo)[0])).toBe('more')
  session.destroy()
})

test('may come byte by byte, with the long secret of protocol 3.2', async () => {
  await using _held = await setUp(LONG)
  const session = await live(payments)
  const raw = await connectRaw(gateway.portOf('orders'))
  const ending = readToEnding(raw)
  for (const byte of wire.cancelRequest(LONG)) {
    raw.write(Buffer.of(byte))
    await new Promise((resolve) => setImmediate(resolve))
  }
  expect((await ending).how).toBe('end')
  expect(cancels()).toEqual([wire.cancelRequest(LONG)])
  for (const socket of [session, raw]) socket.destroy()
})

test('of two workloads at one address is each its own', async () => {
  const first = await live(payments)
  const second = await live(other)
  // The fake gives everybody one key, and the last who got it is who has it.
  expect((await say(wire.cancelRequest(KEY))).how).toBe('end')
  expect((await gateway.closed(1))[0]?.workload).toBe('spiffe://example.org/other')
  for (const socket of [first, second]) socket.destroy()
})

describe('is refused without a word', () => {
  test.each<[string, Buffer]>([
    ['with another secret', wire.key(4711, Buffer.from('5ec2e7a2', 'hex'))],
    ['of another process', wire.key(4712, KEY.subarray(4))],
    ['with more behind the secret', Buffer.concat([KEY, Buffer.alloc(4)])],
  ])('%s', async (_, key) => {
    const session = await live(payments)
    expect(await say(wire.cancelRequest(key))).toEqual({ how: 'reset', said: 0 })
    expect((await gateway.closed(1))[0]).toMatchObject({
      workload: null,
      upstream: null,
      outcome: { code: 'request-cancel-unknown', by: 'client' },
    })
    expect(cancels()).toEqual([])
    session.destroy()
  })

  test.each<[string, Buffer]>([
    ['with a short secret', wire.cancelRequest(KEY.subarray(0, 7))],
    ['with too long a secret', wire.cancelRequest(Buffer.alloc(4 + 257))],
    ['with bytes behind it', Buffer.concat([wire.cancelRequest(KEY), wire.STARTUP])],
  ])('%s', async (_, packet) => {
    const session = await live(payments)
    expect(await say(packet)).toEqual({ how: 'reset', said: 0 })
    expect((await gateway.closed(1))[0]?.outcome.code).toBe('request-start-tls')
    expect(cancels()).toEqual([])
    session.destroy()
  })

  test('behind a refused GSSENCRequest', async () => {
    const session = await live(payments)
    const raw = await connectRaw(gateway.portOf('orders'))
    raw.write(wire.GSSENC_REQUEST)
    await once(raw, 'data')
    const ending = readToEnding(raw)
    raw.write(wire.cancelRequest(KEY))
    expect((await ending).how).toBe('reset')
    expect((await gateway.closed(1))[0]?.outcome.code).toBe('request-start-tls')
    for (const socket of [session, raw]) socket.destroy()
  })

  test('on another listener', async () => {
    const session = await live(payments)
    expect((await say(wire.cancelRequest(KEY), 'twin')).how).toBe('reset')
    expect((await gateway.closed(1))[0]?.outcome.code).toBe('request-cancel-unknown')
    expect(cancels()).toEqual([])
    session.destroy()
  })

  test('from another address, as the balancer names it', async () => {
    const at = (ip: string) => header({ addresses: Buffer.from(`${ip}0a000107a11226ae`, 'hex') })
    const session = await live(payments, 'behind', at('0a000005'))
    const packet = wire.cancelRequest(KEY)
    expect((await say(Buffer.concat([at('0a000006'), packet]), 'behind')).how).toBe('reset')
    expect(codes()).toEqual(['request-cancel-unknown'])
    expect((await say(Buffer.concat([at('0a000005'), packet]), 'behind')).how).toBe('end')
    expect(cancels()).toEqual([packet])
    session.destroy()
  })

  test('of a session that is over', async () => {
    const session = await live(payments)
    session.destroy()
    await gateway.closed(1)
    expect((await say(wire.cancelRequest(KEY))).how).toBe('reset')
    // Of nobody, by the listener itself: the way out, which forgets keys too, is not asked.
    expect((await gateway.closed(2))[1]).toMatchObject({
      workload: null,
      upstream: null,
      outcome: { code: 'request-cancel-unknown' },
    })
    expect(cancels()).toEqual([])
  })

  test('of a workload that policy denies by now', async () => {
    const until = Date.now() + 60_000
    const policy = `@id("p") permit (principal is Workload, action, resource) when { context.now < datetime("${new Date(until).toISOString()}") };`
    let now = until - 1
    await using _held = await setUp(KEY, { policy, now: () => new Date(now) })
    const session = await live(payments)
    now = until
    expect(await say(wire.cancelRequest(KEY))).toEqual({ how: 'reset', said: 0 })
    expect((await gateway.closed(1)).at(-1)).toMatchObject({
      workload: 'spiffe://example.org/payments',
      outcome: { code: 'policy-denied' },
    })
    expect(cancels()).toEqual([])
    session.destroy()
  })

  test('by who has guessed too often, even where the last guess is right', async () => {
    const session = await live(payments)
    for (let guess = 0; guess < 20; guess += 1) {
      await say(wire.cancelRequest(wire.key(4711, Buffer.of(0, 0, 0, guess))))
    }
    expect((await say(wire.cancelRequest(KEY))).how).toBe('reset')
    const records = await gateway.closed(21)
    expect(new Set(codes())).toEqual(new Set(['request-cancel-unknown']))
    expect(records.at(-1)?.outcome.detail).toContain('too many')
    expect(cancels()).toEqual([])
    session.destroy()
  })
})

test('leaves nothing open', async () => {
  const session = await live(payments)
  await say(wire.cancelRequest(KEY))
  session.destroy()
  await gateway.closed(2)
  await expect.poll(() => database.connections()).toBe(0)
  await expect.poll(() => gateway.metric('sallyport_sessions_open')).toBe(0)
})
