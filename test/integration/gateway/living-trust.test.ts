// Sessions whose callers are believed by something else than an X.509-SVID of the gateway's own trust domain, and the
// tunnels of one connection: what is taken back is closed, and nothing else is touched.
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import path from 'node:path'
import tls from 'node:tls'
import { describe, expect, test } from 'vitest'
import { readBundle, writeBundle } from '../../../spiffe/bundle.ts'
import { type ConfigSource, createFileSource } from '../../../gateway/reload/source.ts'
import { connectLinkerd } from '../../fakes/mesh/linkerd-client.ts'
import { connect, connectTls } from '../../fixtures/connect-client.ts'
import { RawH2 } from '../../fixtures/h2-raw.ts'
import { createRoot } from '../../fixtures/pki.ts'
import { connectRaw } from '../../fixtures/sockets.ts'
import type { World } from '../../fixtures/world.ts'
import { follow, scene, type Scene, swap } from './living-scene.ts'

const DRAIN = 'drain: {delay: 0s, deadline: 1s}'
const PERMIT = '@id("all") permit (principal is Workload, action, resource);\n'

async function codes({ gateway }: Scene, count: number) {
  return (await gateway.closed(count)).map(({ outcome }) => `${outcome.code} by ${outcome.by}`)
}

const kept = ({ gateway }: Scene) => gateway.metric('sallyport_sessions_judged_again_total{result="kept"}')

test('a key for tokens that is withdrawn closes the sessions of its tokens, and no others', async () => {
  const pairs = { k1: await generateKeyPair('ES256'), k2: await generateKeyPair('ES256') }
  const bundleOf = async (world: World, keyIds: readonly ('k1' | 'k2')[]) => {
    const jwtAuthorities = await Promise.all(
      keyIds.map(async (keyId) => ({ keyId, key: await exportJWK(pairs[keyId].publicKey) })),
    )
    return writeBundle({ ...readBundle(world.root.pem, 'example.org'), jwtAuthorities })
  }
  await using s = await scene({
    bundle: 'pki/bundle.json',
    prepare: async (world) => void (await world.file('pki/bundle.json', await bundleOf(world, ['k1', 'k2']))),
    listeners:
      '  - {name: proxy, address: "127.0.0.1:0", protocol: connect, clientAuthentication: svid-or-token}',
  })
  const target = `partner.test:${s.partner.port}`
  const open = async (keyId: 'k1' | 'k2') => {
    const now = Math.floor(Date.now() / 1000)
    const token = await new SignJWT({
      ...{ sub: 'spiffe://example.org/agent', aud: 'spiffe://example.org/sallyport/gateway' },
      ...{ iat: now, exp: now + 300 },
    })
      .setProtectedHeader({ alg: 'ES256', kid: keyId })
      .sign(pairs[keyId].privateKey)
    const request = `CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\nProxy-Authorization: Bearer ${token}\r\n\r\n`
    const answer = await connect(s.world, s.gateway.port, { svid: null, request })
    expect(answer.status).toBe(200)
    return follow(answer.socket)
  }
  const [first, second] = [await open('k1'), await open('k2')]
  const byCertificate = await s.open(await s.svid('/a'))
  await swap(s.world, 'pki/bundle.json', await bundleOf(s.world, ['k2']))
  expect((await first.ending).how).toBe('reset')
  expect(await codes(s, 1)).toEqual(['session-trust-removed by gateway'])
  await second.alive()
  await byCertificate.alive()
})

test('a root that is removed closes the sessions of a listener that is gone too, however long those may drain', async () => {
  const listener = (name: string) => `  - {name: ${name}, address: "127.0.0.1:0", protocol: connect}`
  const extra = 'drain: {delay: 0s, deadline: 1h}'
  await using s = await scene({ listeners: `${listener('proxy')}\n${listener('gone')}`, extra })
  const next = await createRoot({ name: 'the next root of example.org' })
  await swap(s.world, 'pki/bundle.pem', `${s.world.root.pem}${next.pem}`)
  const issued = await next.issue({ uris: ['spiffe://example.org/sallyport/gateway'] })
  const target = `partner.test:${s.partner.port}`
  const port = s.gateway.portOf('gone')
  const answer = await connect(s.world, port, { svid: await s.svid('/a'), target })
  const open = follow(answer.socket)
  await open.alive()
  await s.gateway.change({ listeners: listener('proxy') })
  expect(s.gateway.portOf('gone')).toBe(0)
  await open.alive()
  await swap(s.world, 'pki/gateway.key', issued.keyPem)
  await swap(s.world, 'pki/gateway.pem', issued.chainPem)
  await swap(s.world, 'pki/bundle.pem', next.pem)
  expect((await open.ending).how).toBe('reset')
  expect(await codes(s, 1)).toEqual(['session-trust-removed by gateway'])
})

describe('Linkerd', () => {
  const suffix = 'serviceaccount.identity.linkerd.cluster.local'
  const trust = (mapped: string) => `${DRAIN}
trust:
  - linkerd: {trustAnchors: pki/l5d-root.pem, map: {"*.*.${suffix}": "${mapped}"}}`
  const MAPPED = 'spiffe://cluster.local/ns/{2}/sa/{1}'

  async function opened() {
    const root = await createRoot({ name: 'identity.linkerd.cluster.local' })
    const s = await scene({
      listeners: `  - {name: proxy, address: "127.0.0.1:0", protocol: connect}
  - {name: l5d, address: "127.0.0.1:0", protocol: linkerd, identity: {certificate: pki/l5d.pem, key: pki/l5d.key}}`,
      extra: trust(MAPPED),
      async prepare(world) {
        const own = await root.issue({ dns: [`gateway.egress.${suffix}`] })
        await world.file('pki/l5d.pem', own.chainPem)
        await world.file('pki/l5d.key', own.keyPem)
        await world.file('pki/l5d-root.pem', root.pem)
      },
    })
    const leaf = await root.issue({ dns: [`api.payments.${suffix}`] })
    const client = await connectLinkerd({
      ...{ port: s.gateway.portOf('l5d'), cert: leaf.chainPem, key: leaf.keyPem, ca: root.pem },
      serverName: `gateway.egress.${suffix}`,
      header: { port: s.partner.port, name: 'partner.test' },
    })
    const meshed = follow(client.socket)
    await meshed.alive()
    return { ...s, root, meshed, other: await s.open(await s.svid('/a')) }
  }

  test('trust anchors that are replaced close its sessions; one that is added closes nothing', async () => {
    await using s = await opened()
    const next = await createRoot({ name: 'the next identity.linkerd.cluster.local' })
    await swap(s.world, 'pki/l5d-root.pem', s.root.pem + next.pem)
    await expect.poll(() => kept(s)).toBeGreaterThanOrEqual(2)
    await s.meshed.alive()
    await swap(s.world, 'pki/l5d-root.pem', next.pem)
    expect((await s.meshed.ending).how).toBe('reset')
    expect(await codes(s, 1)).toEqual(['session-trust-removed by gateway'])
    await s.other.alive()
  })

  test('a map by which the same name is somebody else closes its sessions', async () => {
    await using s = await opened()
    await s.gateway.change({ extra: trust('spiffe://cluster.local/mesh/ns/{2}/sa/{1}') })
    expect((await s.meshed.ending).how).toBe('reset')
    expect(await codes(s, 1)).toEqual(['session-trust-removed by gateway'])
    await s.other.alive()
  })
})

describe('a workload of a network', () => {
  const networks = (list: string) => `${DRAIN}\nnetworks: [${list}]`
  const LEGACY = '{name: legacy, sources: [127.0.0.0/8]}'

  async function opened() {
    const s = await scene({
      listeners: `  - {name: proxy, address: "127.0.0.1:0", protocol: connect}
  - {name: raw, address: "127.0.0.1:0", protocol: passthrough}`,
      extra: networks(LEGACY),
      // Without one there would be nothing that the listener could be asked for.
      more: '  - {name: inner, hosts: [inner.test], ports: [443], tls: passthrough}\n',
      policy: `${PERMIT}@id("networks") permit (principal is Network, action, resource);`,
    })
    const destinations = s
      .destination('    tls: passthrough\n')
      .replace('    roots: file:pki/partner-ca.pem\n', '')
    await s.gateway.change({ destinations })
    const raw = await connectRaw(s.gateway.portOf('raw'))
    const socket = tls.connect({ socket: raw, ca: s.world.partnerCa.pem, servername: 'partner.test' })
    const legacy = follow(socket)
    await legacy.alive()
    return {
      ...s,
      legacy,
      change: (list: string) => s.gateway.change({ destinations, extra: networks(list) }),
    }
  }

  test.for([
    ['a source that is of no network any more', '{name: legacy, sources: [10.0.0.0/8]}'],
    ['a source that is of another network', '{name: other, sources: [127.0.0.0/8]}'],
    ['a closer network of the source', `${LEGACY}, {name: other, sources: [127.0.0.1/32]}`],
  ] as const)('%s closes its session', async ([, list]) => {
    await using s = await opened()
    await s.change(list)
    expect((await s.legacy.ending).how).toBe('reset')
    expect(await codes(s, 1)).toEqual(['session-network-changed by gateway'])
  })

  test('networks of other sources close nothing', async () => {
    await using s = await opened()
    await s.change(`${LEGACY}, {name: other, sources: [10.0.0.0/8]}`)
    await expect.poll(() => kept(s)).toBeGreaterThan(0)
    await s.legacy.alive()
    expect(s.gateway.records()).toEqual([])
  })
})

describe('an HTTP/2 connection that has been open', () => {
  async function opened() {
    const s = await scene({ policy: PERMIT, revocations: '[]' })
    const tlsOptions = { ALPNProtocols: ['h2'] }
    const h2 = new RawH2(
      await connectTls(s.world, s.gateway.port, { svid: await s.svid('/a'), tls: tlsOptions }),
    )
    const target = `partner.test:${s.partner.port}`
    h2.connect(1, target)
    await expect.poll(() => h2.isConnected(1)).toBe(true)
    return { ...s, h2, target, other: await s.open(await s.svid('/b')) }
  }

  test.for<[string, (s: Scene) => Promise<unknown>, string]>([
    [
      'policy',
      ({ gateway }) =>
        gateway.change({
          policy: `${PERMIT}@id("no") forbid (principal == Workload::"spiffe://example.org/a", action, resource);`,
        }),
      'policy-denied',
    ],
    [
      'revocations',
      ({ world }) => swap(world, 'revocations.yaml', '- {workload: spiffe://example.org/a, reason: INC-7}'),
      'revoked-workload',
    ],
  ])('has its tunnels judged by the %s of now, old and new', async ([, change, code]) => {
    await using s = await opened()
    await change(s)
    await expect.poll(() => s.h2.resetCode(1)).not.toBe(null)
    s.h2.connect(3, s.target)
    await expect.poll(() => s.h2.data(3).length).toBeGreaterThan(0)
    expect(s.h2.isConnected(3)).toBe(false)
    expect(await codes(s, 2)).toEqual([`${code} by gateway`, `${code} by gateway`])
    expect(s.partner.accepted()).toBe(2)
    await s.other.alive()
  })
})

test('a root that is removed while a new configuration is being read does not come back with it', async () => {
  const [read, held] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  let files: ConfigSource | null = null
  const ofFiles = () => files ?? expect.fail('there is no configuration yet')
  const source: ConfigSource = {
    name: 'gateway.yaml',
    begin: () => ofFiles().begin(),
    look: async (options) => {
      const look = await ofFiles().look(options)
      if (look.result === null) return look
      read.resolve()
      await held.promise
      return look
    },
  }
  const other = await createRoot({ name: 'the other root of example.org' })
  await using s = await scene({
    source,
    prepare: async (world) => {
      files = createFileSource(path.join(world.directory, 'gateway.yaml'), {})
      await world.file('pki/bundle.pem', `${world.root.pem}${other.pem}`)
    },
  })
  const replaced = () => s.gateway.logged.filter((line) => line.includes('roots were replaced')).length
  const changed = s.gateway.change({ policy: `// Another one.\n${PERMIT}` })
  await read.promise
  await swap(s.world, 'pki/bundle.pem', s.world.root.pem)
  await expect.poll(replaced).toBe(1)
  held.resolve()
  await changed
  // Had it come back, the looks to come would have found that once more, or nothing new.
  await swap(s.world, 'pki/bundle.pem', `${s.world.root.pem}${other.pem}`)
  const svid = await other.issue({ uris: ['spiffe://example.org/b'] })
  const status = async () =>
    (await connect(s.world, s.gateway.port, { svid, target: `partner.test:${s.partner.port}` })).status
  await expect.poll(status).toBe(200)
  expect(replaced()).toBe(2)
})
