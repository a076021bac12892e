// PROXY protocol v2 on a listener: required or not there, from the addresses named alone, before TLS.
import { describe, expect, test } from 'vitest'
import { connectTls, readAnswer } from '../../fixtures/connect-client.ts'
import { partnerDestination, startPartner, toLoopback } from '../../fixtures/partner.ts'
import { ADDRESSES_V6, header, LOCAL, PROXY, TCP6, tlv, vpcEndpoint } from '../../fixtures/proxy-header.ts'
import { connectRaw, readToEnding } from '../../fixtures/sockets.ts'
import { createWorld, startTestGateway } from '../../fixtures/world.ts'

async function setUp(proxyProtocol: string | null = '{required: true, from: [127.0.0.0/8]}', extra = '') {
  const world = await createWorld()
  const partner = await startPartner(world, (socket) => socket.on('end', () => socket.end()).resume())
  const more = proxyProtocol === null ? '' : `, proxyProtocol: ${proxyProtocol}`
  const gateway = await startTestGateway(world, {
    listeners: `  - {name: proxy, address: "127.0.0.1:0", protocol: connect${more}}`,
    destinations: partnerDestination(partner.port),
    resolve: toLoopback,
    extra: `drain: {delay: 0s, deadline: 1s}\n${extra}`,
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

type Place = Awaited<ReturnType<typeof setUp>>

/** A CONNECT behind `bytes`, which are written in `pieces`. */
async function connectBehind({ world, gateway, partner }: Place, bytes: Buffer, pieces = 1) {
  const raw = await connectRaw(gateway.port)
  const size = Math.ceil(bytes.length / pieces)
  for (let offset = 0; offset < bytes.length; offset += size) {
    raw.write(bytes.subarray(offset, offset + size))
    await new Promise((resolve) => setImmediate(resolve))
  }
  const svid = await world.svid('/payments')
  const socket = await connectTls(world, gateway.port, { svid, tls: { socket: raw } })
  socket.write(`CONNECT partner.test:${partner.port} HTTP/1.1\r\nHost: partner.test\r\n\r\n`)
  const answer = await readAnswer(socket)
  socket.end()
  return answer
}

describe('where a header is required', () => {
  const VPCE = vpcEndpoint('vpce-08d2bf15fac5001c9')
  test.for<[string, Buffer, { ip: string; port?: number; vpcEndpoint: string | null }]>([
    ['IPv4', header(), { ip: '10.0.0.5', port: 41234, vpcEndpoint: null }],
    [
      'IPv6',
      header({ family: TCP6, addresses: ADDRESSES_V6 }),
      { ip: '2001:db8::5', port: 41234, vpcEndpoint: null },
    ],
    [
      "AWS's VPC endpoint among unknown TLVs",
      header({ tlvs: [tlv(0xe0, 'x'), VPCE, tlv(0x04, '')] }),
      { ip: '10.0.0.5', vpcEndpoint: 'vpce-08d2bf15fac5001c9' },
    ],
    [
      'a checksum',
      header({ tlvs: [VPCE], checksum: true }),
      { ip: '10.0.0.5', vpcEndpoint: 'vpce-08d2bf15fac5001c9' },
    ],
    ['LOCAL', header({ versionAndCommand: LOCAL }), { ip: '127.0.0.1', vpcEndpoint: null }],
    [
      "ztunnel's claim of an identity, which is nobody's",
      header({ tlvs: [tlv(0xd0, 'spiffe://example.org/admin')] }),
      { ip: '10.0.0.5', vpcEndpoint: null },
    ],
  ])('the source is what it says: %s', async ([, bytes, source]) => {
    await using place = await setUp()
    expect((await connectBehind(place, bytes)).status).toBe(200)
    expect((await place.gateway.closed(1))[0]).toMatchObject({
      source,
      workload: 'spiffe://example.org/payments',
    })
  })

  test('it may come byte by byte', async () => {
    await using place = await setUp()
    const bytes = header({ tlvs: [VPCE], checksum: true })
    expect((await connectBehind(place, bytes, bytes.length)).status).toBe(200)
    expect((await place.gateway.closed(1))[0]?.source.ip).toBe('10.0.0.5')
  })

  const wrong = Buffer.from(header({ checksum: true }))
  wrong[20] = (wrong[20] ?? 0) ^ 1
  test.for<[string, Buffer, string]>([
    ['a client that sends none', Buffer.from('16030100', 'hex'), 'client-proxy-header-missing'],
    ['version 1', Buffer.from('PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n'), 'client-proxy-header-missing'],
    ['a second header', Buffer.concat([header(), header()]), 'client-proxy-header-second'],
    [
      'a second header behind LOCAL',
      Buffer.concat([header({ versionAndCommand: LOCAL }), header()]),
      'client-proxy-header-second',
    ],
    ['a wrong checksum', wrong, 'client-proxy-header-malformed'],
    ['a TLV that overruns', header({ tlvs: [tlv(0x04, 'x', 500)] }), 'client-proxy-header-malformed'],
    ['UDP', header({ family: 0x12 }), 'client-proxy-header-malformed'],
    ['a header of 60 KiB', header({ length: 60_000 }), 'client-proxy-header-malformed'],
    ['version 3', header({ versionAndCommand: PROXY + 0x10 }), 'client-proxy-header-malformed'],
  ])('%s is reset and recorded', async ([, bytes, code]) => {
    await using place = await setUp()
    const raw = await connectRaw(place.gateway.port)
    raw.write(bytes)
    expect((await readToEnding(raw)).how).toBe('reset')
    expect((await place.gateway.closed(1))[0]?.outcome.code).toBe(code)
    await expect.poll(() => place.gateway.metric('sallyport_connections_open')).toBe(0)
  })

  test('an address that is not named may not say for whom it connects', async () => {
    await using place = await setUp('{required: true, from: [10.0.0.0/8]}')
    const raw = await connectRaw(place.gateway.port)
    expect((await readToEnding(raw)).how).toBe('reset')
    expect((await place.gateway.closed(1))[0]).toMatchObject({
      outcome: { code: 'client-proxy-header-source' },
      source: { ip: '127.0.0.1' },
    })
  })

  test.for<[string, Buffer | null]>([
    ['LOCAL and nothing behind it', header({ versionAndCommand: LOCAL })],
    [
      'a header without addresses and nothing behind it',
      header({ family: 0x00, addresses: Buffer.alloc(0) }),
    ],
    ['nothing at all', null],
  ])('a health check that sends %s is counted and leaves no record', async ([, bytes]) => {
    await using place = await setUp()
    const raw = await connectRaw(place.gateway.port)
    if (bytes !== null) raw.write(bytes)
    raw.end()
    await readToEnding(raw)
    await expect.poll(() => place.gateway.metric('sallyport_probes_total')).toBe(1)
    expect(place.gateway.records()).toEqual([])
  })

  test('one that never comes to its end is given up', async () => {
    await using place = await setUp(undefined, 'arrivals: {timeout: 200ms}')
    const raw = await connectRaw(place.gateway.port)
    raw.write(header().subarray(0, 20))
    expect((await readToEnding(raw)).how).toBe('reset')
    expect((await place.gateway.closed(1))[0]?.outcome.code).toBe('client-proxy-header-timeout')
  })
})

test.for<[string, string | null]>([
  ['there is no such key', null],
  ['required is false', '{required: false, from: [127.0.0.0/8]}'],
])('where %s, a header is no TLS', async ([, proxyProtocol]) => {
  await using place = await setUp(proxyProtocol)
  const raw = await connectRaw(place.gateway.port)
  raw.write(header())
  expect((await readToEnding(raw)).how).toBe('reset')
  expect((await place.gateway.closed(1))[0]).toMatchObject({
    source: { ip: '127.0.0.1' },
    outcome: { code: 'client-not-tls' },
  })
})
