// A client that updates its TLS keys, which of those that run here `openssl s_client` alone can do: Node tells of the new
// secrets as it tells of those of a handshake, and whoever has the same port open to another address must not notice.
import { spawn } from 'node:child_process'
import net from 'node:net'
import { duplexPair } from 'node:stream'
import tls from 'node:tls'
import { expect, test, vi } from 'vitest'
import { partnerDestination, startPartner, toLoopback } from '../fixtures/partner.ts'
import { freePort, needProgram } from '../fixtures/process.ts'
import { createWorld, startTestGateway } from '../fixtures/world.ts'
import { bareEnvironment } from './front-door.ts'

async function scene() {
  const program = await needProgram('openssl')
  await using stack = new AsyncDisposableStack()
  const world = stack.use(await createWorld())
  const partner = stack.use(await startPartner(world, (socket) => socket.pipe(socket)))
  const gateway = stack.use(
    await startTestGateway(world, {
      listeners: '  - {name: one, address: "0.0.0.0:0", protocol: fixed, destination: partner}',
      destinations: partnerDestination(partner.port),
      resolve: toLoopback,
    }),
  )
  const port = gateway.portOf('one')
  const svid = await world.svid('/payments/api')
  const files = [
    ...['-cert', await world.file('leaf.pem', svid.pem), '-key', await world.file('key.pem', svid.keyPem)],
    ...['-cert_chain', await world.file('chain.pem', world.issuing.pem)],
  ]
  const openssl = (from: number) => {
    const where = ['-connect', `127.0.0.1:${port}`, '-bind', `127.0.0.1:${from}`]
    const child = spawn(program, ['s_client', '-tls1_3', '-noservername', ...where, ...files], {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: bareEnvironment(world.directory),
    })
    let said = ''
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk: Buffer) => (said += chunk.toString()))
    held.defer(() => void child.kill())
    return { type: (text: string) => child.stdin.write(`${text}\n`), said: () => said }
  }
  const held = stack.move()
  return { world, gateway, port, svid, openssl, [Symbol.asyncDispose]: () => held.disposeAsync() }
}

/** A TLS client whose second flight waits until it is let go. */
function holdHandshake(raw: net.Socket, options: tls.ConnectionOptions) {
  const [inner, outer] = duplexPair()
  const held: Buffer[] = []
  let free = false
  outer.on('data', (chunk: Buffer) => {
    if (free || raw.bytesWritten === 0) raw.write(chunk)
    else held.push(chunk)
  })
  raw.on('data', (chunk: Buffer) => outer.write(chunk))
  const socket = tls.connect({ ...options, socket: inner })
  const letGo = () => {
    free = true
    raw.write(Buffer.concat(held))
  }
  return { socket, waits: () => held.length > 0, letGo }
}

test('a key update is nobody else’s, also where he has the same port open to another address of the gateway', async () => {
  await using s = await scene()
  const from = await freePort()
  const first = s.openssl(from)
  first.type('hello')
  await vi.waitFor(() => expect(first.said()).toMatch(/^hello$/m), 10_000)

  const raw = net.connect({ host: '127.0.0.2', port: s.port, localAddress: '127.0.0.1', localPort: from })
  const { chainPem: cert, keyPem: key } = s.svid
  const second = holdHandshake(raw, { cert, key, ca: s.world.root.pem, servername: 'localhost' })
  await vi.waitFor(() => expect(second.waits()).toBe(true), 10_000)

  // The key update, and then what comes back by the new keys.
  first.type('K')
  await vi.waitFor(() => expect(first.said()).toContain('KEYUPDATE'), 10_000)
  first.type('again')
  await vi.waitFor(() => expect(first.said()).toMatch(/^again$/m), 10_000)
  first.type('Q')
  await s.gateway.closed(1)

  second.letGo()
  second.socket.write('me too')
  const answer = await new Promise((resolve) => second.socket.once('data', resolve))
  expect(String(answer)).toBe('me too')
  second.socket.destroy()
  raw.destroy()
}, 60_000)
