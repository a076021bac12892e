// A session of MySQL whose connection was exchanged for another, because its client asked for what the last one had not:
// what ends the session ends the connection that it went on with.
import { expect, test } from 'vitest'
import { connect } from '../../fixtures/connect-client.ts'
import { greetingPacket, loginPacket, okPacket, switchPacket } from '../../fixtures/mysql.ts'
import { partnerDestination, toLoopback } from '../../fixtures/partner.ts'
import { packet } from '../../../gateway/upstream/starttls/mysql/packets.ts'
import { HONEST, type ScriptedServer, startScriptedServer } from '../../fixtures/start-tls-server.ts'
import { createWorld, startTestGateway, type TestGateway } from '../../fixtures/world.ts'

interface Scene extends AsyncDisposable {
  readonly server: ScriptedServer
  readonly gateway: TestGateway
  readonly client: Awaited<ReturnType<typeof connect>>['socket']
}

/** The client is logged in over its second connection; the server resets that at a command where `resets`. */
async function loggedIn(resets = false): Promise<Scene> {
  await using stack = new AsyncDisposableStack()
  const world = stack.use(await createWorld())
  const certificate = await world.partnerCa.issue({ cn: 'partner.test', dns: ['partner.test'] })
  const server = stack.use(
    await startScriptedServer(
      certificate,
      { says: HONEST.mysql },
      {
        onSecure(socket, raw) {
          socket.on('end', () => socket.end())
          socket.once('data', () => {
            socket.write(okPacket(3))
            socket.once('data', () => (resets ? raw.resetAndDestroy() : socket.end()))
          })
        },
      },
    ),
  )
  const gateway = stack.use(
    await startTestGateway(world, {
      destinations: partnerDestination(server.port, '    startTls: mysql\n'),
      resolve: toLoopback,
    }),
  )
  const svid = await world.svid('/payments')
  const { socket, rest } = await connect(world, gateway.port, { svid, target: `partner.test:${server.port}` })
  let heard = rest.toString('latin1')
  socket.on('data', (chunk: Buffer) => {
    heard += chunk.toString('latin1')
  })
  socket.resume()
  socket.write(loginPacket({ charset: 33 }))
  const asked = switchPacket(2, 'mysql_native_password', 'abcdefghijklmnopqrst')
  await expect.poll(() => heard.length).toBe(greetingPacket().length + asked.length)
  // The first connection is given up, and nothing was said on it.
  await expect.poll(() => server.open()).toBe(1)
  expect(server.told()[0]).toEqual(Buffer.alloc(0))
  socket.write(packet(3, Buffer.alloc(20, 9)))
  await expect.poll(() => heard.endsWith(okPacket(4).toString('latin1'))).toBe(true)
  const held = stack.move()
  return { server, gateway, client: socket, [Symbol.asyncDispose]: () => held.disposeAsync() }
}

const QUIT = packet(0, Buffer.from([1]))

test('ends in order where client and server do', async () => {
  await using s = await loggedIn()
  s.client.write(QUIT)
  s.client.on('end', () => setImmediate(() => s.client.end()))
  expect((await s.gateway.closed(1))[0]).toMatchObject({
    outcome: { code: 'closed' },
    upstream: { attempts: 2 },
  })
  await expect.poll(() => s.server.open()).toBe(0)
})

test('is a reset to the client where the server resets', async () => {
  await using s = await loggedIn(true)
  const closed = new Promise<string | undefined>((resolve) => {
    s.client.once('error', (error: NodeJS.ErrnoException) => resolve(error.code))
  })
  s.client.write(QUIT)
  expect(await closed).toBe('ECONNRESET')
  expect((await s.gateway.closed(1))[0]?.outcome).toMatchObject({
    code: 'relay-upstream-reset',
    by: 'upstream',
  })
})

test('leaves no connection behind where the client goes away', async () => {
  await using s = await loggedIn()
  s.client.destroy()
  await s.gateway.closed(1)
  await expect.poll(() => s.server.open()).toBe(0)
})

test('leaves no connection behind where the gateway is stopped', async () => {
  await using s = await loggedIn()
  await s.gateway[Symbol.asyncDispose]()
  await expect.poll(() => s.server.open()).toBe(0)
  expect(s.gateway.records()[0]?.outcome.code).toBe('session-drained')
})
