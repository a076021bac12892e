import { once } from 'node:events'
import net from 'node:net'
import tls from 'node:tls'
import { expect, test } from 'vitest'
import { tap } from '../../../../gateway/upstream/plaintext-tap.ts'
import { createWorld } from '../../../fixtures/world.ts'

const BYTES = 300_000

test('a slow reader gets all of what the server sent before it ended in good order', async () => {
  await using world = await createWorld()
  const { chainPem: cert, keyPem: key } = await world.svid('/server')
  const server = tls.createServer({ cert, key, maxVersion: 'TLSv1.3' }, (socket) => {
    socket.on('error', () => {})
    socket.resume().end(Buffer.alloc(BYTES, 'x'))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as net.AddressInfo
  const raw = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  await once(raw, 'connect')
  const tapped = tap(raw)
  const socket = tls.connect({
    ...{ socket: tapped.stream, ca: world.root.pem, checkServerIdentity: () => undefined },
  })
  const errors: Error[] = []
  socket.on('error', (error) => errors.push(error))
  await once(socket, 'secureConnect')
  socket.end()
  let received = 0
  let ended = false
  socket.on('data', (chunk: Buffer) => {
    received += chunk.length
    socket.pause()
  })
  socket.on('end', () => {
    ended = true
  })
  const over = new Promise((resolve) => socket.on('close', resolve))
  // One chunk in a few turns, so that the connection is over long before the last was read.
  const slowly = setInterval(() => socket.resume(), 5)
  await over
  clearInterval(slowly)
  server.close()
  expect({ received, ended, errors }).toEqual({ received: BYTES, ended: true, errors: [] })
  expect(tapped.first().length).toBeGreaterThan(0)
})
