import { describe, expect, test } from 'vitest'
import { connect, connectTls } from '../../fixtures/connect-client.ts'
import { FRAME, RawH2 } from '../../fixtures/h2-raw.ts'
import { partnerDestination, startPartner, toLoopback } from '../../fixtures/partner.ts'
import { connectRaw, readToEnding } from '../../fixtures/sockets.ts'
import { createWorld, startTestGateway, type TestGateway } from '../../fixtures/world.ts'
import { scene as living } from './living-scene.ts'

async function readyz(gateway: TestGateway): Promise<number> {
  const health = gateway.gateway.addresses.get('health')
  return (await fetch(`http://127.0.0.1:${health?.port}/readyz`)).status
}

const LISTENERS = `  - {name: proxy, address: "127.0.0.1:0", protocol: connect}
  - {name: l5d, address: "127.0.0.1:0", protocol: linkerd, trustDomains: [example.org]}`

async function scene(drain: string, listeners?: string) {
  const stack = new AsyncDisposableStack()
  const world = stack.use(await createWorld())
  const partner = stack.use(
    await startPartner(world, (socket) => {
      socket.write('hello')
      socket.on('end', () => socket.end())
    }),
  )
  const gateway = stack.use(
    await startTestGateway(world, {
      destinations: partnerDestination(partner.port),
      resolve: toLoopback,
      extra: `drain: ${drain}`,
      ...(listeners === undefined ? {} : { listeners }),
    }),
  )
  const open = async () =>
    connect(world, gateway.port, { svid: await world.svid('/a'), target: `partner.test:${partner.port}` })
  return { world, gateway, open, [Symbol.asyncDispose]: () => stack.disposeAsync() }
}

describe('drain', () => {
  test('turns /readyz red at once, keeps listeners open for the delay, then lets sessions end', async () => {
    await using s = await scene('{delay: 1s, deadline: 20s}')
    expect(await readyz(s.gateway)).toBe(200)
    const first = await s.open()
    const drained = s.gateway.gateway.drain()
    expect(await readyz(s.gateway)).toBe(503)
    const duringDelay = await s.open()
    expect(duringDelay.status).toBe(200)
    for (const { socket } of [first, duringDelay]) {
      socket.end()
      expect((await readToEnding(socket)).how).toBe('end')
    }
    await drained
    expect(s.gateway.records().map(({ outcome }) => outcome.code)).toEqual(['closed', 'closed'])
  })

  test('refuses new connections after the delay', async () => {
    await using s = await scene('{delay: 0s, deadline: 20s}')
    const first = await s.open()
    const drained = s.gateway.gateway.drain()
    await expect
      .poll(() =>
        s.open().then(
          () => 'open',
          () => 'refused',
        ),
      )
      .toBe('refused')
    first.socket.end()
    await readToEnding(first.socket)
    await drained
  })

  test('resets what is left at the deadline and records it', async () => {
    await using s = await scene('{delay: 0s, deadline: 100ms}')
    const { socket } = await s.open()
    const ending = readToEnding(socket)
    await s.gateway.gateway.drain()
    expect((await ending).how).toBe('reset')
    expect(s.gateway.records().map(({ outcome }) => outcome)).toMatchObject([
      { code: 'session-drained', by: 'gateway' },
    ])
  })

  test('leaves the record of each connection that has asked for nothing yet, before it is over', async () => {
    await using s = await scene('{delay: 0s, deadline: 100ms}', LISTENERS)
    const svid = await s.world.svid('/a')
    const mtls = (port: number, protocol: string) =>
      connectTls(s.world, port, { svid, tls: { ALPNProtocols: [protocol] } })
    const silent = await connectRaw(s.gateway.port)
    const inHello = await connectRaw(s.gateway.port)
    inHello.write(Buffer.from('1603010200', 'hex'))
    const endings = [
      inHello,
      silent,
      await mtls(s.gateway.port, 'http/1.1'),
      await mtls(s.gateway.portOf('l5d'), 'transport.l5d.io/v1'),
    ].map(readToEnding)
    const h2 = new RawH2(await mtls(s.gateway.port, 'h2'))
    await expect.poll(() => h2.of(0, FRAME.SETTINGS)).toHaveLength(2)
    await expect.poll(() => s.gateway.metric('sallyport_connections_open')).toBe(5)
    await s.gateway.gateway.drain()
    const told = s.gateway
      .records()
      .map(({ workload, outcome }) => `${workload} ${outcome.code} ${outcome.by}`)
    for (const { how } of await Promise.all(endings)) expect(how).toBe('reset')
    await expect.poll(() => h2.goAwayCode()).toBe(0)
    expect(told.toSorted()).toEqual([
      'null session-drained gateway',
      'spiffe://example.org/a session-drained gateway',
      'spiffe://example.org/a session-drained gateway',
      'spiffe://example.org/a session-draining gateway',
    ])
    // Nor one more when the sockets are gone.
    expect(s.gateway.records()).toHaveLength(told.length)
  })

  test('closes over the deadline, those first that have been idle longest, and leaves a record of each', async () => {
    await using s = await living({ extra: 'drain: {delay: 0s, deadline: 2s}' })
    const names = ['/one', '/two', '/three', '/four']
    const opened = []
    for (const name of names) opened.push(await s.open(await s.svid(name)))
    await opened[0]?.alive()
    await opened[2]?.alive()
    const drained = s.gateway.gateway.drain()
    await s.gateway.closed(1)
    // Whoever lives still moves its bytes.
    await opened[0]?.alive()
    await drained
    for (const { ending } of opened) expect((await ending).how).toBe('reset')
    const told = s.gateway.records().map(({ workload, outcome }) => `${workload?.slice(21)} ${outcome.code}`)
    expect(told).toEqual(['two', 'four', 'three', 'one'].map((name) => `${name} session-drained`))
  })

  test('is made shorter by whoever loses patience: first its delay, then its deadline', async () => {
    await using s = await living({ extra: 'drain: {delay: 1h, deadline: 1h}' })
    const open = await s.open(await s.svid('/a'))
    const drained = s.gateway.gateway.drain()
    expect(await readyz(s.gateway)).toBe(503)
    await open.alive()
    s.gateway.gateway.hurry()
    const gone = async () => ((await connectRaw(s.gateway.port)).destroyed ? 'refused' : 'open')
    await expect.poll(gone).toBe('refused')
    await open.alive()
    s.gateway.gateway.hurry()
    await drained
    expect((await open.ending).how).toBe('reset')
    expect(s.gateway.records().map(({ outcome }) => outcome.code)).toEqual(['session-drained'])
  })
})
