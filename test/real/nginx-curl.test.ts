// A real nginx that requires client certificates behind the gateway, a real curl as workload in front of it.
import { describe, expect, test } from 'vitest'
import { partnerDestination, toLoopback } from '../fixtures/partner.ts'
import type { Issued } from '../fixtures/pki.ts'
import { freePort, needProgram, run, startProgram } from '../fixtures/process.ts'
import { createWorld, startTestGateway, type World } from '../fixtures/world.ts'

const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2'

async function startNginx(world: World, protocols: string) {
  const nginx = await needProgram('nginx')
  const port = await freePort()
  const server = await world.partnerCa.issue({ cn: 'partner.test', dns: ['partner.test'] })
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
    listen 127.0.0.1:${port} ssl;
    ssl_protocols ${protocols};
    ssl_certificate ${certificate}; ssl_certificate_key ${key};
    ssl_client_certificate ${world.directory}/pki/partner-ca.pem; ssl_verify_client on;
    location / { return 200 "verify=$ssl_client_verify dn=$ssl_client_s_dn over $ssl_protocol\\n"; }
  }
}
`,
  )
  const running = await startProgram(nginx, ['-c', config, '-e', 'stderr'], port)
  return { port, [Symbol.asyncDispose]: () => running[Symbol.asyncDispose]() }
}

async function scene(protocols: string) {
  const stack = new AsyncDisposableStack()
  const world = stack.use(await createWorld())
  const entries: string[] = []
  for (const [workload, cn] of Object.entries({ api: 'acme-payments', batch: 'acme-batch' })) {
    const issued = await world.partnerCa.issue({ cn, eku: [CLIENT_AUTH] })
    await world.file(`pki/${cn}.pem`, issued.chainPem)
    await world.file(`pki/${cn}.key`, issued.keyPem)
    entries.push(
      `      - {workloads: ["spiffe://example.org/payments/${workload}"], certificate: "file:pki/${cn}.pem", key: "file:pki/${cn}.key"}\n`,
    )
  }
  const { port } = stack.use(await startNginx(world, protocols))
  const gateway = stack.use(
    await startTestGateway(world, {
      destinations: partnerDestination(port, `    clientCertificates:\n${entries.join('')}`),
      policy: `@id("p") permit (principal in Path::"spiffe://example.org/payments", action, resource);`,
      resolve: toLoopback,
    }),
  )
  const curl = async (svid: Issued | null, more: readonly string[] = []) => {
    const program = await needProgram('curl')
    const certificate = svid === null ? [] : await curlCertificate(world, svid)
    return run(program, [
      ...['--silent', '--show-error', '--max-time', '20', '--write-out', '%{http_connect} %{http_code}\n'],
      ...[
        '--proxytunnel',
        '--proxy',
        `https://localhost:${gateway.port}`,
        '--proxy-cacert',
        `${world.directory}/pki/bundle.pem`,
      ],
      ...certificate,
      ...more,
      `http://partner.test:${port}/`,
    ])
  }
  return { world, gateway, curl, [Symbol.asyncDispose]: () => stack.disposeAsync() }
}

async function curlCertificate(world: World, svid: Issued): Promise<readonly string[]> {
  const certificate = await world.file('svid.pem', svid.chainPem)
  const key = await world.file('svid.key', svid.keyPem)
  return ['--proxy-cert', certificate, '--proxy-key', key]
}

describe('curl through the gateway to an nginx that requires a client certificate', () => {
  test.for(['TLSv1.2', 'TLSv1.3'])(
    'reaches it over %s with the partner’s certificate, which curl never had',
    async (version) => {
      await using s = await scene(version)
      const ran = await s.curl(await s.world.svid('/payments/api'))
      expect(ran.stderr).toBe('')
      expect(ran.stdout).toBe(`verify=SUCCESS dn=CN=acme-payments over ${version}\n200 200\n`)
      const [record] = await s.gateway.closed(1)
      expect(record).toMatchObject({ outcome: { code: 'closed' }, upstream: { tlsVersion: version } })
    },
  )

  test.for(['TLSv1.2', 'TLSv1.3'])(
    'each workload by a certificate of its own over %s, also where TLS is resumed',
    async (version) => {
      await using s = await scene(version)
      const asked = ['api', 'batch', 'api', 'batch']
      for (const workload of asked) {
        const { stdout } = await s.curl(await s.world.svid(`/payments/${workload}`))
        const cn = workload === 'api' ? 'acme-payments' : 'acme-batch'
        expect(stdout).toBe(`verify=SUCCESS dn=CN=${cn} over ${version}\n200 200\n`)
      }
      const records = await s.gateway.closed(asked.length)
      expect(records.map(({ upstream }) => upstream?.resumed)).toEqual([false, false, true, true])
      const shown = records.map(({ upstream }) => upstream?.clientCertificateSha256)
      expect(shown).toEqual([...shown.slice(0, 2), ...shown.slice(0, 2)])
      expect(new Set(shown).size).toBe(2)
    },
  )

  test('a workload that policy does not name gets the bare 403', async () => {
    await using s = await scene('TLSv1.3')
    const ran = await s.curl(await s.world.svid('/reports'))
    expect(ran.code).toBe(56)
    expect(ran.stdout).toContain('403 000')
    expect((await s.gateway.closed(1))[0]?.outcome.code).toBe('policy-denied')
  })

  test('without a certificate curl gets 403 and the reason', async () => {
    await using s = await scene('TLSv1.3')
    const ran = await s.curl(null, ['--verbose'])
    expect(ran.stdout).toContain('403 000')
    expect(ran.stderr).toContain('client-certificate-missing')
  })
})
