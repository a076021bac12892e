// The cap on what HTTP/2 tunnels hold, with services that do not read for a while.
import { createHash, randomBytes } from 'node:crypto'
import http2 from 'node:http2'
import type tls from 'node:tls'
import { describe, expect, test } from 'vitest'

import { partnerDestination, startPartner, toLoopback } from '../../fixtures/partner.ts'
import { createWorld, startTestGateway } from '../../fixtures/world.ts'

const KiB = 1024
const MiB = 1024 * KiB
const CAP = 1 * MiB
const WINDOW = 256 * KiB
const CONNECTIONS = 4
const STREAMS = 3
/** More than sockets on loopback hold, so that the gateway holds some of it. */
const SENT = 6 * MiB

async function scene() {
  const stack = new AsyncDisposableStack()
  const world = stack.use(await createWorld())
  const held: tls.TLSSocket[] = []
  const partner = stack.use(
    await startPartner(world, (socket) => {
      held.push(socket)
      socket.pause()
    }),
  )
  const echo = stack.use(await startPartner(world, (socket) => socket.pipe(socket), { name: 'echo.test' }))
  const gateway = stack.use(
    await startTestGateway(world, {
      destinations: `${partnerDestination(partner.port)}
  - name: echo
    hosts: [echo.test]
    ports: [${echo.port}]
    roots: file:pki/partner-ca.pem
    allowAddresses: [127.0.0.0/8]`,
      resolve: toLoopback,
      extra: `drain: {delay: 0s, deadline: 1s}\narrivals: {bufferedBytes: 1MiB}`,
    }),
  )
  const target = `partner.test:${partner.port}`
  return { ...{ world, echo, gateway, target, held }, [Symbol.asyncDispose]: () => stack.disposeAsync() }
}

type Scene = Awaited<ReturnType<typeof scene>>

async function client(s: Scene): Promise<http2.ClientHttp2Session> {
  const { chainPem, keyPem } = await s.world.svid('/payments')
  const session = http2.connect(`https://localhost:${s.gateway.port}`, {
    ...{ ca: s.world.root.pem, cert: chainPem, key: keyPem },
    // Node's client refuses answers where more than 10 MB wait to be sent.
    maxSessionMemory: 1000,
  })
  session.on('error', () => {})
  return session
}

async function tunnel(session: http2.ClientHttp2Session, target: string): Promise<http2.ClientHttp2Stream> {
  const stream = session.request({ ':method': 'CONNECT', ':authority': target })
  stream.on('error', () => {})
  const headers = await new Promise<http2.IncomingHttpHeaders>((resolve) => stream.once('response', resolve))
  expect(headers[':status']).toBe(200)
  return stream
}

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')

describe('past the cap', () => {
  test('windows shrink, nothing is lost, and all of it arrives when it is read', async () => {
    await using s = await scene()
    const sessions = await Promise.all(Array.from({ length: CONNECTIONS }, () => client(s)))
    const sent: string[] = []
    for (const session of sessions) {
      for (let count = 0; count < STREAMS; count += 1) {
        const stream = await tunnel(session, s.target)
        const bytes = randomBytes(SENT)
        sent.push(sha256(bytes))
        stream.end(bytes)
        stream.resume()
      }
    }
    const seen: number[] = []
    const steady = async () => {
      seen.push(await s.gateway.metric('sallyport_h2_buffered_bytes'))
      return (seen.at(-1) ?? 0) > CAP && new Set(seen.slice(-10)).size === 1
    }
    await expect.poll(steady, { interval: 20, timeout: 20_000 }).toBe(true)
    expect(Math.max(...seen)).toBeLessThan(CAP + CONNECTIONS * WINDOW)
    // A newcomer is served all the same.
    const other = await client(s)
    const echo = await tunnel(other, `echo.test:${s.echo.port}`)
    const echoed = new Promise((resolve) => echo.once('data', (chunk) => resolve(String(chunk))))
    echo.write('hello')
    expect(await echoed).toBe('hello')
    other.destroy()
    const received = s.held.map(async (socket) => {
      const chunks: Buffer[] = []
      for await (const chunk of socket) chunks.push(chunk as Buffer)
      socket.end()
      return sha256(Buffer.concat(chunks))
    })
    expect((await Promise.all(received)).toSorted()).toEqual(sent.toSorted())
    for (const session of sessions) session.close()
    const records = await s.gateway.closed(CONNECTIONS * STREAMS + 1)
    expect(records.filter(({ bytes }) => bytes.sent === SENT)).toHaveLength(CONNECTIONS * STREAMS)
    for (const name of ['connections_open', 'sessions_open', 'h2_buffered_bytes']) {
      await expect.poll(() => s.gateway.metric(`sallyport_${name}`), { message: name }).toBe(0)
    }
  })
})
