// nghttpx as a client of HTTP/2 CONNECT that nobody here wrote: it takes plain HTTP/1.1 proxy requests of curls and sends
// each as a stream of one mTLS connection to the gateway.
import { randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { toLoopback } from '../fixtures/partner.ts'
import { freePort, needProgram, run, startProgram } from '../fixtures/process.ts'
import { createWorld, startTestGateway, type World } from '../fixtures/world.ts'
import {
  bareEnvironment,
  opaqueDestination,
  partnerRoots,
  startPage,
  type SvidFiles,
  svidFiles,
} from './front-door.ts'

/**
 * A curl that has what it wanted closes its connection, of which nghttpx makes RST_STREAM; or nothing at all, where the
 * service's end was there before (it resets no stream whose response is complete), and then the gateway waits in vain.
 */
const NGHTTPX_ENDS = ['relay-client-reset', 'relay-half-close-timeout']
const CURLS = 12
const BODY = randomBytes(768 * 1024).toString('base64')

async function startBridge(gatewayPort: number, svid: SvidFiles) {
  const port = await freePort()
  const running = await startProgram(
    await needProgram('nghttpx'),
    [
      ...[
        '--conf=/dev/null',
        '--http2-proxy',
        '--workers=1',
        '--single-process',
        '--errorlog-file=/dev/stderr',
      ],
      ...[`--frontend=127.0.0.1,${port};no-tls`],
      ...[`--backend=127.0.0.1,${gatewayPort};;proto=h2;tls;sni=localhost`, `--cacert=${svid.bundle}`],
      ...[`--client-cert-file=${svid.certificate}`, `--client-private-key-file=${svid.key}`],
    ],
    port,
  )
  return { port, running, [Symbol.asyncDispose]: () => running[Symbol.asyncDispose]() }
}

/** Answers nobody before `count` are there, so that all tunnels must be open at once. */
function rendezvous(count: number): () => Promise<void> {
  const waiting: (() => void)[] = []
  return () =>
    new Promise((resolve) => {
      waiting.push(resolve)
      if (waiting.length >= count) for (const go of waiting) go()
    })
}

async function scene(id: string, together = 1) {
  await using stack = new AsyncDisposableStack()
  const world: World = stack.use(await createWorld())
  const meet = rendezvous(together)
  const page = stack.use(
    await startPage(world, (_request, response) => {
      void meet().then(() => response.end(BODY))
    }),
  )
  const gateway = stack.use(
    await startTestGateway(world, {
      destinations: opaqueDestination(page.port, 'partner.test', ', session: {halfCloseTimeout: 1s}'),
      policy: '@id("p") permit (principal in Path::"spiffe://example.org/payments", action, resource);',
      resolve: toLoopback,
    }),
  )
  const bridge = stack.use(await startBridge(gateway.port, await svidFiles(world, await world.svid(id))))
  const program = await needProgram('curl')
  const curl = (host = 'partner.test') =>
    run(
      program,
      [
        ...['--silent', '--show-error', '--max-time', '40', '--proxy', `http://127.0.0.1:${bridge.port}`],
        ...['--cacert', partnerRoots(world), '--write-out', ' %{http_connect} %{http_code}'],
        `https://${host}:${page.port}/`,
      ],
      bareEnvironment(world.directory),
    )
  const held = stack.move()
  return { world, page, gateway, bridge, curl, [Symbol.asyncDispose]: () => held.disposeAsync() }
}

describe('nghttpx before the gateway', () => {
  test('carries many tunnels at once over one connection', async () => {
    await using s = await scene('/payments/api', CURLS)
    const all = await Promise.all(Array.from({ length: CURLS }, () => s.curl()))
    for (const { code, stderr, stdout } of all) {
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
      expect(stdout === `${BODY} 200 200`).toBe(true)
    }
    expect(s.page.accepted()).toBe(CURLS)
    const records = await s.gateway.closed(CURLS)
    expect(records).toHaveLength(CURLS)
    expect(new Set(records.map(({ connection }) => connection)).size).toBe(1)
    expect(new Set(records.map(({ id }) => id)).size).toBe(CURLS)
    for (const { workload, outcome } of records) {
      expect(workload).toBe('spiffe://example.org/payments/api')
      expect(NGHTTPX_ENDS).toContain(outcome.code)
    }
  })

  test('is denied stream by stream, and the connection goes on', async () => {
    await using s = await scene('/payments/api')
    expect((await s.curl()).stdout).toMatch(/ 200 200$/)
    const denied = await s.curl('elsewhere.test')
    expect(denied).toMatchObject({ code: 56, stdout: ' 403 000' })
    expect((await s.curl()).stdout).toMatch(/ 200 200$/)
    const records = await s.gateway.closed(3)
    expect(new Set(records.map(({ connection }) => connection)).size).toBe(1)
    expect(records.filter(({ outcome }) => outcome.code === 'destination-unknown')).toHaveLength(1)
    expect(records.filter(({ outcome }) => NGHTTPX_ENDS.includes(outcome.code))).toHaveLength(2)
  })

  test('gets 403 for a workload that policy does not name', async () => {
    await using s = await scene('/reports')
    expect(await s.curl()).toMatchObject({ code: 56, stdout: ' 403 000' })
    expect((await s.gateway.closed(1))[0]?.outcome.code).toBe('policy-denied')
    expect(s.page.accepted()).toBe(0)
  })
})
