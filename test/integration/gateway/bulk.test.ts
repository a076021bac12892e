import http2 from 'node:http2'
import type { Duplex } from 'node:stream'
import { describe, expect, test } from 'vitest'
import { connect } from '../../fixtures/connect-client.ts'
import { partnerDestination, startPartner, toLoopback } from '../../fixtures/partner.ts'
import { randomStream, slowReader } from '../../fixtures/random-stream.ts'
import { createWorld, startTestGateway, type World } from '../../fixtures/world.ts'

const MIB = 1024 * 1024
const BYTES = 256 * MIB
/** Far below one payload: what is in flight is bounded by windows and high-water marks, not by the transfer's size. */
const FLAT_BYTES = 96 * MIB

type Open = (world: World, port: number, target: string) => Promise<{ tunnel: Duplex; close(): void }>

const openH1: Open = async (world, port, target) => {
  const { socket, status } = await connect(world, port, { svid: await world.svid('/payments'), target })
  expect(status).toBe(200)
  return { tunnel: socket, close: () => socket.destroy() }
}

const openH2: Open = async (world, port, target) => {
  const svid = await world.svid('/payments')
  const session = http2.connect(`https://localhost:${port}`, {
    ca: world.root.pem,
    cert: svid.chainPem,
    key: svid.keyPem,
  })
  const tunnel = session.request({ ':method': 'CONNECT', ':authority': target })
  const status = await new Promise((resolve, reject) => {
    tunnel.on('response', (headers) => resolve(headers[':status']))
    tunnel.on('error', reject)
    session.on('error', reject)
  })
  expect(status).toBe(200)
  return { tunnel, close: () => session.destroy() }
}

describe('256 MiB of random bytes each way at once, with slow readers on both sides', () => {
  test.for<[string, Open]>([
    ['HTTP/1.1', openH1],
    ['HTTP/2', openH2],
  ])('arrive whole and in order over %s, and memory stays flat', async ([, open]) => {
    await using world = await createWorld()
    const down = randomStream(BYTES)
    const atPartner = slowReader(8 * MIB)
    await using partner = await startPartner(world, (socket) => {
      socket.pipe(atPartner.stream)
      down.stream.pipe(socket)
    })
    await using gateway = await startTestGateway(world, {
      destinations: partnerDestination(partner.port),
      resolve: toLoopback,
    })
    const { tunnel, close } = await open(world, gateway.port, `partner.test:${partner.port}`)
    const up = randomStream(BYTES)
    const atClient = slowReader(8 * MIB)
    let highest = 0
    const base = process.memoryUsage()
    const watch = setInterval(() => {
      const { arrayBuffers, heapUsed } = process.memoryUsage()
      highest = Math.max(highest, arrayBuffers - base.arrayBuffers, heapUsed - base.heapUsed)
    }, 50)
    up.stream.pipe(tunnel)
    tunnel.pipe(atClient.stream)
    const [received, sent] = await Promise.all([atClient.done, atPartner.done])
    clearInterval(watch)
    expect(received).toBe(down.digest())
    expect(sent).toBe(up.digest())
    expect(highest).toBeLessThan(FLAT_BYTES)
    close()
    expect((await gateway.closed(1))[0]).toMatchObject({
      bytes: { sent: BYTES, received: BYTES },
      outcome: { code: 'closed' },
    })
  })
})
