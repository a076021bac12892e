// startTls through the whole gateway: what a client is told, what the record says, and that policy comes before all of it.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { connect } from '../../fixtures/connect-client.ts'
import { toLoopback } from '../../fixtures/partner.ts'
import { type FakePostgres, startFakePostgres } from '../../fixtures/postgres-server.ts'
import * as wire from '../../fixtures/postgres-wire.ts'
import { readToEnding } from '../../fixtures/sockets.ts'
import { createWorld, startTestGateway, type TestGateway, type World } from '../../fixtures/world.ts'

const KEY = wire.key(4711, Buffer.from('5ec2e7a1', 'hex'))
const stack = new AsyncDisposableStack()
let world: World
let honest: FakePostgres
let plain: FakePostgres
let gateway: TestGateway

beforeAll(async () => {
  world = stack.use(await createWorld())
  const certificate = await world.partnerCa.issue({ dns: ['orders.test', 'plain.test'] })
  honest = stack.use(await startFakePostgres(certificate, { key: KEY }))
  plain = stack.use(await startFakePostgres(certificate, { answer: Buffer.from('N') }))
})
afterAll(() => stack.disposeAsync())

beforeEach(async () => {
  const entry = (name: string, { port }: FakePostgres) =>
    `  - {name: ${name}, hosts: [${name}.test], ports: [${port}], startTls: postgres, roots: file:pki/partner-ca.pem, allowAddresses: [127.0.0.0/8]}`
  gateway = await startTestGateway(world, {
    destinations: [entry('orders', honest), entry('plain', plain)].join('\n'),
    policy:
      '@id("p") permit (principal in Path::"spiffe://example.org", action, resource) unless { principal == Workload::"spiffe://example.org/other" };',
    resolve: toLoopback,
  })
  return () => gateway[Symbol.asyncDispose]()
})

async function tunnel(id: string, { port }: FakePostgres, name = 'orders') {
  return connect(world, gateway.port, { svid: await world.svid(id), target: `${name}.test:${port}` })
}

/** A session that has its key. */
async function live() {
  const { status, socket } = await tunnel('/payments', honest)
  expect(status).toBe(200)
  const greeted = new Promise((resolve) => socket.once('data', resolve))
  socket.resume()
  socket.write(wire.STARTUP)
  await greeted
  return socket
}

test('a server that has TLS switched off is a 502 before anything of the client goes up', async () => {
  const { status, head } = await tunnel('/payments', plain, 'plain')
  expect(status).toBe(502)
  expect(head).toContain('error=tls_protocol_error')
  expect((await gateway.closed(1))[0]).toMatchObject({
    upstream: { address: `127.0.0.1:${plain.port}`, tlsVersion: null },
    outcome: { code: 'upstream-starttls-refused', by: 'upstream' },
  })
  expect(plain.first).toEqual([wire.SSL_REQUEST])
})

describe('a CancelRequest', () => {
  test('with the key of a live session ends as an ordinary session', async () => {
    const session = await live()
    const { socket } = await tunnel('/reports', honest)
    const ending = readToEnding(socket)
    socket.write(wire.cancelRequest(KEY))
    expect((await ending).how).toBe('end')
    socket.destroy()
    expect((await gateway.closed(1))[0]?.workload).toBe('spiffe://example.org/reports')
    expect(honest.told().at(-1)).toEqual(wire.cancelRequest(KEY))
    session.destroy()
  })

  test('with a key that nobody has is a reset, and the record says what it was', async () => {
    const { status, socket } = await tunnel('/payments', honest)
    expect(status).toBe(200)
    const ending = readToEnding(socket)
    socket.write(wire.cancelRequest(wire.key(1, Buffer.alloc(4))))
    expect((await ending).how).toBe('reset')
    expect((await gateway.closed(1))[0]?.outcome).toMatchObject({
      code: 'request-cancel-unknown',
      by: 'gateway',
      detail: 'no open session has this process id and secret',
    })
    expect(honest.told().at(-1)).toEqual(Buffer.alloc(0))
  })

  test('is not heard of whom policy denies, whatever key he has', async () => {
    const session = await live()
    const before = honest.told().length
    expect((await tunnel('/other', honest)).status).toBe(403)
    expect(honest.told().length).toBe(before)
    session.destroy()
  })
})

test('TLS inside the tunnel is a reset, and the record says what was wrong', async () => {
  const { socket } = await tunnel('/payments', honest)
  const ending = readToEnding(socket)
  socket.write(Buffer.from('16030100', 'hex'))
  expect((await ending).how).toBe('reset')
  const { outcome } = (await gateway.closed(1))[0] ?? {}
  expect(outcome).toMatchObject({ code: 'request-start-tls', by: 'gateway' })
  expect(outcome?.detail).toContain('sslmode=disable')
})
