// A reset in any state of the socket: nothing stays open behind it, and libuv has refused nothing.
import type net from 'node:net'
import tls from 'node:tls'
import { describe, expect, test } from 'vitest'
import { laidOver, resetSocket } from '../../../gateway/reset.ts'
import { connectedPair } from '../../fixtures/sockets.ts'
import { createWorld } from '../../fixtures/world.ts'

type Moment = 'in the turn of the end' | 'a turn after the end' | 'without an end'
const MOMENTS: readonly Moment[] = ['in the turn of the end', 'a turn after the end', 'without an end']

async function end(stream: net.Socket, moment: Moment): Promise<void> {
  stream.write('hello')
  if (moment === 'without an end') return
  stream.end()
  if (moment === 'a turn after the end') await new Promise((resolve) => setImmediate(resolve))
}

const gone = async (raw: net.Socket) => {
  if (!raw.closed) await new Promise((resolve) => raw.once('close', resolve))
}

describe('resetSocket', () => {
  test.for(MOMENTS)('closes a plain socket %s', async (moment) => {
    await using pair = await connectedPair()
    const errors: unknown[] = []
    pair.near.on('error', (error) => errors.push(error))
    const closed = gone(pair.near)
    await end(pair.near, moment)
    resetSocket(pair.near)
    await closed
    expect(errors).toEqual([])
  })

  test.for(MOMENTS)('closes the socket below TLS %s', async (moment) => {
    await using world = await createWorld()
    const { chainPem: cert, keyPem: key } = await world.svid('/a', { dns: ['localhost'] })
    await using pair = await connectedPair()
    const near = new tls.TLSSocket(pair.near, { isServer: true, cert, key })
    const far = tls.connect({ socket: pair.far, ca: world.root.pem, servername: 'localhost' })
    far.on('error', () => {}).resume()
    await new Promise((resolve) => far.once('secureConnect', resolve))
    const errors: unknown[] = []
    near.on('error', () => {})
    pair.near.on('error', (error) => errors.push(error))
    laidOver(pair.near, near)
    const closed = gone(pair.near)
    await end(near, moment)
    resetSocket(pair.near)
    await closed
    expect(errors).toEqual([])
  })

  test('closes a socket whose end waits for a peer that reads nothing', async () => {
    await using pair = await connectedPair()
    pair.near.on('error', () => {})
    const closed = gone(pair.near)
    pair.near.write(Buffer.alloc(16 * 1024 * 1024))
    pair.near.end()
    resetSocket(pair.near)
    await closed
    expect(pair.near.closed).toBe(true)
  })
})
