// Chromium fetches pages through the gateway with an SVID as client certificate. It speaks HTTP/2 CONNECT where the proxy
// offers it: two services behind one connection could be no other way.
import { describe, expect, test } from 'vitest'
import { toLoopback } from '../fixtures/partner.ts'
import { createWorld, startTestGateway } from '../fixtures/world.ts'
import { prepareChromium } from './chromium.ts'
import { opaqueDestination, startPage } from './front-door.ts'

async function scene(id: string) {
  await using stack = new AsyncDisposableStack()
  const world = stack.use(await createWorld())
  const second = stack.use(
    await startPage(
      world,
      (_request, response) => {
        response.setHeader('content-type', 'text/javascript')
        response.end('document.body.append("and hello from the second")')
      },
      'second.test',
    ),
  )
  const first = stack.use(
    await startPage(world, (_request, response) => {
      response.setHeader('content-type', 'text/html')
      response.end(
        `<body>hello from the first <script src="https://second.test:${second.port}/"></script></body>`,
      )
    }),
  )
  const gateway = stack.use(
    await startTestGateway(world, {
      destinations:
        opaqueDestination(first.port) +
        opaqueDestination(second.port, 'second.test').replace('name: partner', 'name: second'),
      policy: '@id("p") permit (principal in Path::"spiffe://example.org/people", action, resource);',
      resolve: toLoopback,
    }),
  )
  const chromium = stack.use(await prepareChromium(world, gateway.port, await world.svid(id)))
  const held = stack.move()
  return { first, second, gateway, chromium, [Symbol.asyncDispose]: () => held.disposeAsync() }
}

describe('Chromium', () => {
  test('shows a page of two services, by one connection and its SVID', async () => {
    await using s = await scene('/people/alice')
    const { code, stdout, stderr } = await s.chromium.fetch(`https://partner.test:${s.first.port}/`)
    expect(stdout, stderr).toMatch(/hello from the first .*and hello from the second/s)
    expect(code).toBe(0)
    const allowed = async () => (await s.gateway.closed(2)).filter(({ destination }) => destination !== null)
    await expect.poll(async () => (await allowed()).length, { timeout: 10_000 }).toBeGreaterThan(1)
    const records = await allowed()
    expect(new Set(records.map(({ destination }) => destination))).toEqual(new Set(['partner', 'second']))
    expect(new Set(records.map(({ connection }) => connection)).size).toBe(1)
    for (const record of records) {
      expect(record).toMatchObject({
        workload: 'spiffe://example.org/people/alice',
        credential: 'certificate',
      })
    }
  })

  test('shows none where policy does not name it', async () => {
    await using s = await scene('/reports')
    const { stdout, stderr } = await s.chromium.fetch(`https://partner.test:${s.first.port}/`)
    expect(stdout.trim()).toBe('')
    expect(stderr).toContain('net::ERR_TUNNEL_CONNECTION_FAILED')
    const codes = (await s.gateway.closed(1)).map(({ outcome }) => outcome.code)
    expect(codes).toContain('policy-denied')
    expect(s.first.accepted()).toBe(0)
  })
})
