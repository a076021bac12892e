// `passthrough`: the client's own TLS goes through to the service; who asks is where the connection comes from.
import type net from 'node:net'
import tls from 'node:tls'
import { describe, expect, test } from 'vitest'
import { extension, hello, name, record, serverName } from '../../fixtures/client-hello.ts'
import { startPartner, toLoopback } from '../../fixtures/partner.ts'
import { header, vpcEndpoint } from '../../fixtures/proxy-header.ts'
import { connectRaw, readToEnding } from '../../fixtures/sockets.ts'
import { createWorld, startTestGateway } from '../../fixtures/world.ts'

interface Options {
  readonly networks?: string
  readonly policy?: string
  readonly listener?: string
  readonly destination?: string
}

async function setUp(options: Options = {}) {
  const world = await createWorld()
  const partner = await startPartner(world, (socket) => {
    socket.on('data', (chunk) => socket.write(`echo ${chunk}`))
    socket.on('end', () => socket.end())
  })
  const gateway = await startTestGateway(world, {
    listeners: `  - {name: raw, address: "127.0.0.1:0", protocol: passthrough${options.listener ?? ''}}
  - {name: proxy, address: "127.0.0.1:0", protocol: connect}`,
    destinations: `  - name: partner
    hosts: [partner.test, "*.wide.test"]
    ports: [${partner.port}]
    tls: passthrough
    allowAddresses: [127.0.0.0/8]
${options.destination ?? ''}
  - {name: other, hosts: [other.test], ports: [8443], tls: passthrough}
  - {name: originated, hosts: [originated.test], ports: [${partner.port}]}
  - {name: web, hosts: [web.test], ports: [443], allowAddresses: [127.0.0.0/8]}`,
    policy:
      options.policy ??
      '@id("legacy") permit (principal == Network::"legacy-batch", action, resource == Destination::"partner");',
    extra: `drain: {delay: 0s, deadline: 1s}
networks:
${options.networks ?? '  - {name: legacy-batch, sources: [127.0.0.0/8]}'}`,
    resolve: toLoopback,
  })
  return {
    ...{ world, partner, gateway },
    async [Symbol.asyncDispose]() {
      await gateway[Symbol.asyncDispose]()
      await partner[Symbol.asyncDispose]()
      await world[Symbol.asyncDispose]()
    },
  }
}

/** The partner's own TLS, through the gateway. */
async function speak(raw: net.Socket, ca: string, servername = 'partner.test') {
  const socket = tls.connect({ socket: raw, ca, servername, allowHalfOpen: true } as tls.ConnectionOptions)
  socket.on('error', () => {})
  socket.end('hello')
  return readToEnding(socket)
}

describe('a workload of a network', () => {
  test("speaks the partner's TLS itself, by the name in its ClientHello", async () => {
    await using place = await setUp()
    const raw = await connectRaw(place.gateway.portOf('raw'))
    const answer = await speak(raw, place.world.partnerCa.pem)
    expect(answer).toMatchObject({ how: 'end', data: Buffer.from('echo hello') })
    expect((await place.gateway.closed(1))[0]).toMatchObject({
      listener: 'raw',
      workload: null,
      network: 'legacy-batch',
      credential: 'network',
      serialNumber: null,
      requested: { host: 'partner.test', port: place.partner.port, serverName: 'partner.test' },
      destination: 'partner',
      decision: { policies: ['legacy'] },
      upstream: { serverName: 'partner.test', nameProof: 'client-hello', tlsVersion: null },
      outcome: { code: 'closed' },
    })
  })

  test('is what its VPC endpoint says, by the header of the balancer', async () => {
    await using place = await setUp({
      listener: ', proxyProtocol: {required: true, from: [127.0.0.0/8]}',
      networks: `  - {name: legacy-batch, vpcEndpoints: [vpce-0123]}
  - {name: others, sources: [10.0.0.0/8]}`,
    })
    const raw = await connectRaw(place.gateway.portOf('raw'))
    raw.write(header({ tlvs: [vpcEndpoint('vpce-0123')] }))
    expect((await speak(raw, place.world.partnerCa.pem)).data.toString()).toBe('echo hello')
    expect((await place.gateway.closed(1))[0]).toMatchObject({
      network: 'legacy-batch',
      source: { ip: '10.0.0.5', port: 41234, vpcEndpoint: 'vpce-0123' },
    })
  })

  test('is nobody behind an endpoint that is not listed, whatever address it gave itself', async () => {
    await using place = await setUp({
      listener: ', proxyProtocol: {required: true, from: [127.0.0.0/8]}',
      networks: '  - {name: legacy-batch, sources: [10.0.0.0/8]}',
    })
    const raw = await connectRaw(place.gateway.portOf('raw'))
    raw.write(header({ tlvs: [vpcEndpoint('vpce-0bad')] }))
    expect((await speak(raw, place.world.partnerCa.pem)).how).toBe('reset')
    expect((await place.gateway.closed(1))[0]).toMatchObject({
      network: null,
      source: { ip: '10.0.0.5', vpcEndpoint: 'vpce-0bad' },
      outcome: { code: 'client-network-unknown' },
    })
    expect(place.partner.accepted()).toBe(0)
  })

  test('is of the closest range, whatever the order', async () => {
    await using place = await setUp({
      networks: `  - {name: everybody, sources: [0.0.0.0/0]}
  - {name: legacy-batch, sources: [127.0.0.1/32]}
  - {name: loopback, sources: [127.0.0.0/8]}`,
    })
    const raw = await connectRaw(place.gateway.portOf('raw'))
    expect((await speak(raw, place.world.partnerCa.pem)).data.toString()).toBe('echo hello')
  })

  test('a policy about VPC endpoints sees the one in the header', async () => {
    await using place = await setUp({
      listener: ', proxyProtocol: {required: true, from: [127.0.0.0/8]}',
      networks: '  - {name: legacy-batch, sources: [10.0.0.0/8], vpcEndpoints: [vpce-0123, vpce-0456]}',
      policy:
        '@id("e") permit (principal is Network, action, resource) when { context has vpcEndpoint && context.vpcEndpoint == "vpce-0123" };',
    })
    for (const [tlvs, how] of [
      [[vpcEndpoint('vpce-0123')], 'end'],
      [[vpcEndpoint('vpce-0456')], 'reset'],
      [[], 'reset'],
    ] as const) {
      const raw = await connectRaw(place.gateway.portOf('raw'))
      raw.write(header({ tlvs }))
      expect((await speak(raw, place.world.partnerCa.pem)).how).toBe(how)
    }
  })
})

describe('a passthrough listener resets', () => {
  test.for<[string, Options, string, string]>([
    [
      'a source that no network covers',
      { networks: '  - {name: legacy-batch, sources: [10.0.0.0/8]}' },
      'partner.test',
      'client-network-unknown',
    ],
    [
      'a network that policy does not permit',
      { policy: '@id("x") forbid (principal, action, resource);' },
      'partner.test',
      'policy-denied',
    ],
    ['a name that no destination has', {}, 'elsewhere.test', 'destination-unknown'],
    ['the apex of a suffix', {}, 'wide.test', 'destination-unknown'],
    ['a name to which the gateway speaks TLS itself', {}, 'originated.test', 'destination-unknown'],
    [
      'a name to which the gateway speaks TLS itself on the port of HTTPS, which is meant where none is said',
      { policy: '@id("all") permit (principal is Network, action, resource);' },
      'web.test',
      'destination-unknown',
    ],
    [
      'a port of its own that no destination has',
      { listener: ', port: 8443' },
      'partner.test',
      'destination-unknown',
    ],
  ])('%s', async ([, options, servername, code]) => {
    await using place = await setUp(options)
    const raw = await connectRaw(place.gateway.portOf('raw'))
    expect((await speak(raw, place.world.partnerCa.pem, servername)).how).toBe('reset')
    expect((await place.gateway.closed(1))[0]).toMatchObject({ outcome: { code } })
    expect(place.partner.accepted()).toBe(0)
  })

  test.for<[string, string | Buffer, string]>([
    ['HTTP', 'GET / HTTP/1.1\r\nHost: partner.test\r\n\r\n', 'client-not-tls'],
    ['a hello without a name', record(hello({ extensions: [] })), 'request-server-name-missing'],
    [
      'a hello that is cut off by an alert',
      Buffer.concat([record(hello()).subarray(0, 5), Buffer.alloc(40)]),
      'client-hello-malformed',
    ],
  ])('%s', async ([, bytes, code]) => {
    await using place = await setUp()
    const raw = await connectRaw(place.gateway.portOf('raw'))
    raw.write(bytes)
    await readToEnding(raw)
    expect((await place.gateway.closed(1))[0]?.outcome.code).toBe(code)
    expect(place.partner.accepted()).toBe(0)
    await expect.poll(() => place.gateway.metric('sallyport_connections_open')).toBe(0)
  })

  test.for<[string, 'ignore' | 'refuse', string | null]>([
    ['an encrypted hello where the destination says so', 'refuse', 'request-ech'],
    ['nothing where it does not', 'ignore', null],
  ])('%s', async ([, ech, code]) => {
    await using place = await setUp({ destination: `    ech: ${ech}` })
    const raw = await connectRaw(place.gateway.portOf('raw'))
    raw.write(
      record(hello({ extensions: [serverName(name('partner.test')), extension(0xfe0d, Buffer.alloc(186))] })),
    )
    if (code === null) await expect.poll(() => place.partner.accepted()).toBe(1)
    else {
      await readToEnding(raw)
      expect((await place.gateway.closed(1))[0]?.outcome.code).toBe(code)
      expect(place.partner.accepted()).toBe(0)
    }
    raw.destroy()
  })
})
