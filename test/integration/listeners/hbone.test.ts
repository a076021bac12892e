// The `hbone` listener against a peer that behaves as ztunnel does.
import { describe, expect, test } from 'vitest'
import { connectHbone } from '../../fakes/mesh/hbone-client.ts'
import { connectTls } from '../../fixtures/connect-client.ts'
import { partnerDestination, startPartner, toLoopback } from '../../fixtures/partner.ts'
import { readToEnding } from '../../fixtures/sockets.ts'
import { createRoot } from '../../fixtures/pki.ts'
import { createWorld, startTestGateway, type World } from '../../fixtures/world.ts'

const GATEWAY_ID = 'spiffe://cluster.local/ns/egress/sa/gateway'
const CLIENT_ID = 'spiffe://cluster.local/ns/payments/sa/api'
const LISTENER = `  - name: mesh
    address: "127.0.0.1:0"
    protocol: hbone
    identity: {certificate: pki/mesh.pem, key: pki/mesh.key}
  - {name: proxy, address: "127.0.0.1:0", protocol: connect}`

/** A mesh with a CA of its own, which signed the certificate that the listener shows. */
async function createMesh(world: World) {
  const root = await createRoot({ name: 'mesh CA' })
  const own = await root.issue({ uris: [GATEWAY_ID] })
  await world.file('pki/mesh.pem', own.chainPem)
  await world.file('pki/mesh.key', own.keyPem)
  await world.file('pki/mesh-root.pem', root.pem)
  return root
}

async function setUp(more = '') {
  const world = await createWorld()
  const root = await createMesh(world)
  const partner = await startPartner(world, (socket) => {
    socket.on('data', (chunk) => socket.write(`echo ${chunk}`))
    socket.on('end', () => socket.end())
  })
  const gateway = await startTestGateway(world, {
    listeners: LISTENER,
    destinations: partnerDestination(partner.port, more),
    extra: `drain: {delay: 0s, deadline: 1s}
trust: [{trustDomain: cluster.local, bundle: pki/mesh-root.pem}]`,
    resolve: toLoopback,
  })
  const client = async (id = CLIENT_ID, ca = root) => {
    const { chainPem, keyPem } = await ca.issue({ uris: [id] })
    const port = gateway.portOf('mesh')
    return connectHbone({ port, cert: chainPem, key: keyPem, ca: root.pem, serverIds: [GATEWAY_ID] })
  }
  return {
    ...{ world, root, partner, gateway, client },
    async [Symbol.asyncDispose]() {
      await gateway[Symbol.asyncDispose]()
      await partner[Symbol.asyncDispose]()
      await world[Symbol.asyncDispose]()
    },
  }
}

describe('a workload of an ambient mesh', () => {
  test('reaches the partner without SNI, many at once on one connection, each with its own record', async () => {
    await using mesh = await setUp()
    await using client = await mesh.client()
    const authority = `partner.test:${mesh.partner.port}`
    const tunnels = await Promise.all([1, 2, 3].map(() => client.connect({ authority })))
    for (const [index, { status, stream }] of tunnels.entries()) {
      expect(status).toBe(200)
      stream.end(`hello ${index}`)
      expect((await readToEnding(stream)).data.toString()).toBe(`echo hello ${index}`)
    }
    const records = await mesh.gateway.closed(3)
    expect(new Set(records.map(({ connection }) => connection)).size).toBe(1)
    expect(records[0]).toMatchObject({
      listener: 'mesh',
      workload: CLIENT_ID,
      requested: { host: 'partner.test', port: mesh.partner.port },
      outcome: { code: 'closed' },
    })
  })

  test('is asked for by an address of requestedAs, which is recorded and never dialled', async () => {
    await using mesh = await setUp('    requestedAs: ["240.240.0.7:443"]')
    await using client = await mesh.client()
    const { status, stream } = await client.connect({ authority: '240.240.0.7:443' })
    expect(status).toBe(200)
    stream.end('hello')
    expect((await readToEnding(stream)).data.toString()).toBe('echo hello')
    const [record] = await mesh.gateway.closed(1)
    expect(record).toMatchObject({
      requested: { host: '240.240.0.7', port: 443 },
      destination: 'partner',
      upstream: { address: `127.0.0.1:${mesh.partner.port}`, serverName: 'partner.test' },
    })
  })

  test('what the mesh says about it is in the record as hints, and nobody is believed for it', async () => {
    await using mesh = await setUp()
    await using client = await mesh.client()
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
    const { stream } = await client.connect({
      authority: `partner.test:${mesh.partner.port}`,
      baggage: 'k8s.namespace.name=admin,service.name=vault',
      forwarded: 'for="10.244.1.7:40000"',
      traceparent,
    })
    stream.end()
    await readToEnding(stream)
    expect((await mesh.gateway.closed(1))[0]).toMatchObject({
      workload: CLIENT_ID,
      source: { ip: '127.0.0.1' },
      hints: {
        baggage: { namespace: 'admin', service: 'vault', cluster: null },
        forwarded: { source: { address: '10.244.1.7', port: 40000 } },
        trace: { traceId: '0af7651916cd43dd8448eb211c80319c', sampled: true },
      },
    })
  })

  test('is told 200 only after the partner is connected', async () => {
    await using mesh = await setUp()
    await using client = await mesh.client()
    await mesh.partner[Symbol.asyncDispose]()
    const { status, headers } = await client.connect({ authority: `partner.test:${mesh.partner.port}` })
    expect(status).toBe(502)
    expect(headers['proxy-status']).toContain('connection_refused')
  })
})

describe('the hbone listener', () => {
  test.for<[string, string, 'own' | 'other', string]>([
    [
      "an ID of the gateway's own trust domain, signed by the mesh's CA",
      'spiffe://example.org/payments',
      'own',
      'client-trust-domain-unknown',
    ],
    ['an ID of the mesh, signed by another CA', CLIENT_ID, 'other', 'client-certificate-untrusted'],
  ])('refuses %s', async ([, id, by, code]) => {
    await using mesh = await setUp()
    const stranger = await createRoot({ name: 'other CA' })
    await using client = await mesh.client(id, by === 'own' ? mesh.root : stranger)
    const { status } = await client.connect({ authority: `partner.test:${mesh.partner.port}` })
    expect(status).toBe(403)
    expect((await mesh.gateway.closed(1))[0]).toMatchObject({ workload: null, outcome: { code } })
    expect(mesh.partner.accepted()).toBe(0)
  })

  test("and the mesh's IDs are nobody on a listener of the gateway's own trust domain", async () => {
    await using mesh = await setUp()
    const svid = await mesh.root.issue({ uris: [CLIENT_ID] })
    const socket = await connectTls(mesh.world, mesh.gateway.port, { svid })
    socket.write('CONNECT partner.test:443 HTTP/1.1\r\nHost: partner.test\r\n\r\n')
    await readToEnding(socket)
    expect((await mesh.gateway.closed(1))[0]?.outcome.code).toBe('client-trust-domain-unknown')
  })

  test.for<[string, readonly string[], string]>([
    ['no ALPN', [], 'client-alpn-mismatch'],
    ['another ALPN', ['http/1.1'], 'client-handshake-failed'],
  ])('resets a client with %s', async ([, ALPNProtocols, code]) => {
    await using mesh = await setUp()
    const svid = await mesh.root.issue({ uris: [CLIENT_ID] })
    const tls = { ALPNProtocols: [...ALPNProtocols], ca: mesh.root.pem, checkServerIdentity: () => undefined }
    await connectTls(mesh.world, mesh.gateway.portOf('mesh'), { svid, tls })
      .then(readToEnding)
      .catch(() => null)
    expect((await mesh.gateway.closed(1))[0]?.outcome.code).toBe(code)
    expect(await mesh.gateway.metric('sallyport_connections_open')).toBe(0)
  })
})
