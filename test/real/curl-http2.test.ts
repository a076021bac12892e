// curl 8.14, whose HTTP/2 is nghttp2's, speaks h2 CONNECT to the gateway with a client certificate.
import { createHash, randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { pipeline } from 'node:stream'
import { describe, expect, test } from 'vitest'
import { toLoopback } from '../fixtures/partner.ts'
import { run } from '../fixtures/process.ts'
import { createWorld, startTestGateway } from '../fixtures/world.ts'
import {
  bareEnvironment,
  curlProxy,
  needCurlHttp2,
  opaqueDestination,
  partnerRoots,
  startPage,
  type SvidFiles,
  svidFiles,
} from './front-door.ts'

/** curl closes its connection, without END_STREAM or GOAWAY before: nothing says that the tunnel was at its end. */
const CURLS_END = { code: 'relay-client-reset', by: 'client' }
const BODY_BYTES = 5 * 1024 * 1024

async function scene() {
  const program = await needCurlHttp2()
  await using stack = new AsyncDisposableStack()
  const world = stack.use(await createWorld())
  const page = stack.use(
    await startPage(world, (request, response) => {
      if (request.method === 'GET') response.end('hello')
      else pipeline(request, response, () => {})
    }),
  )
  const gateway = stack.use(
    await startTestGateway(world, {
      destinations: opaqueDestination(page.port),
      policy: '@id("p") permit (principal in Path::"spiffe://example.org/payments", action, resource);',
      resolve: toLoopback,
    }),
  )
  const { bundle } = await svidFiles(world, await world.svid('/payments/api'))
  const curl = (svid: SvidFiles | null, more: readonly string[] = []) =>
    run(
      program,
      [
        ...['--silent', '--show-error', '--max-time', '30', '--proxy-http2', '--cacert', partnerRoots(world)],
        ...['--write-out', ' %{http_code}', ...curlProxy(gateway.port, svid, bundle)],
        ...[...more, `https://partner.test:${page.port}/`],
      ],
      bareEnvironment(world.directory),
    )
  const held = stack.move()
  return { world, page, gateway, curl, [Symbol.asyncDispose]: () => held.disposeAsync() }
}

describe('curl --proxy-http2', () => {
  test('reaches a service by its SVID', async () => {
    await using s = await scene()
    const svid = await svidFiles(s.world, await s.world.svid('/payments/api'))
    const ran = await s.curl(svid, ['--verbose'])
    expect(ran.stdout).toBe('hello 200')
    expect(ran.stderr).toContain('CONNECT tunnel: HTTP/2 negotiated')
    expect((await s.gateway.closed(1))[0]).toMatchObject({
      workload: 'spiffe://example.org/payments/api',
      credential: 'certificate',
      requested: { host: 'partner.test', port: s.page.port },
      outcome: CURLS_END,
    })
  })

  test('sends and gets back more than all windows hold', async () => {
    await using s = await scene()
    const svid = await svidFiles(s.world, await s.world.svid('/payments/api'))
    const body = randomBytes(BODY_BYTES)
    const sent = await s.world.file('sent', body.toString('base64'))
    const received = await s.world.file('received', '')
    const ran = await s.curl(svid, ['--data-binary', `@${sent}`, '--output', received])
    expect(ran).toEqual({ code: 0, stdout: ' 200', stderr: '' })
    expect(await digest(received)).toBe(await digest(sent))
    const [record] = await s.gateway.closed(1)
    expect(record?.outcome).toMatchObject(CURLS_END)
    expect(record?.bytes.sent).toBeGreaterThan(BODY_BYTES)
    expect(record?.bytes.received).toBeGreaterThan(BODY_BYTES)
  })

  test.for<[string, string | null, string, string]>([
    ['a workload that policy does not name', '/reports', 'policy-denied', 'error=http_request_denied'],
    [
      'nobody at all',
      null,
      'client-certificate-missing',
      'error=http_request_denied; details="client-certificate-missing"',
    ],
  ])('gets 403 as %s', async ([, id, code, said]) => {
    await using s = await scene()
    const svid = id === null ? null : await svidFiles(s.world, await s.world.svid(id))
    // Nothing else of curl's shows what a proxy answers over HTTP/2.
    const ran = await s.curl(svid, ['--verbose', '--trace-config', 'h2-proxy'])
    expect(ran.code).toBe(56)
    expect(ran.stdout).toBe(' 000')
    expect(ran.stderr).toContain('status: HTTP/2 403\n')
    expect(ran.stderr).toContain(`proxy-status: sallyport; ${said}\n`)
    expect((await s.gateway.closed(1))[0]?.outcome.code).toBe(code)
    expect(s.page.accepted()).toBe(0)
  })
})

async function digest(file: string): Promise<string> {
  return createHash('sha256')
    .update(await readFile(file))
    .digest('hex')
}
