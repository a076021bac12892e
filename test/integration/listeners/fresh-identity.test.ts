// Who a peer is, is asked afresh: what changes in files counts from the next handshake and the next tunnel on, also on
// connections that are open. What that does to open tunnels is judged by test/integration/gateway/living.test.ts.
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import http2 from 'node:http2'
import type tls from 'node:tls'
import { describe, expect, test } from 'vitest'
import { readBundle, writeBundle } from '../../../spiffe/bundle.ts'
import { connect, connectTls, readBody } from '../../fixtures/connect-client.ts'
import { RawH2 } from '../../fixtures/h2-raw.ts'
import { partnerDestination, startPartner, toLoopback } from '../../fixtures/partner.ts'
import { type Ca, createRoot, type Issued } from '../../fixtures/pki.ts'
import { createWorld, startTestGateway, type TestGatewayOptions, type World } from '../../fixtures/world.ts'

const GATEWAY_ID = 'spiffe://example.org/sallyport/gateway'

async function scene(
  { more = '', ...options }: Partial<TestGatewayOptions> & { readonly more?: string } = {},
  prepare: (world: World) => Promise<void> = async () => {},
) {
  const stack = new AsyncDisposableStack()
  const world = stack.use(await createWorld())
  await prepare(world)
  const partner = stack.use(await startPartner(world, (socket) => socket.pipe(socket)))
  const gateway = stack.use(
    await startTestGateway(world, {
      destinations: partnerDestination(partner.port, more),
      resolve: toLoopback,
      watch: true,
      ...options,
    }),
  )
  const target = `partner.test:${partner.port}`
  return {
    ...{ world, partner, gateway, target },
    /** An HTTP/2 connection with an open tunnel on stream 1. */
    async openH2(svid: Issued, more: tls.ConnectionOptions = {}, listener = 'proxy') {
      const socket = await connectTls(world, gateway.portOf(listener), {
        svid,
        tls: { ALPNProtocols: ['h2'], ...more },
      })
      stack.defer(() => void socket.destroy())
      const client = new RawH2(socket)
      client.connect(1, target)
      await expect.poll(() => client.isConnected(1)).toBe(true)
      return client
    },
    /** Waits until a new connection with `svid` is answered so. */
    async answers(svid: Issued, status: number, ca = world.root.pem) {
      await expect
        .poll(
          async () => {
            const answer = await connect(world, gateway.port, { svid, target, tls: { ca } })
            answer.socket.destroy()
            return answer.status
          },
          { timeout: 10_000 },
        )
        .toBe(status)
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
}

type Scene = Awaited<ReturnType<typeof scene>>

async function echoes(client: RawH2, stream: number, text: string): Promise<void> {
  client.send(0, 0, stream, text)
  await expect.poll(() => client.data(stream).toString().endsWith(text)).toBe(true)
}

/** The gateway's own certificate by another CA, or anew. */
async function renewGateway({ world }: Pick<Scene, 'world'>, ca: Ca): Promise<Issued> {
  const issued = await ca.issue({ uris: [GATEWAY_ID], dns: ['localhost'] })
  await world.file('pki/gateway.key', issued.keyPem)
  await world.file('pki/gateway.pem', issued.chainPem)
  return issued
}

describe('a root that is gone', () => {
  test('lets nobody in by a new handshake, nor by a new tunnel on an old connection; the open tunnel is closed', async () => {
    await using s = await scene()
    const old = await s.world.svid('/payments')
    const client = await s.openH2(old)
    const root = await createRoot({ name: 'second root of example.org' })
    await renewGateway(s, root)
    await s.world.file('pki/bundle.pem', root.pem)
    await s.answers(old, 403, root.pem)
    await s.answers(await root.issue({ uris: ['spiffe://example.org/payments'] }), 200, root.pem)
    const records = s.gateway.records().map(({ outcome }) => outcome.code)
    expect(records).toContain('client-certificate-untrusted')

    await expect.poll(() => client.resetCode(1)).not.toBe(null)
    client.connect(3, s.target)
    await expect.poll(() => client.data(3).toString()).toContain('client-certificate-untrusted')
    // Nobody gets a second one.
    await expect.poll(() => client.goAwayCode()).toBe(0)
  })

  test('takes Linkerd’s workloads with it', async () => {
    const prepare = async (world: World) => {
      const root = await createRoot({ name: 'first root of linkerd' })
      await world.file('pki/l5d-root.pem', root.pem)
      first = root
    }
    let first: Ca | null = null
    await using s = await scene(
      {
        listeners: `  - {name: proxy, address: "127.0.0.1:0", protocol: connect}
  - {name: l5d, address: "127.0.0.1:0", protocol: linkerd}`,
        extra: `drain: {delay: 0s, deadline: 1s}
trust:
  - linkerd: {trustAnchors: pki/l5d-root.pem, map: {"*.test": "spiffe://l5d.test/{1}"}}`,
      },
      prepare,
    )
    const leaf = await (first as Ca | null)?.issue({ dns: ['api.test'] })
    const knock = async () => {
      const count = s.gateway.records().length
      const socket = await connectTls(s.world, s.gateway.portOf('l5d'), {
        svid: leaf ?? null,
        tls: { ALPNProtocols: ['transport.l5d.io/v1'] },
      })
      socket.end('nonsense')
      socket.resume()
      const records = await s.gateway.closed(count + 1)
      socket.destroy()
      return records.at(-1)?.outcome.code
    }
    expect(await knock()).toBe('request-malformed')
    await s.world.file('pki/l5d-root.pem', (await createRoot({ name: 'second root of linkerd' })).pem)
    await expect.poll(knock, { timeout: 10_000 }).toBe('client-certificate-untrusted')
  })

  test('takes the mesh’s workloads with it, on a listener with a certificate of its own', async () => {
    const meshes = {
      first: await createRoot({ name: 'first mesh' }),
      second: await createRoot({ name: 'second mesh' }),
    }
    const show = async (world: World, ca: Ca) => {
      const own = await ca.issue({
        uris: ['spiffe://cluster.local/ns/egress/sa/gateway'],
        dns: ['localhost'],
      })
      await world.file('pki/mesh.key', own.keyPem)
      await world.file('pki/mesh.pem', own.chainPem)
      await world.file('pki/mesh-root.pem', ca.pem)
    }
    await using s = await scene(
      {
        listeners: `  - {name: proxy, address: "127.0.0.1:0", protocol: connect}
  - {name: mesh, address: "127.0.0.1:0", protocol: hbone, identity: {certificate: pki/mesh.pem, key: pki/mesh.key}}`,
        extra: `drain: {delay: 0s, deadline: 1s}
trust: [{trustDomain: cluster.local, bundle: pki/mesh-root.pem}]`,
      },
      (world) => show(world, meshes.first),
    )
    const workload = { uris: ['spiffe://cluster.local/ns/payments/sa/api'] }
    const client = await s.openH2(await meshes.first.issue(workload), { ca: meshes.first.pem }, 'mesh')
    await show(s.world, meshes.second)
    const newcomer = await meshes.second.issue(workload)
    await expect
      .poll(
        () =>
          s.openH2(newcomer, { ca: meshes.second.pem }, 'mesh').then(
            () => true,
            () => false,
          ),
        { timeout: 10_000 },
      )
      .toBe(true)
    client.connect(3, s.target)
    await expect.poll(() => client.data(3).toString()).toContain('client-certificate-untrusted')
    await expect.poll(() => client.resetCode(1)).not.toBe(null)
  })
})

test('a root that is added lets its workloads in, beside those of the old one', async () => {
  await using s = await scene()
  const old = await s.world.svid('/payments')
  const root = await createRoot({ name: 'second root of example.org' })
  const workload = await root.issue({ uris: ['spiffe://example.org/payments'] })
  await s.answers(workload, 403)
  await s.world.file('pki/bundle.pem', s.world.root.pem + root.pem)
  await s.answers(workload, 200)
  await s.answers(old, 200)
})

test('a new certificate of the gateway is shown from the next handshake on', async () => {
  await using s = await scene()
  const svid = await s.world.svid('/payments')
  const client = await s.openH2(svid)
  const shown = async () => {
    const socket = await connectTls(s.world, s.gateway.port, { svid })
    const { serialNumber } = socket.getPeerCertificate()
    socket.destroy()
    return BigInt(`0x${serialNumber}`)
  }
  const before = await shown()
  const { certificate } = await renewGateway(s, s.world.issuing)
  await expect.poll(shown, { timeout: 10_000 }).toBe(BigInt(`0x${certificate.serialNumber}`))
  expect(before).not.toBe(BigInt(`0x${certificate.serialNumber}`))
  expect(await s.gateway.metric('sallyport_certificate_not_after_seconds{name="identity"}')).toBe(
    certificate.notAfter.getTime() / 1000,
  )
  await echoes(client, 1, 'still here')
})

test.each<[string, (world: World) => Promise<string>]>([
  ['roots that are none', (world) => world.file('pki/bundle.pem', 'nothing')],
  [
    'roots that do not verify the gateway itself',
    (world) => world.file('pki/bundle.pem', world.partnerCa.pem),
  ],
  [
    'a certificate without its key',
    async (world) => world.file('pki/gateway.pem', (await world.svid('/sallyport/gateway')).chainPem),
  ],
  [
    'a certificate that has ended',
    async (world) => {
      const [notBefore, notAfter] = [new Date(Date.now() - 7_200_000), new Date(Date.now() - 3_600_000)]
      const ended = await world.svid('/sallyport/gateway', { notBefore, notAfter })
      await world.file('pki/gateway.key', ended.keyPem)
      return world.file('pki/gateway.pem', ended.chainPem)
    },
  ],
])('%s: the last good stays', async (_, replace) => {
  await using s = await scene()
  const svid = await s.world.svid('/payments')
  const client = await s.openH2(svid)
  await replace(s.world)
  await expect.poll(() => s.gateway.logged.join()).toContain('kept as they were')
  await s.answers(svid, 200)
  client.connect(3, s.target)
  await expect.poll(() => client.isConnected(3)).toBe(true)
})

test('an SVID that has expired meanwhile opens no further tunnel on its connection, and closes none where atExpiry is keep', async () => {
  let ahead = 0
  await using s = await scene({
    now: () => new Date(Date.now() + ahead),
    more: '    session: {atExpiry: keep}\n',
  })
  const client = await s.openH2(await s.world.svid('/payments', { notAfter: new Date(Date.now() + 600_000) }))
  client.connect(3, s.target)
  await expect.poll(() => client.isConnected(3)).toBe(true)
  ahead = 601_000
  client.connect(5, s.target)
  await expect.poll(() => client.data(5).toString()).toContain('client-certificate-expired')
  await expect.poll(() => client.goAwayCode()).toBe(0)
  for (const stream of [1, 3]) await echoes(client, stream, `stream ${stream}`)
  expect(s.gateway.records().at(-1)).toMatchObject({
    workload: null,
    outcome: { code: 'client-certificate-expired' },
  })
  expect(s.partner.accepted()).toBe(2)
})

test('a key for tokens that is withdrawn verifies none on an old connection either', async () => {
  const keys = await generateKeyPair('ES256')
  const write = async (world: World, keyIds: readonly string[]) => {
    const key = await exportJWK(keys.publicKey)
    const bundle = readBundle(world.root.pem, 'example.org')
    await world.file(
      'pki/bundle.json',
      writeBundle({ ...bundle, jwtAuthorities: keyIds.map((keyId) => ({ keyId, key })) }),
    )
  }
  await using s = await scene(
    {
      bundle: 'pki/bundle.json',
      listeners:
        '  - {name: proxy, address: "127.0.0.1:0", protocol: connect, clientAuthentication: svid-or-token}',
    },
    (world) => write(world, ['k1']),
  )
  const now = Math.floor(Date.now() / 1000)
  const token = await new SignJWT({
    sub: 'spiffe://example.org/agent',
    aud: GATEWAY_ID,
    iat: now,
    exp: now + 300,
  })
    .setProtectedHeader({ alg: 'ES256', kid: 'k1' })
    .sign(keys.privateKey)
  const client = http2.connect(`https://localhost:${s.gateway.port}`, { ca: s.world.root.pem })
  client.on('error', () => {})
  const ask = () =>
    new Promise<number>((resolve, reject) => {
      const stream = client.request({
        ':method': 'CONNECT',
        ':authority': s.target,
        'proxy-authorization': `Bearer ${token}`,
      })
      stream.on('error', reject)
      stream.on('response', (headers) => {
        stream.close()
        resolve(Number(headers[':status']))
      })
    })
  expect(await ask()).toBe(200)
  await write(s.world, ['k2'])
  await expect.poll(ask, { timeout: 10_000 }).toBe(407)
  client.destroy()
})

test('neither TLS 1.3 nor 1.2 is ever resumed', async () => {
  await using s = await scene({
    listeners: '  - {name: proxy, address: "127.0.0.1:0", protocol: connect, minVersion: TLSv1.2}',
  })
  const svid = await s.world.svid('/payments')
  for (const version of ['TLSv1.3', 'TLSv1.2'] as const) {
    const sessions: Buffer[] = []
    const more = { minVersion: version, maxVersion: version }
    const first = await connect(s.world, s.gateway.port, { svid, target: s.target, tls: more })
    first.socket.on('session', (session) => void sessions.push(session))
    const kept = first.socket.getSession()
    if (kept !== undefined) sessions.push(kept)
    first.socket.end()
    await readBody(first)
    for (const session of sessions) {
      const again = await connectTls(s.world, s.gateway.port, { svid, tls: { ...more, session } })
      expect(again.isSessionReused()).toBe(false)
      again.destroy()
    }
  }
})
