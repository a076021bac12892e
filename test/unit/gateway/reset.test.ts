// Resets under TLS at each moment of its end: the socket is closed, whichever moment it is, and holds up no exit.
import tls from 'node:tls'
import { setImmediate as turn } from 'node:timers/promises'
import { beforeAll, expect, test } from 'vitest'
import { laidOver, resetSocket } from '../../../gateway/reset.ts'
import { createRoot, type Issued } from '../../fixtures/pki.ts'
import { connectedPair } from '../../fixtures/sockets.ts'

let issued: Issued
beforeAll(async () => {
  const root = await createRoot({ name: 'test' })
  issued = await root.issue({ dns: ['localhost'] })
})

const MOMENTS: Record<string, (tls: tls.TLSSocket) => unknown> = {
  'before its end': () => {},
  'in the turn of its end': (socket) => socket.end(),
  'a microtask after its end': async (socket) => {
    socket.end()
    await Promise.resolve()
  },
  'while its shutdown is under way': async (socket) => {
    socket.end('last')
    await turn()
  },
  'after its end': (socket) => new Promise<void>((resolve) => socket.end('last', () => resolve())),
}

test.for(Object.entries(MOMENTS))('a reset %s closes the socket', async ([, reach]) => {
  await using pair = await connectedPair()
  const [own, peer] = [pair.near, pair.far]
  const server = tls.createServer({ cert: issued.chainPem, key: issued.keyPem })
  const secured = new Promise<tls.TLSSocket>((resolve) => server.once('secureConnection', resolve))
  const errors: string[] = []
  own.on('error', (error) => errors.push(error.message))
  server.emit('connection', own)
  const client = tls.connect({ socket: peer, rejectUnauthorized: false })
  const connected = new Promise((resolve) => client.once('secureConnect', resolve))
  client.on('error', () => {})
  const over = await secured
  over.on('error', () => {})
  client.resume()
  await connected
  laidOver(own, over)
  const closed = new Promise((resolve) => own.once('close', resolve))
  await reach(over)
  resetSocket(own)
  await closed
  expect(errors).toEqual([])
})
