// Listeners without an HTTP answer refuse in the words of the protocol that `startTls` names, and say no more than HTTP would.
import tls from 'node:tls'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type FakePostgres, startFakePostgres } from '../../fixtures/postgres-server.ts'
import { toLoopback } from '../../fixtures/partner.ts'
import type { Issued } from '../../fixtures/pki.ts'
import * as wire from '../../fixtures/postgres-wire.ts'
import { connectRaw, readToEnding } from '../../fixtures/sockets.ts'
import { createWorld, startTestGateway, type TestGateway, type World } from '../../fixtures/world.ts'

const stack = new AsyncDisposableStack()
let world: World
let database: FakePostgres
let gateway: TestGateway
let payments: Issued

beforeAll(async () => {
  world = stack.use(await createWorld())
  const certificate = await world.partnerCa.issue({ cn: 'orders.test', dns: ['orders.test'] })
  database = stack.use(await startFakePostgres(certificate))
  payments = await world.svid('/payments')
  const orders = (name: string, more: string) =>
    `  - {name: ${name}, hosts: [${name}.test], ports: [${database.port}], allowAddresses: [127.0.0.0/8], ${more}}`
  gateway = stack.use(
    await startTestGateway(world, {
      listeners: `  - {name: fixed, address: "127.0.0.1:0", protocol: fixed, destination: orders, startTls: postgres}
  - {name: inside, address: "127.0.0.1:0", protocol: fixed, destination: orders}
  - {name: broken, address: "127.0.0.1:0", protocol: fixed, destination: broken, startTls: postgres}
  - {name: private, address: "127.0.0.1:0", protocol: fixed, destination: private}
  - name: names
    address: "127.0.0.1:0"
    protocol: sni
    serverNames: {orders.egress.internal: orders, plain.egress.internal: plain}`,
      destinations: [
        orders('orders', 'roots: file:pki/partner-ca.pem, startTls: postgres'),
        orders('broken', 'roots: file:pki/bundle.pem, startTls: postgres'),
        `  - {name: private, hosts: [private.test], ports: [5432], startTls: postgres}`,
        orders('plain', 'tls: opaque'),
      ].join('\n'),
      policy:
        '@id("p") permit (principal in Path::"spiffe://example.org", action, resource) unless { principal == Workload::"spiffe://example.org/other" };',
      resolve: toLoopback,
    }),
  )
})
afterAll(() => stack.disposeAsync())

interface Asking {
  readonly listener: string
  readonly svid: Issued | null
  readonly sent?: Buffer
  readonly servername?: string
}

/** What comes back until the end. */
async function ask({ listener, svid, sent = wire.STARTUP, servername }: Asking) {
  const before = gateway.records().length
  const raw = await connectRaw(gateway.portOf(listener))
  if (listener === 'fixed' || listener === 'broken') {
    raw.write(wire.SSL_REQUEST)
    await new Promise((resolve) => raw.once('data', resolve))
    raw.pause()
  }
  const socket = tls.connect({
    ...{ socket: raw, ca: world.root.pem, checkServerIdentity: () => undefined },
    ...(svid === null ? {} : { cert: svid.chainPem, key: svid.keyPem }),
    ...(servername === undefined ? {} : { servername }),
  })
  socket.on('error', () => {})
  await new Promise<void>((resolve) => socket.once('secureConnect', resolve))
  const ending = readToEnding(socket)
  if (sent.length > 0) socket.write(sent)
  const { how, data } = await ending
  socket.destroy()
  const record = (await gateway.closed(before + 1))[before]
  return { how, data, code: record?.outcome.code, id: record?.id, by: record?.outcome.by }
}

describe('a refused client of PostgreSQL', () => {
  test.each<[string, Omit<Asking, 'svid'>, string | null, string, string, string]>([
    [
      'without a certificate is told that',
      { listener: 'fixed' },
      null,
      'client-certificate-missing',
      '28000',
      'sallyport refused this client: client-certificate-missing',
    ],
    [
      'whom policy denies is told no more than that',
      { listener: 'fixed' },
      '/other',
      'policy-denied',
      '28000',
      'sallyport denied this connection',
    ],
    [
      'whose destination has a private address is told just the same',
      { listener: 'private' },
      '/payments',
      'address-loopback',
      '28000',
      'sallyport denied this connection',
    ],
    [
      'whose database shows a wrong certificate is told to come again, and not why',
      { listener: 'broken' },
      '/payments',
      'upstream-tls-certificate-untrusted',
      '57P03',
      'sallyport cannot open this connection now',
    ],
    [
      'on an sni listener is told by the destination’s startTls',
      { listener: 'names', servername: 'orders.egress.internal' },
      '/other',
      'policy-denied',
      '28000',
      'sallyport denied this connection',
    ],
  ])('%s', async (_, asking, id, code, sqlState, text) => {
    const svid = id === null ? null : await world.svid(id)
    const asked = await ask({ ...asking, svid })
    expect(asked).toMatchObject({ how: 'end', code })
    expect(asked.data).toEqual(wire.error(sqlState, `${text} (session ${asked.id})`))
  })

  test('that asks for encryption inside its tunnel first is told no, and then why', async () => {
    const sent = Buffer.concat([wire.SSL_REQUEST, wire.STARTUP])
    const { data, id, how } = await ask({ listener: 'inside', svid: await world.svid('/other'), sent })
    const words = wire.error('28000', `sallyport denied this connection (session ${id})`)
    expect({ how, data }).toEqual({ how: 'end', data: Buffer.concat([Buffer.from('N'), words]) })
  })

  test.each<[string, Buffer, 'end' | 'reset']>([
    ['a CancelRequest is not answered', wire.cancelRequest(Buffer.alloc(8)), 'end'],
    ['HTTP is not answered', Buffer.from('GET / HTTP/1.1\r\n\r\n'), 'end'],
    ['silence is reset in the end', Buffer.alloc(0), 'reset'],
    ['half a packet is reset in the end', wire.STARTUP.subarray(0, 9), 'reset'],
  ])('%s', async (_, sent, how) => {
    const asked = await ask({ listener: 'fixed', svid: null, sent })
    expect(asked).toMatchObject({ how, data: Buffer.alloc(0), code: 'client-certificate-missing' })
  })

  test('no refusal has dialled anything but for the one of the certificate', () => {
    expect(database.told()).toEqual([])
  })
})

test('a destination without startTls refuses by a reset', async () => {
  const servername = 'plain.egress.internal'
  const { how, data } = await ask({ listener: 'names', svid: await world.svid('/other'), servername })
  expect({ how, data }).toEqual({ how: 'reset', data: Buffer.alloc(0) })
})

test('who is allowed comes through: mTLS in, TLS out, PostgreSQL in plaintext between', async () => {
  const raw = await connectRaw(gateway.portOf('inside'))
  const { chainPem: cert, keyPem: key } = payments
  const socket = tls.connect({
    socket: raw,
    cert,
    key,
    ca: world.root.pem,
    checkServerIdentity: () => undefined,
  })
  const ending = readToEnding(socket)
  socket.end(Buffer.concat([wire.SSL_REQUEST, wire.STARTUP]))
  const { how, data } = await ending
  expect(how).toBe('end')
  expect(data).toEqual(Buffer.concat([Buffer.from('N'), wire.greeting(Buffer.alloc(8, 7))]))
})
