// undici's ProxyAgent, which is what Node programs use for HTTPS_PROXY: an SVID as client certificate of the proxy's TLS, and
// the service's own TLS inside of it.
import { readFile } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import { ProxyAgent, request } from 'undici'
import { toLoopback } from '../fixtures/partner.ts'
import { createWorld, startTestGateway } from '../fixtures/world.ts'
import { opaqueDestination, startPage, svidFiles } from './front-door.ts'

async function scene(id: string) {
  await using stack = new AsyncDisposableStack()
  const world = stack.use(await createWorld())
  const page = stack.use(
    await startPage(world, (incoming, response) => response.end(`hello ${incoming.url}`)),
  )
  const gateway = stack.use(
    await startTestGateway(world, {
      destinations: opaqueDestination(page.port),
      policy: '@id("p") permit (principal in Path::"spiffe://example.org/payments", action, resource);',
      resolve: toLoopback,
    }),
  )
  const files = await svidFiles(world, await world.svid(id))
  const [cert, key, ca] = await Promise.all(
    [files.certificate, files.key, files.bundle].map((file) => readFile(file)),
  )
  const agent = new ProxyAgent({
    uri: `https://localhost:${gateway.port}`,
    // undici 8 offers h2 else, cannot CONNECT over it (it sends Proxy-Connection), and tries for ever: 8.13.1.
    proxyTls: { cert, key, ca, allowH2: false },
    requestTls: { ca: world.partnerCa.pem },
  })
  stack.defer(() => agent.destroy())
  const get = async (path: string, host = 'partner.test') => {
    const { statusCode, body } = await request(`https://${host}:${page.port}${path}`, { dispatcher: agent })
    return `${statusCode} ${await body.text()}`
  }
  const held = stack.move()
  return { world, page, gateway, agent, get, [Symbol.asyncDispose]: () => held.disposeAsync() }
}

describe("undici's ProxyAgent", () => {
  test('reaches a service by its SVID', async () => {
    await using s = await scene('/payments/api')
    expect(await s.get('/one')).toBe('200 hello /one')
    expect(await s.get('/two')).toBe('200 hello /two')
    await s.agent.close()
    for (const record of await s.gateway.closed(s.page.accepted())) {
      expect(record).toMatchObject({
        workload: 'spiffe://example.org/payments/api',
        requested: { host: 'partner.test', port: s.page.port },
        outcome: { code: 'closed' },
      })
    }
  })

  test.for<[string, string, string, string]>([
    ['a workload that policy does not name', '/reports', 'partner.test', 'policy-denied'],
    ['a destination that there is not', '/payments/api', 'elsewhere.test', 'destination-unknown'],
  ])('is told 403 for %s', async ([, id, host, code]) => {
    await using s = await scene(id)
    await expect(s.get('/', host)).rejects.toThrow(/403/)
    expect((await s.gateway.closed(1))[0]?.outcome.code).toBe(code)
    expect(s.page.accepted()).toBe(0)
  })
})
