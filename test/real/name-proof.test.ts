// curl speaks TLS to a real nginx through the gateway: over HTTP/1.1 and HTTP/2 CONNECT, with the right server name and with
// another one (`--connect-to` asks the proxy for one host and names another in the ClientHello).
import { describe, expect, test } from 'vitest'
import { toLoopback } from '../fixtures/partner.ts'
import { freePort, needProgram, run, startProgram } from '../fixtures/process.ts'
import { createWorld, startTestGateway, type World } from '../fixtures/world.ts'
import { bareEnvironment, curlProxy, needCurlHttp2, partnerRoots, svidFiles } from './front-door.ts'

async function startNginx(world: World) {
  const nginx = await needProgram('nginx')
  const port = await freePort()
  const names = ['partner.test', 'www.partner.test', 'evil.test']
  const server = await world.partnerCa.issue({ cn: 'partner.test', dns: names })
  const certificate = await world.file('nginx.pem', server.chainPem)
  const key = await world.file('nginx.key', server.keyPem)
  const config = await world.file(
    'nginx.conf',
    `daemon off; master_process off; worker_processes 1; pid ${world.directory}/nginx.pid; error_log stderr warn;
events { worker_connections 64; }
http {
  access_log off;
  client_body_temp_path ${world.directory}/body; proxy_temp_path ${world.directory}/proxy;
  fastcgi_temp_path ${world.directory}/fastcgi; uwsgi_temp_path ${world.directory}/uwsgi; scgi_temp_path ${world.directory}/scgi;
  server {
    listen 127.0.0.1:${port} ssl http2;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_certificate ${certificate}; ssl_certificate_key ${key};
    location / { return 200 "sni=$ssl_server_name $server_protocol $ssl_protocol\\n"; }
  }
}
`,
  )
  const running = await startProgram(nginx, ['-c', config, '-e', 'stderr'], port)
  return { port, [Symbol.asyncDispose]: () => running[Symbol.asyncDispose]() }
}

const CURLS = [
  ['HTTP/1.1 CONNECT', () => needProgram('curl'), []],
  ['HTTP/2 CONNECT', needCurlHttp2, ['--proxy-http2']],
] as const

async function scene(findCurl: () => Promise<string>, how: readonly string[]) {
  const program = await findCurl()
  await using stack = new AsyncDisposableStack()
  const world = stack.use(await createWorld())
  const { port } = stack.use(await startNginx(world))
  const gateway = stack.use(
    await startTestGateway(world, {
      destinations: `  - {name: partner, hosts: [partner.test], ports: [${port}], tls: passthrough, serverNames: [www.partner.test], allowAddresses: [127.0.0.0/8]}\n`,
      resolve: toLoopback,
    }),
  )
  const svid = await svidFiles(world, await world.svid('/payments/api'))
  const curl = (more: readonly string[]) =>
    run(
      program,
      [
        ...['--silent', '--show-error', '--max-time', '30', '--cacert', partnerRoots(world)],
        ...['--write-out', '%{http_connect} %{http_code}', ...how],
        ...[...curlProxy(gateway.port, svid, svid.bundle), ...more],
      ],
      bareEnvironment(world.directory),
    )
  const held = stack.move()
  return { port, gateway, curl, [Symbol.asyncDispose]: () => held.disposeAsync() }
}

describe.each(CURLS)('curl to nginx through %s', (_way, findCurl, how) => {
  test('speaks its own TLS to it, and the name is proven by its ClientHello', async () => {
    await using s = await scene(findCurl, how)
    const ran = await s.curl([`https://partner.test:${s.port}/`])
    expect(ran.stderr).toBe('')
    expect(ran.stdout).toMatch(/^sni=partner\.test HTTP\/2\.0 TLSv1\.3\n/)
    expect(ran.stdout).toMatch(/200$/)
    const [record] = await s.gateway.closed(1)
    expect(record).toMatchObject({
      requested: { host: 'partner.test', port: s.port },
      upstream: { serverName: 'partner.test', nameProof: 'client-hello' },
    })
    expect(record?.bytes.received).toBeGreaterThan(1000)
  })

  test('may name another of the destination’s serverNames', async () => {
    await using s = await scene(findCurl, how)
    const to = ['--connect-to', `www.partner.test:${s.port}:partner.test:${s.port}`]
    const ran = await s.curl([...to, `https://www.partner.test:${s.port}/`])
    expect(ran.stdout).toMatch(/^sni=www\.partner\.test .*200$/s)
    expect((await s.gateway.closed(1))[0]?.upstream).toMatchObject({
      serverName: 'www.partner.test',
      nameProof: 'client-hello',
    })
  })

  test('that names another host than it asked for is cut off, though nginx would have served it', async () => {
    await using s = await scene(findCurl, how)
    const to = ['--connect-to', `evil.test:${s.port}:partner.test:${s.port}`]
    const ran = await s.curl([...to, `https://evil.test:${s.port}/`])
    expect(ran.code).not.toBe(0)
    expect(ran.stdout).toMatch(/000$/)
    expect((await s.gateway.closed(1))[0]).toMatchObject({
      bytes: { sent: 0, received: 0 },
      upstream: { attempts: 1, nameProof: null },
      outcome: {
        code: 'name-mismatch',
        detail: 'the ClientHello names evil.test, and partner.test was asked for',
      },
    })
  })

  test('that speaks HTTP where TLS belongs is cut off', async () => {
    await using s = await scene(findCurl, how)
    const ran = await s.curl(['--proxytunnel', `http://partner.test:${s.port}/`])
    expect(ran.code).not.toBe(0)
    expect((await s.gateway.closed(1))[0]?.outcome.code).toBe('name-not-tls')
  })
})
