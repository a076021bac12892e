// The `linkerd` listener against a peer that behaves as a Linkerd proxy does.
import { describe, expect, test } from 'vitest'
import { connectLinkerd } from '../../fakes/mesh/linkerd-client.ts'
import { encodeMessage, framed, type TransportHeader } from '../../fakes/mesh/transport-header.ts'
import { partnerDestination, startPartner, toLoopback } from '../../fixtures/partner.ts'
import { createRoot, type LeafOptions } from '../../fixtures/pki.ts'
import { readToEnding } from '../../fixtures/sockets.ts'
import { createWorld, startTestGateway } from '../../fixtures/world.ts'

const SUFFIX = 'serviceaccount.identity.linkerd.cluster.local'
const GATEWAY_NAME = `sallyport.egress.${SUFFIX}`
const CLIENT_NAME = `api.payments.${SUFFIX}`
const LISTENER = `  - name: l5d
    address: "127.0.0.1:0"
    protocol: linkerd
    identity: {certificate: pki/l5d.pem, key: pki/l5d.key}
  - name: others
    address: "127.0.0.1:0"
    protocol: linkerd
    identity: {certificate: pki/l5d.pem, key: pki/l5d.key}
    trustDomains: [example.org]`

async function setUp() {
  const world = await createWorld()
  const root = await createRoot({ name: 'identity.linkerd.cluster.local' })
  const own = await root.issue({ dns: [GATEWAY_NAME] })
  await world.file('pki/l5d.pem', own.chainPem)
  await world.file('pki/l5d.key', own.keyPem)
  await world.file('pki/l5d-root.pem', root.pem)
  const partner = await startPartner(world, (socket) => {
    socket.on('data', (chunk) => socket.write(`echo ${chunk}`))
    socket.on('end', () => socket.end())
  })
  const gateway = await startTestGateway(world, {
    listeners: LISTENER,
    destinations: partnerDestination(partner.port),
    policy: '@id("p") permit (principal in Path::"spiffe://cluster.local/ns/payments", action, resource);',
    extra: `drain: {delay: 0s, deadline: 1s}
trust:
  - linkerd:
      trustAnchors: pki/l5d-root.pem
      map: {"*.*.${SUFFIX}": "spiffe://cluster.local/ns/{2}/sa/{1}"}`,
    resolve: toLoopback,
  })
  const client = async (
    header: TransportHeader | null,
    leaf: LeafOptions = { dns: [CLIENT_NAME] },
    ca = root,
    listener = 'l5d',
  ) => {
    const { chainPem, keyPem } = await ca.issue(leaf)
    const port = gateway.portOf(listener)
    return connectLinkerd({
      port,
      cert: chainPem,
      key: keyPem,
      ca: root.pem,
      serverName: GATEWAY_NAME,
      header,
    })
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

describe('a workload behind a Linkerd proxy', () => {
  test('is the workload that the map makes of its name, and reaches the host in the header', async () => {
    await using mesh = await setUp()
    await using client = await mesh.client({ port: mesh.partner.port, name: 'partner.test' })
    client.socket.end('hello')
    expect(await readToEnding(client.socket)).toMatchObject({ how: 'end', data: Buffer.from('echo hello') })
    expect((await mesh.gateway.closed(1))[0]).toMatchObject({
      workload: 'spiffe://cluster.local/ns/payments/sa/api',
      credential: 'certificate',
      requested: { host: 'partner.test', port: mesh.partner.port },
      bytes: { sent: 5, received: 10 },
      outcome: { code: 'closed' },
    })
  })

  test('may send its header in pieces, with the payload behind it in the same bytes', async () => {
    await using mesh = await setUp()
    await using client = await mesh.client(null)
    const header = framed(encodeMessage({ port: mesh.partner.port, name: 'partner.test' }))
    const bytes = Buffer.concat([header, Buffer.from('hello')])
    for (const byte of bytes.subarray(0, -8)) client.socket.write(Buffer.of(byte))
    client.socket.end(bytes.subarray(-8))
    expect((await readToEnding(client.socket)).data.toString()).toBe('echo hello')
  })

  test.for<[string, LeafOptions, string]>([
    ['a name that no entry of the map has', { dns: ['api.payments.other.test'] }, 'client-name-unmapped'],
    ['two names', { dns: [CLIENT_NAME, `admin.payments.${SUFFIX}`] }, 'client-name-unmapped'],
    [
      'the mapped SPIFFE ID itself, which no bundle covers',
      { uris: ['spiffe://cluster.local/ns/payments/sa/api'] },
      'client-trust-domain-unknown',
    ],
    ['a certificate of a CA', { dns: [CLIENT_NAME], ca: true }, 'client-svid-is-ca'],
    [
      'a certificate for servers alone',
      { dns: [CLIENT_NAME], eku: ['1.3.6.1.5.5.7.3.1'] },
      'client-svid-extended-key-usage',
    ],
    [
      'a certificate that has ended',
      {
        dns: [CLIENT_NAME],
        notBefore: new Date(Date.now() - 7_200_000),
        notAfter: new Date(Date.now() - 3_600_000),
      },
      'client-certificate-expired',
    ],
  ])('is reset where it shows %s', async ([, leaf, code]) => {
    await using mesh = await setUp()
    await using client = await mesh.client({ port: mesh.partner.port, name: 'partner.test' }, leaf)
    expect((await readToEnding(client.socket)).how).toBe('reset')
    expect((await mesh.gateway.closed(1))[0]).toMatchObject({ workload: null, outcome: { code } })
    expect(mesh.partner.accepted()).toBe(0)
  })

  test('is nobody where another CA signed its name', async () => {
    await using mesh = await setUp()
    const other = await createRoot({ name: 'identity.linkerd.cluster.local' })
    await using client = await mesh.client({ port: 443, name: 'partner.test' }, { dns: [CLIENT_NAME] }, other)
    expect((await readToEnding(client.socket)).how).toBe('reset')
    expect((await mesh.gateway.closed(1))[0]?.outcome.code).toBe('client-certificate-untrusted')
  })

  test('is let in by listeners that name the trust domain of its workload alone', async () => {
    await using mesh = await setUp()
    const header = { port: mesh.partner.port, name: 'partner.test' }
    await using client = await mesh.client(header, undefined, undefined, 'others')
    expect((await readToEnding(client.socket)).how).toBe('reset')
    expect((await mesh.gateway.closed(1))[0]).toMatchObject({
      workload: null,
      outcome: { code: 'client-trust-domain-unknown' },
    })
    expect(mesh.partner.accepted()).toBe(0)
  })

  test.for<[string, TransportHeader | string, string]>([
    ['names no host', { port: 443 }, 'request-target'],
    ['names an unknown host', { port: 443, name: 'elsewhere.test' }, 'destination-unknown'],
    ['says HTTP/2', { port: 443, name: 'partner.test', sessionProtocol: 'http2' }, 'request-target'],
    ['is another protocol', 'GET / HTTP/1.1\r\n\r\n', 'request-malformed'],
    ['ends before it is whole', 'transport.l5d.io/v1\r\n', 'request-malformed'],
  ])('is reset where its header %s', async ([, header, code]) => {
    await using mesh = await setUp()
    await using client = await mesh.client(typeof header === 'string' ? null : header)
    if (typeof header === 'string') client.socket.end(header)
    await readToEnding(client.socket)
    expect((await mesh.gateway.closed(1))[0]?.outcome.code).toBe(code)
    expect(mesh.partner.accepted()).toBe(0)
    await expect.poll(() => mesh.gateway.metric('sallyport_connections_open')).toBe(0)
  })
})
