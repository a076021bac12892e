// A configuration that changes while the gateway runs: what is new counts as a whole or not at all, and what did not change
// is not touched.
import net from 'node:net'
import { cp, mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { connectHbone } from '../../fakes/mesh/hbone-client.ts'
import { connect } from '../../fixtures/connect-client.ts'
import { partnerDestination, startPartner, startTcp, toLoopback } from '../../fixtures/partner.ts'
import { connectRaw, readToEnding } from '../../fixtures/sockets.ts'
import { createWorld, startTestGateway, type TestGateway } from '../../fixtures/world.ts'

const PERMIT = '@id("first") permit (principal is Workload, action, resource);'
const GATEWAY = 'spiffe://example.org/sallyport/gateway'

async function setUp(options: { listeners?: string; extra?: string; revocations?: string } = {}) {
  const stack = new AsyncDisposableStack()
  const world = stack.use(await createWorld())
  const partner = stack.use(
    await startPartner(world, (socket) => {
      socket.on('data', (chunk) => socket.write(`echo ${chunk}`))
      socket.on('end', () => socket.end())
    }),
  )
  const listeners = options.listeners ?? '  - {name: proxy, address: "127.0.0.1:0", protocol: connect}'
  const text = (changes: { listeners?: string; extra?: string; destinations?: string } = {}) =>
    `version: 1
trustDomain: example.org
identity:
  files: {certificate: pki/gateway.pem, key: pki/gateway.key, bundle: pki/bundle.pem}
listeners:
${changes.listeners ?? listeners}
policy: {files: [policy.cedar]}
health: {address: "127.0.0.1:0"}
admin: {address: "127.0.0.1:0"}
${changes.extra ?? options.extra ?? 'drain: {delay: 0s, deadline: 1s}'}
${options.revocations === undefined ? '' : 'revocations: {source: "file:revocations.yaml"}'}
destinations:
${changes.destinations ?? partnerDestination(partner.port)}
`
  const gateway = stack.use(
    await startTestGateway(world, {
      listeners,
      policy: PERMIT,
      destinations: partnerDestination(partner.port),
      watch: true,
      resolve: toLoopback,
      ...(options.extra === undefined ? {} : { extra: options.extra }),
      ...(options.revocations === undefined ? {} : { revocations: options.revocations }),
    }),
  )
  const svid = await world.svid('/payments/api')
  const target = `partner.test:${partner.port}`
  const view = async () => {
    const answer = await fetch(`http://127.0.0.1:${gateway.portOf('admin')}/config`)
    return (await answer.json()) as {
      revision: { config: string; policy: string }
      fault: { faults: string[] } | null
      needsRestart: string[]
    }
  }
  const status = async (port = gateway.port) => {
    const answered = await connect(world, port, { svid, target })
    answered.socket.destroy()
    return answered.status
  }
  return {
    ...{ world, partner, gateway, svid, target, text, view, status },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
}

const reloads = ({ gateway }: { gateway: TestGateway }, result: string) =>
  gateway.metric(`sallyport_reloads_total{source="configuration",result="${result}"}`)

describe('a new policy', () => {
  test('counts for new attempts, with its revision in their records; a live session that it allows goes on', async () => {
    await using place = await setUp()
    const { world, gateway, target } = place
    const live = await connect(world, gateway.port, { svid: await world.svid('/payments/other'), target })
    const before = (await place.view()).revision
    const second =
      '@id("second") forbid (principal == Workload::"spiffe://example.org/payments/api", action, resource);'
    await world.file('policy.cedar', `${PERMIT}\n${second}`)
    await expect.poll(() => place.status()).toBe(403)
    // The first may have been allowed, and refused when its way out was open.
    expect(await place.status()).toBe(403)
    const after = (await place.view()).revision
    expect(after.policy).not.toBe(before.policy)
    live.socket.end('still here')
    expect((await readToEnding(live.socket)).data.toString()).toBe('echo still here')
    // The others moved no byte.
    const moved = () => gateway.records().find(({ bytes }) => bytes.sent > 0)
    await expect.poll(() => moved()?.revision).toEqual(before)
    const denied = gateway.records().find(({ decision }) => decision?.policies.join() === 'second')
    expect(denied?.outcome.code).toBe('policy-denied')
    expect(denied?.revision).toEqual(after)
  })

  test.for<[string, string, RegExp]>([
    ['does not parse', 'permit (principal is Workload, action, resource', /policy\.cedar:1/],
    [
      'names what is not there',
      '@id("x") forbid (principal, action, resource == Destination::"nowhere");',
      /nowhere/,
    ],
  ])(
    'that %s replaces nothing, is told once and counted, and shown until it is right',
    async ([, bad, said]) => {
      await using place = await setUp()
      const { world, gateway } = place
      const { revision } = await place.view()
      await world.file('policy.cedar', bad)
      await expect.poll(() => reloads(place, 'rejected')).toBe(1)
      expect(await place.status()).toBe(200)
      const view = await place.view()
      expect(view.revision).toEqual(revision)
      expect(view.fault?.faults.join()).toMatch(said)
      expect(await gateway.metric('sallyport_configuration_rejected')).toBe(1)
      await gateway.gateway.reload()
      expect(gateway.logged.filter((line) => line.includes('is refused')).length).toBe(2)
      await world.file('policy.cedar', `${PERMIT} // changed`)
      await expect.poll(async () => (await place.view()).fault).toBeNull()
      expect(await gateway.metric('sallyport_configuration_rejected')).toBe(0)
    },
  )
})

describe('a new gateway.yaml', () => {
  test('whose certificate is missing replaces nothing, and counts when the certificate is there', async () => {
    await using place = await setUp()
    const { world, partner, text } = place
    const destinations = `${partnerDestination(partner.port)}
  - {name: other, hosts: [other.test], ports: [${partner.port}], serverName: partner.test, roots: "file:pki/other-ca.pem", allowAddresses: [127.0.0.0/8]}`
    await world.file('gateway.yaml', text({ destinations }))
    await expect
      .poll(async () => (await place.view()).fault?.faults.join())
      .toMatch(/other-ca\.pem: no such file/)
    expect(await place.status()).toBe(200)
    await world.file('pki/other-ca.pem', world.partnerCa.pem)
    const target = `other.test:${partner.port}`
    const ask = async () => {
      const answered = await connect(world, place.gateway.port, { svid: place.svid, target })
      answered.socket.destroy()
      return answered.status
    }
    await expect.poll(ask).toBe(200)
  })

  test('that says the same is no change; one that is gone is a fault, and the age of the source grows', async () => {
    await using place = await setUp()
    const { world, gateway, text } = place
    const { revision } = await place.view()
    await rm(path.join(world.directory, 'gateway.yaml'))
    await expect.poll(async () => (await place.view()).fault?.faults.join()).toMatch(/no such file/)
    const age = await gateway.metric('sallyport_configuration_age_seconds')
    await expect.poll(() => gateway.metric('sallyport_configuration_age_seconds')).toBeGreaterThan(age)
    expect(await place.status()).toBe(200)
    await world.file('gateway.yaml', text())
    await expect.poll(async () => (await place.view()).fault).toBeNull()
    expect((await place.view()).revision.policy).toEqual(revision.policy)
  })

  test('that is gone for longer than maxAge refuses new sessions, keeps open ones, and stays ready', async () => {
    await using place = await setUp({ extra: 'lastKnownGood: {maxAge: 1s}' })
    const { world, gateway, svid, target, text } = place
    const live = await connect(world, gateway.port, { svid, target })
    await rm(path.join(world.directory, 'gateway.yaml'))
    expect(await place.status()).toBe(200)
    await expect.poll(() => place.status(), { timeout: 5_000 }).toBe(503)
    const ready = await fetch(`http://127.0.0.1:${gateway.portOf('health')}/readyz`)
    expect(ready.status).toBe(200)
    live.socket.end('still here')
    expect((await readToEnding(live.socket)).data.toString()).toBe('echo still here')
    const stale = gateway.records().filter(({ outcome }) => outcome.code === 'session-configuration-stale')
    expect(stale.length).toBeGreaterThan(0)
    await world.file('gateway.yaml', text())
    await expect.poll(() => place.status()).toBe(200)
  })

  test('adds, removes and replaces listeners, and does not touch the others', async () => {
    await using place = await setUp({
      extra: 'drain: {delay: 0s, deadline: 1h}',
      listeners: `  - {name: proxy, address: "127.0.0.1:0", protocol: connect}
  - {name: mesh, address: "127.0.0.1:0", protocol: hbone}
  - {name: gone, address: "127.0.0.1:0", protocol: hbone}
  - {name: changed, address: "127.0.0.1:0", protocol: connect}`,
    })
    const { world, gateway, svid, target, text } = place
    const client = async (listener: string) =>
      connectHbone({
        port: gateway.portOf(listener),
        cert: svid.chainPem,
        key: svid.keyPem,
        ca: world.root.pem,
        serverIds: [GATEWAY],
      })
    await using kept = await client('mesh')
    await using removed = await client('gone')
    const open = await removed.connect({ authority: target })
    const waiting = await connectRaw(gateway.portOf('proxy'))
    const ports = ['proxy', 'mesh', 'gone', 'changed'].map((name) => gateway.portOf(name))
    await world.file(
      'gateway.yaml',
      text({
        listeners: `  - {name: changed, address: "127.0.0.1:0", protocol: connect, minVersion: TLSv1.2}
  - {name: added, address: "127.0.0.1:0", protocol: connect}
  - {name: proxy, address: "127.0.0.1:0", protocol: connect}
  - {name: mesh, address: "127.0.0.1:0", protocol: hbone}`,
      }),
    )
    await expect.poll(() => gateway.portOf('added')).toBeGreaterThan(0)
    expect(['proxy', 'mesh'].map((name) => gateway.portOf(name))).toEqual(ports.slice(0, 2))
    expect(gateway.portOf('changed')).not.toBe(ports[3])
    expect(await place.status(gateway.portOf('added'))).toBe(200)
    expect(await place.status(gateway.portOf('changed'))).toBe(200)
    expect(await place.status()).toBe(200)
    // Its socket is the one that was there, and the connection that was there is served.
    expect((await kept.connect({ authority: target })).status).toBe(200)
    expect(waiting.destroyed || waiting.readableEnded).toBe(false)
    waiting.destroy()
    for (const port of [ports[2] ?? 0, ports[3] ?? 0]) {
      const refused = net.connect({ host: '127.0.0.1', port })
      const error = await new Promise<NodeJS.ErrnoException>((resolve) => refused.once('error', resolve))
      expect(error.code).toBe('ECONNREFUSED')
    }
    open.stream.write('still here')
    await expect.poll(() => String(open.stream.read() ?? '')).toBe('echo still here')
  })

  test('whose port is taken is refused with its key, and nothing of it counts', async () => {
    await using taken = await startTcp(() => {})
    await using place = await setUp()
    const { world, gateway, text } = place
    const port = gateway.port
    await world.file(
      'gateway.yaml',
      text({
        listeners: `  - {name: proxy, address: "127.0.0.1:0", protocol: connect}
  - {name: more, address: "127.0.0.1:${taken.port}", protocol: connect}
  - {name: again, address: "127.0.0.1:0", protocol: connect}`,
      }),
    )
    await expect
      .poll(async () => (await place.view()).fault?.faults.join())
      .toMatch(/listeners\[1\]\.address: cannot listen on 127\.0\.0\.1:\d+: another process listens/)
    expect(gateway.portOf('again')).toBe(0)
    expect(gateway.port).toBe(port)
    expect(await place.status()).toBe(200)
  })

  test('that cannot listen after another has made room gives the room back', async () => {
    const free = await startTcp(() => {})
    const { port } = free
    await free[Symbol.asyncDispose]()
    await using place = await setUp({
      listeners: `  - {name: proxy, address: "0.0.0.0:${port}", protocol: connect}`,
    })
    const { world, gateway, svid, target, text } = place
    const live = await connect(world, port, { svid, target })
    // TEST-NET-1 (RFC 5737) is no address of this machine.
    const listeners = `  - {name: proxy, address: "192.0.2.1:${port}", protocol: connect}`
    await world.file('gateway.yaml', text({ listeners }))
    await expect
      .poll(async () => (await place.view()).fault?.faults.join())
      .toMatch(/listeners\[0\]\.address: cannot listen on 192\.0\.2\.1/)
    expect(await place.status(port)).toBe(200)
    expect(gateway.port).toBe(port)
    live.socket.end('still here')
    expect((await readToEnding(live.socket)).data.toString()).toBe('echo still here')
  })

  test('without a listener ends its sessions at drain.deadline', async () => {
    await using place = await setUp({
      listeners: `  - {name: proxy, address: "127.0.0.1:0", protocol: connect}
  - {name: gone, address: "127.0.0.1:0", protocol: connect}`,
    })
    const { world, gateway, svid, target, text } = place
    const live = await connect(world, gateway.portOf('gone'), { svid, target })
    const listeners = '  - {name: proxy, address: "127.0.0.1:0", protocol: connect}'
    await world.file('gateway.yaml', text({ listeners, extra: 'drain: {delay: 0s, deadline: 10ms}' }))
    expect((await readToEnding(live.socket)).how).toBe('reset')
    expect((await gateway.closed(1))[0]).toMatchObject({
      listener: 'gone',
      outcome: { code: 'session-drained' },
    })
    const series = async () => {
      const text = await (await fetch(`http://127.0.0.1:${gateway.portOf('admin')}/metrics`)).text()
      return text.split('\n').filter((line) => line.includes('{listener="gone"'))
    }
    await expect.poll(async () => (await series()).filter((line) => line.includes('_open{'))).toEqual([])
    expect((await series()).map((line) => line.slice(0, line.indexOf('{')))).toEqual([
      'sallyport_handshakes_total',
      'sallyport_sessions_total',
    ])
  })

  test('leaves the gauges of a listener that is kept or replaced under its name, also when nobody is there', async () => {
    await using place = await setUp({ extra: 'drain: {delay: 0s, deadline: 10ms}' })
    const { world, gateway, svid, target, text } = place
    const gauge = async () => {
      const text = await (await fetch(`http://127.0.0.1:${gateway.portOf('admin')}/metrics`)).text()
      return text.split('\n').find((line) => line.startsWith('sallyport_connections_open{'))
    }
    const visit = async () => {
      const { socket } = await connect(world, gateway.port, { svid, target })
      expect(await gauge()).toBe('sallyport_connections_open{listener="proxy"} 1')
      socket.destroy()
      await expect.poll(gauge).toBe('sallyport_connections_open{listener="proxy"} 0')
    }
    await visit()
    const before = gateway.portOf('proxy')
    const listeners = '  - {name: proxy, address: "127.0.0.2:0", protocol: connect}'
    await world.file('gateway.yaml', text({ listeners, extra: 'drain: {delay: 0s, deadline: 10ms}' }))
    await expect.poll(() => gateway.portOf('proxy')).not.toBe(before)
    expect(await gauge()).toBe('sallyport_connections_open{listener="proxy"} 0')
  })

  test('that replaces a listener on its own port, or gives the port to another name', async () => {
    const free = await startTcp(() => {})
    const { port } = free
    await free[Symbol.asyncDispose]()
    await using place = await setUp({
      listeners: `  - {name: proxy, address: "127.0.0.1:${port}", protocol: connect}`,
    })
    const { world, gateway, text } = place
    for (const [index, listener] of [
      `{name: proxy, address: "127.0.0.1:${port}", protocol: connect, minVersion: TLSv1.2}`,
      `{name: other, address: "0.0.0.0:${port}", protocol: connect}`,
    ].entries()) {
      await world.file('gateway.yaml', text({ listeners: `  - ${listener}` }))
      await expect.poll(() => reloads(place, 'applied')).toBe(index + 1)
      expect(await place.status(port)).toBe(200)
    }
    expect(gateway.portOf('proxy')).toBe(0)
  })

  test('says which keys count after a restart alone, and the rest of it counts', async () => {
    await using place = await setUp()
    const { world, partner, text } = place
    await world.file(
      'gateway.yaml',
      text({
        extra:
          'dns: {maxTtl: 1m}\naudit: {checkpoints: "file:checkpoints.jsonl"}\nmetrics: {emf: {}}\ndrain: {delay: 0s, deadline: 2s}',
        destinations: partnerDestination(partner.port).replace('partner.test', 'renamed.test'),
      }),
    )
    await expect.poll(async () => (await place.view()).needsRestart).toEqual(['audit', 'metrics.emf', 'dns'])
    expect(await place.status()).toBe(403)
    expect(place.gateway.logged.join('\n')).toContain('count after a restart alone')
  })
})

test('a directory that is swapped by a symlink is a change, of gateway.yaml and policy together', async () => {
  await using place = await setUp()
  const { world, text, gateway } = place
  const root = world.directory
  // As Kubernetes does it: files lead through ..data, which is a link that is replaced.
  const version = async (name: string, policy: string) => {
    await mkdir(path.join(root, name))
    await writeFile(path.join(root, name, 'gateway.yaml'), text())
    await writeFile(path.join(root, name, 'policy.cedar'), policy)
    await cp(path.join(root, 'pki'), path.join(root, name, 'pki'), { recursive: true })
    await symlink(name, path.join(root, `${name}.link`))
    await rename(path.join(root, `${name}.link`), path.join(root, '..data'))
  }
  await version('v1', PERMIT)
  for (const file of ['gateway.yaml', 'policy.cedar']) {
    await rm(path.join(root, file))
    await symlink(path.join('..data', file), path.join(root, file))
  }
  await gateway.gateway.reload()
  expect(await place.status()).toBe(200)
  await version('v2', '@id("no") forbid (principal, action, resource);')
  await expect.poll(() => place.status()).toBe(403)
})

test('a configuration without the list, or with a broken one, takes no revocation back', async () => {
  const revoked = '- {workload: "spiffe://example.org/**", reason: x}'
  await using place = await setUp({ revocations: revoked })
  const { world, text } = place
  expect(await place.status()).toBe(403)
  await world.file('revocations.yaml', 'broken')
  await world.file('gateway.yaml', text({ extra: 'drain: {delay: 0s, deadline: 3s}' }))
  await expect.poll(() => reloads(place, 'applied')).toBe(1)
  expect(await place.status()).toBe(403)
  await world.file('gateway.yaml', text().replace(/^revocations:.*$/m, ''))
  await expect.poll(async () => (await place.view()).needsRestart).toEqual(['revocations'])
  expect(await place.status()).toBe(403)
  await world.file('other.yaml', '[]')
  await world.file('gateway.yaml', text().replace('revocations.yaml', 'other.yaml'))
  await expect.poll(() => place.status()).toBe(200)
})
