// Each class of address through the whole gateway: a DNS server says where a name leads, and nothing is dialled.
import os from 'node:os'
import ipaddr from 'ipaddr.js'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createDial } from '../../../gateway/upstream/dial.ts'
import { connect, readBody } from '../../fixtures/connect-client.ts'
import { startTcp } from '../../fixtures/partner.ts'
import { freePort } from '../../fixtures/process.ts'
import { createWorld, startTestGateway } from '../../fixtures/world.ts'
import { fakeDns } from '../upstream/fake-dns.ts'

const CASES: Readonly<Record<string, readonly [addresses: readonly string[], code: string]>> = {
  loopback: [['127.0.0.1', '::1'], 'address-loopback'],
  unspecified: [['0.0.0.0', '::'], 'address-unspecified'],
  'this network': [['0.1.2.3'], 'address-unspecified'],
  'link-local': [['169.254.7.7', 'fe80::7'], 'address-link-local'],
  private: [['10.9.0.1', '172.16.0.1', '192.168.0.1', 'fd12::1'], 'address-private'],
  'carrier-grade NAT': [['100.64.0.1'], 'address-cgnat'],
  multicast: [['224.0.0.1', 'ff02::1'], 'address-multicast'],
  broadcast: [['255.255.255.255'], 'address-multicast'],
  benchmark: [['198.18.0.1', '2001:2::1'], 'address-benchmark'],
  documentation: [['203.0.113.9', '2001:db8::9', '3fff::9'], 'address-documentation'],
  reserved: [['240.0.0.1', '192.0.0.9', '4000::1'], 'address-reserved'],
  'loopback, mapped': [['::ffff:127.0.0.1'], 'address-loopback'],
  'metadata, mapped': [['::ffff:169.254.169.254'], 'address-metadata'],
  'private behind NAT64': [['64:ff9b::10.0.0.1'], 'address-private'],
  'private behind NAT64 of local use': [['64:ff9b:1::10.0.0.1'], 'address-private'],
  'public behind NAT64': [['64:ff9b::8.8.8.8'], 'address-embedded'],
  'loopback in 6to4': [['2002:7f00:1::1'], 'address-loopback'],
  'public in 6to4': [['2002:808:808::1'], 'address-embedded'],
  'a private client in Teredo': [['2001:0:808:808::f5ff:fffe'], 'address-private'],
  'loopback in ISATAP': [['2a00::5efe:7f00:1'], 'address-loopback'],
  'loopback, IPv4-compatible': [['::127.0.0.1'], 'address-loopback'],
  'instance metadata': [['169.254.169.254', 'fd00:ec2::254'], 'address-metadata'],
  'credentials of the task': [['169.254.170.2'], 'address-metadata'],
  'credentials of the pod': [['169.254.170.23', 'fd00:ec2::23'], 'address-metadata'],
  time: [['169.254.169.123', 'fd00:ec2::123'], 'address-metadata'],
  DNS: [['169.254.169.253', 'fd00:ec2::253'], 'address-metadata'],
  'the resolver of the VPC': [['10.20.0.2'], 'address-metadata'],
  'other clouds': [['168.63.129.16', '100.100.100.200', '192.0.0.192'], 'address-metadata'],
  'the VPC': [['10.20.7.7', '2600:1f18:1:1ff::7'], 'address-vpc'],
  'several, none of them fit': [['10.9.0.1', '127.0.0.1'], 'address-private'],
}

/** The name that resolves to these addresses. */
const nameOf = (index: number) => `n${index}.test`

function recordsOf(addresses: readonly string[], type: 'A' | 'AAAA'): readonly Uint8Array[] {
  return addresses
    .map((text) => Uint8Array.from(ipaddr.parse(text).toByteArray()))
    .filter(({ length }) => length === (type === 'A' ? 4 : 16))
}

async function createScene() {
  const stack = new AsyncDisposableStack()
  const world = stack.use(await createWorld())
  const partner = stack.use(await startTcp((raw) => raw.resume().end()))
  const dialled: string[] = []
  const answers = Object.values(CASES).map(([addresses]) => addresses)
  const zone: Readonly<Record<string, readonly string[]>> = {
    ...Object.fromEntries(answers.map((addresses, index) => [nameOf(index), addresses])),
    // One that may be dialled among others.
    'mixed.test': ['10.9.0.1', '127.0.0.1', '64:ff9b::808:808', 'fd00:ec2::254'],
    'partner.test': ['127.0.0.1'],
    'own.test': ['127.0.0.1', '::ffff:127.0.0.1'],
    'host.test': hostAddresses(),
  }
  const dns = stack.use(await fakeDns((type, name) => ({ records: recordsOf(zone[name] ?? [], type) })))
  const [own, everywhere] = [await freePort(), await freePort()]
  const dial = createDial()
  const gateway = stack.use(
    await startTestGateway(world, {
      listeners: `  - {name: proxy, address: "127.0.0.1:0", protocol: connect}
  - {name: second, address: "127.0.0.1:${own}", protocol: connect}
  - {name: everywhere, address: "0.0.0.0:${everywhere}", protocol: connect}`,
      destinations: `  - {name: names, hosts: [${answers.map((_, index) => nameOf(index)).join(', ')}], ports: [443]}
  - {name: literal, hosts: ["169.254.169.254", "::1", "10.20.7.7"], ports: [80], tls: opaque}
  - {name: partner, hosts: [partner.test, mixed.test], ports: [${partner.port}], tls: opaque, allowAddresses: [127.0.0.0/8]}
  - {name: loop, hosts: [own.test, host.test], ports: [${own}, ${everywhere}], allowAddresses: [0.0.0.0/0, 127.0.0.1/32]}`,
      extra: `drain: {delay: 0s, deadline: 1s}
addresses: {vpcCidrs: [10.20.0.0/16, "2600:1f18:1:100::/56"]}
dns: {servers: ["${dns.address}"]}`,
      dial(endpoint, signal) {
        dialled.push(`${endpoint.address} ${endpoint.port}`)
        return dial(endpoint, signal)
      },
    }),
  )
  const svid = await world.svid('/payments')
  return {
    ...{ world, partner, dns, gateway, dialled, own, everywhere },
    /** The closing record of a CONNECT. */
    async outcome(target: string) {
      const before = gateway.records().length
      const answer = await connect(world, gateway.port, { svid, target })
      const body = answer.status === 200 ? '' : await readBody(answer)
      if (answer.status === 200) answer.socket.resume().end()
      return { status: answer.status, body, record: (await gateway.closed(before + 1))[before] }
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
}

/** IPv4, other than loopback; a host without a network has none. */
function hostAddresses(): readonly string[] {
  const all = Object.values(os.networkInterfaces()).flatMap((list) => list ?? [])
  return all.filter(({ family, internal }) => family === 'IPv4' && !internal).map(({ address }) => address)
}

let scene: Awaited<ReturnType<typeof createScene>>
beforeAll(async () => {
  scene = await createScene()
})
afterAll(() => scene[Symbol.asyncDispose]())

async function expectRefused(target: string, code: string): Promise<void> {
  const before = scene.dialled.length
  const { status, body, record } = await scene.outcome(target)
  expect(status).toBe(403)
  // What is there is told to nobody but the operator.
  expect(body).not.toContain('address')
  expect(record).toMatchObject({
    outcome: { code },
    decision: { result: 'allow' },
    upstream: { address: null, attempts: 0 },
  })
  expect(scene.dialled.length).toBe(before)
}

describe('a name that resolves to an address that no destination should reach', () => {
  test.each(Object.entries(CASES).map(([name, [, code]], index) => ({ name, code, index })))(
    '$name: $code',
    async ({ code, index }) => expectRefused(`${nameOf(index)}:443`, code),
  )
})

test.each([
  ['169.254.169.254:80', 'address-metadata'],
  ['[::1]:80', 'address-loopback'],
  ['10.20.7.7:80', 'address-vpc'],
])('a literal address is judged too, although the destination lists it: %s', async (target, code) => {
  const before = scene.dns.queries.length
  await expectRefused(target, code)
  expect(scene.dns.queries.length).toBe(before)
})

test('of several addresses those are dialled that are permitted, as they were checked', async () => {
  const before = { dialled: scene.dialled.length, queries: scene.dns.queries.length }
  const { record } = await scene.outcome(`mixed.test:${scene.partner.port}`)
  expect(record?.upstream).toMatchObject({ address: `127.0.0.1:${scene.partner.port}`, attempts: 1 })
  expect(scene.dialled.slice(before.dialled)).toEqual([`127.0.0.1 ${scene.partner.port}`])
  expect(scene.dns.queries.slice(before.queries).toSorted()).toEqual(['A mixed.test', 'AAAA mixed.test'])
})

describe("the gateway's own ports are reached by no exception", () => {
  test('a listener on loopback', () => expectRefused(`own.test:${scene.own}`, 'address-own-listener'))

  test('a listener on every address, by loopback', () =>
    expectRefused(`own.test:${scene.everywhere}`, 'address-own-listener'))

  test('a listener on every address, by an address of this host', async () => {
    // Without a network there is nothing that the name could lead to.
    const code = hostAddresses().length > 0 ? 'address-own-listener' : 'dns-not-found'
    const { record } = await scene.outcome(`host.test:${scene.everywhere}`)
    expect(record?.outcome.code).toBe(code)
  })

  test.each(['admin', 'health'])('the port of %s', async (name) => {
    await using world = await createWorld()
    const port = await freePort()
    const addresses = { admin: '127.0.0.1:0', health: '127.0.0.1:0', [name]: `127.0.0.1:${port}` }
    await using gateway = await startTestGateway(world, {
      destinations: `  - {name: loop, hosts: [127.0.0.1], ports: [${port}], tls: opaque, allowAddresses: [127.0.0.1/32]}`,
      ...addresses,
    })
    const answer = await connect(world, gateway.port, {
      svid: await world.svid('/a'),
      target: `127.0.0.1:${port}`,
    })
    expect(answer.status).toBe(403)
    expect((await gateway.closed(1))[0]?.outcome.code).toBe('address-own-listener')
  })
})
