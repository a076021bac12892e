// HAProxy in TCP mode in front of the gateway, as a network load balancer is: `send-proxy-v2-ssl` with TLVs, CRC32C among them,
// and its health checks, whose PROXY headers say LOCAL.
import { describe, expect, test } from 'vitest'
import { startTcp, toLoopback } from '../fixtures/partner.ts'
import { freePort, needProgram, run, startProgram } from '../fixtures/process.ts'
import { createWorld, startTestGateway, type World } from '../fixtures/world.ts'
import {
  bareEnvironment,
  curlProxy,
  opaqueDestination,
  partnerRoots,
  startPage,
  svidFiles,
} from './front-door.ts'

/** Not the address from which HAProxy connects. */
const CLIENT = '127.0.0.2'
const TLVS = { crc32c: 0x03, uniqueId: 0x05, ssl: 0x20 } as const

/** `more` stands behind the server, which HAProxy finds on `backend`. */
async function startHaproxy(world: World, backend: number, more = '') {
  const port = await freePort()
  const config = await world.file(
    'haproxy.cfg',
    `global
  maxconn 64
defaults
  mode tcp
  timeout client 20s
  timeout server 20s
  timeout connect 5s
listen front
  bind 127.0.0.1:${port}
  unique-id-format haproxy-%Ts
  server gateway 127.0.0.1:${backend} send-proxy-v2-ssl proxy-v2-options crc32c,unique-id ${more}
`,
  )
  const running = await startProgram(await needProgram('haproxy'), ['-f', config, '-db'], port)
  return { port, [Symbol.asyncDispose]: () => running[Symbol.asyncDispose]() }
}

async function scene(more = '') {
  await using stack = new AsyncDisposableStack()
  const world = stack.use(await createWorld())
  const page = stack.use(await startPage(world, (_request, response) => response.end('hello')))
  const gateway = stack.use(
    await startTestGateway(world, {
      listeners:
        '  - {name: proxy, address: "127.0.0.1:0", protocol: connect, proxyProtocol: {required: true, from: [127.0.0.1/32]}}',
      destinations: opaqueDestination(page.port),
      policy: '@id("p") permit (principal in Path::"spiffe://example.org/payments", action, resource);',
      resolve: toLoopback,
    }),
  )
  const haproxy = stack.use(await startHaproxy(world, gateway.port, more))
  const held = stack.move()
  return { world, page, gateway, haproxy, [Symbol.asyncDispose]: () => held.disposeAsync() }
}

async function curl(world: World, port: number, page: number, id: string) {
  const files = await svidFiles(world, await world.svid(id))
  return run(
    await needProgram('curl'),
    [
      ...['--silent', '--show-error', '--max-time', '20', '--interface', CLIENT],
      ...['--cacert', partnerRoots(world), ...curlProxy(port, files, files.bundle)],
      ...['--write-out', ' %{http_connect} %{local_port}', `https://partner.test:${page}/`],
    ],
    bareEnvironment(world.directory),
  )
}

describe('HAProxy with send-proxy-v2-ssl', () => {
  test('hands on the address of its client, whose mTLS ends at the gateway', async () => {
    await using s = await scene()
    const ran = await curl(s.world, s.haproxy.port, s.page.port, '/payments/api')
    expect(ran).toMatchObject({ code: 0, stderr: '' })
    const [, port] = /^hello 200 (\d+)$/.exec(ran.stdout) ?? []
    expect((await s.gateway.closed(1))[0]).toMatchObject({
      source: { ip: CLIENT, port: Number(port), vpcEndpoint: null },
      workload: 'spiffe://example.org/payments/api',
      outcome: { code: 'closed' },
    })
    expect(s.gateway.records()).toHaveLength(1)
  })

  test("has its client denied under the client's address", async () => {
    await using s = await scene()
    const ran = await curl(s.world, s.haproxy.port, s.page.port, '/reports')
    expect(ran).toMatchObject({ code: 56, stdout: expect.stringMatching(/^ 403 /) as string })
    expect((await s.gateway.closed(1))[0]).toMatchObject({
      source: { ip: CLIENT },
      outcome: { code: 'policy-denied' },
    })
  })

  test('checks the health of the gateway and leaves no record', async () => {
    await using s = await scene('check inter 50ms')
    await expect
      .poll(() => s.gateway.metric('sallyport_probes_total'), { timeout: 20_000 })
      .toBeGreaterThan(4)
    expect(s.gateway.records()).toEqual([])
    const ran = await curl(s.world, s.haproxy.port, s.page.port, '/payments/api')
    expect(ran.stdout).toMatch(/^hello 200 /)
    expect((await s.gateway.closed(1)).map(({ source }) => source.ip)).toEqual([CLIENT])
  })
})

test('what HAProxy sends has the TLVs that the gateway must skip, and LOCAL in its checks', async () => {
  await using world = await createWorld()
  const received: Buffer[] = []
  await using backend = await startTcp((raw) => {
    raw.once('data', (chunk: Buffer) => {
      received.push(chunk)
      raw.destroy()
    })
  })
  await using haproxy = await startHaproxy(world, backend.port, 'check inter 50ms')
  await curl(world, haproxy.port, 443, '/payments/api')
  const command = (header: Buffer) => header.readUInt8(12)
  await expect.poll(() => new Set(received.map(command)), { timeout: 10_000 }).toEqual(new Set([0x20, 0x21]))
  const proxied = received.find((header) => command(header) === 0x21) ?? Buffer.alloc(16)
  expect(typesOf(proxied)).toEqual(expect.arrayContaining(Object.values(TLVS)))
})

/** The types of the TLVs of a header for TCP over IPv4, whose addresses take 12 bytes. */
function typesOf(header: Buffer): readonly number[] {
  const types: number[] = []
  const end = 16 + header.readUInt16BE(14)
  for (let offset = 28; offset < end; offset += 3 + header.readUInt16BE(offset + 1)) {
    types.push(header.readUInt8(offset))
  }
  return types
}
