// HAProxy with `verify required` refuses client certificates inside TLS, as nginx never does: by an alert in the
// handshake (TLS 1.2) or after it (TLS 1.3). Neither may ever look like a success.
import { describe, expect, test } from 'vitest'
import { connect } from '../fixtures/connect-client.ts'
import { partnerDestination, toLoopback } from '../fixtures/partner.ts'
import { createRoot } from '../fixtures/pki.ts'
import { freePort, needProgram, startProgram } from '../fixtures/process.ts'
import { createWorld, startTestGateway, type World } from '../fixtures/world.ts'

const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2'

async function startHaproxy(world: World, version: string) {
  const haproxy = await needProgram('haproxy')
  const port = await freePort()
  const server = await world.partnerCa.issue({ cn: 'partner.test', dns: ['partner.test'] })
  const pem = await world.file('haproxy.pem', server.chainPem + server.keyPem)
  const config = await world.file(
    'haproxy.cfg',
    `global
  maxconn 64
defaults
  mode http
  timeout client 20s
  timeout server 20s
  timeout connect 5s
frontend partner
  bind 127.0.0.1:${port} ssl crt ${pem} ca-file ${world.directory}/pki/partner-ca.pem verify required ssl-min-ver ${version} ssl-max-ver ${version}
  http-request return status 200 content-type text/plain string "hello from haproxy"
`,
  )
  const running = await startProgram(haproxy, ['-f', config, '-db'], port)
  return { port, [Symbol.asyncDispose]: () => running[Symbol.asyncDispose]() }
}

async function scene(version: string, client: 'none' | 'good' | 'strange') {
  const stack = new AsyncDisposableStack()
  const world = stack.use(await createWorld())
  const issuer = client === 'strange' ? await createRoot({ name: 'another CA' }) : world.partnerCa
  const certificate = await issuer.issue({ cn: 'acme', eku: [CLIENT_AUTH] })
  await world.file('pki/bank.pem', certificate.chainPem)
  await world.file('pki/bank.key', certificate.keyPem)
  const { port } = stack.use(await startHaproxy(world, version))
  const entries =
    client === 'none'
      ? ''
      : '    clientCertificates:\n      - {workloads: ["spiffe://example.org/**"], certificate: "file:pki/bank.pem", key: "file:pki/bank.key"}\n'
  const gateway = stack.use(
    await startTestGateway(world, { destinations: partnerDestination(port, entries), resolve: toLoopback }),
  )
  const svid = await world.svid('/payments')
  const answer = await connect(world, gateway.port, { svid, target: `partner.test:${port}` })
  return { answer, gateway, [Symbol.asyncDispose]: () => stack.disposeAsync() }
}

describe.for(['TLSv1.2', 'TLSv1.3'])('HAProxy with verify required over %s', (version) => {
  test('takes the right certificate', async () => {
    await using s = await scene(version, 'good')
    expect(s.answer.status).toBe(200)
    s.answer.socket.write('GET / HTTP/1.1\r\nHost: partner.test\r\nConnection: close\r\n\r\n')
    let body = ''
    s.answer.socket.on('data', (chunk: Buffer) => {
      body += chunk.toString()
    })
    s.answer.socket.resume()
    await expect.poll(() => body).toContain('hello from haproxy')
    s.answer.socket.end()
  })

  test('refusing a certificate of another CA never yields a 200', async () => {
    await using s = await scene(version, 'strange')
    expect(s.answer.status).toBe(502)
    expect((await s.gateway.closed(1))[0]?.outcome).toMatchObject({
      code: 'upstream-tls-client-certificate-refused',
      by: 'upstream',
    })
  })

  test('demanding one that is not configured is told apart', async () => {
    await using s = await scene(version, 'none')
    expect(s.answer.status).toBe(502)
    expect((await s.gateway.closed(1))[0]?.outcome.code).toBe('upstream-tls-client-certificate-required')
  })
})
