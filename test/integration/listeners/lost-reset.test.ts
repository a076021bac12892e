// A client that resets its connection in the moment in which its handshake is over, when Node may lose the reset.
import net from 'node:net'
import tls from 'node:tls'
import { expect, test } from 'vitest'
import { partnerDestination, startPartner, toLoopback } from '../../fixtures/partner.ts'
import { createWorld, startTestGateway, type World } from '../../fixtures/world.ts'

const LISTENERS = `  - {name: proxy, address: "127.0.0.1:0", protocol: connect}
  - {name: names, address: "127.0.0.1:0", protocol: sni, serverNames: {bank.egress.internal: partner}}`

/** A workload that begins its handshake. */
async function dial(world: World, port: number): Promise<{ raw: net.Socket; client: tls.TLSSocket }> {
  const { chainPem, keyPem } = await world.svid('/payments')
  const raw = net.connect({ host: '127.0.0.1', port })
  raw.on('error', () => {})
  const client = tls.connect({
    socket: raw,
    servername: 'bank.egress.internal',
    checkServerIdentity: () => undefined,
    ...{ ca: world.root.pem, cert: chainPem, key: keyPem },
  })
  client.on('error', () => {})
  return { raw, client }
}

const HELLO = () => 'hello'
/** So much that its end is read only when the service has done its part. */
const LONG_HELLO = () => 'hello'.repeat(200_000)

test.for<[string, string, (port: number) => string, (socket: tls.TLSSocket) => void]>([
  ['proxy', 'listens', (port) => `CONNECT partner.test:${port} HTTP/1.0\r\n\r\n`, () => {}],
  ['names', 'listens', HELLO, () => {}],
  ['names', 'speaks first', LONG_HELLO, (socket) => socket.write('220 ready')],
])('on %s it leaves no session behind, and a service that %s is told', async ([listener, , first, play]) => {
  await using world = await createWorld()
  const told: string[] = []
  await using partner = await startPartner(world, (socket) => {
    socket.on('error', () => told.push('reset')).on('end', () => told.push('end'))
    socket.resume()
    play(socket)
  })
  await using gateway = await startTestGateway(world, {
    listeners: LISTENERS,
    destinations: partnerDestination(partner.port),
    resolve: toLoopback,
  })
  const { raw, client } = await dial(world, gateway.portOf(listener))
  client.once('secureConnect', () => {
    client.write(first(partner.port))
    raw.resetAndDestroy()
  })
  // The gateway gives a write that never ends some seconds.
  await expect.poll(() => gateway.records(), { timeout: 15_000 }).toHaveLength(1)
  const [record] = gateway.records()
  expect(record?.outcome).toMatchObject({ code: 'relay-client-reset', by: 'client' })
  await expect.poll(() => told).toEqual(['reset'])
  for (const name of ['sessions_open', 'connections_open']) {
    await expect.poll(() => gateway.metric(`sallyport_${name}`), { message: name }).toBe(0)
  }
})

test('a reset that comes while the way out is opened is never an end to the service', async () => {
  await using world = await createWorld()
  const told: string[] = []
  await using partner = await startPartner(world, (socket) => {
    socket.on('error', () => told.push('reset')).on('end', () => told.push('end'))
    socket.resume()
  })
  const asked = Promise.withResolvers<void>()
  const answer = Promise.withResolvers<readonly string[]>()
  await using gateway = await startTestGateway(world, {
    listeners: LISTENERS,
    destinations: partnerDestination(partner.port),
    resolve: async () => {
      asked.resolve()
      return answer.promise
    },
  })
  const { raw, client } = await dial(world, gateway.portOf('names'))
  client.write(Buffer.alloc(4 * 1024 * 1024, 'part'))
  await asked.promise
  // Until the gateway has read as much as it does of a session that is not open yet: what becomes of the client it does not see then.
  for (let turn = 0; turn < 100; turn++) await new Promise((resolve) => setImmediate(resolve))
  raw.resetAndDestroy()
  answer.resolve(toLoopback())
  const [record] = await gateway.closed(1)
  expect(record?.outcome).toMatchObject({ code: 'relay-client-reset', by: 'client' })
  await expect.poll(() => told.at(-1)).toBe('reset')
  expect(told).not.toContain('end')
})
