import { describe, expect, test } from 'vitest'
import { connect } from '../../fixtures/connect-client.ts'
import { partnerDestination, startPartner, toLoopback } from '../../fixtures/partner.ts'
import { readToEnding } from '../../fixtures/sockets.ts'
import { createWorld, startTestGateway, type TestGateway } from '../../fixtures/world.ts'

async function readyz(gateway: TestGateway): Promise<number> {
  const health = gateway.gateway.addresses.get('health')
  return (await fetch(`http://127.0.0.1:${health?.port}/readyz`)).status
}

async function scene(drain: string) {
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
    }),
  )
  const open = async () =>
    connect(world, gateway.port, { svid: await world.svid('/a'), target: `partner.test:${partner.port}` })
  return { gateway, open, [Symbol.asyncDispose]: () => stack.disposeAsync() }
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
})
