// `sallyport gateway` as a process: start lines, a session, drain by signals, and what stops it from starting.
import { readFile, writeFile } from 'node:fs/promises'
import net from 'node:net'
import { describe, expect, test } from 'vitest'
import { connect } from '../../fixtures/connect-client.ts'
import { startPartner } from '../../fixtures/partner.ts'
import { runSallyport, type Sallyport, startSallyport } from '../../fixtures/sallyport.ts'
import { connectRaw, readToEnding } from '../../fixtures/sockets.ts'
import { createWorld, type World } from '../../fixtures/world.ts'

interface Ports {
  readonly proxy?: number
  readonly health?: number
  readonly partner?: number
}

async function writeConfig(world: World, ports: Ports = {}, more = ''): Promise<string> {
  const { proxy = 0, health = 0, partner = 443 } = ports
  await world.file('policy.cedar', '@id("all") permit (principal is Workload, action, resource);')
  return world.file(
    'gateway.yaml',
    `version: 1
trustDomain: example.org
identity:
  files: {certificate: pki/gateway.pem, key: pki/gateway.key, bundle: pki/bundle.pem}
listeners:
  - {name: proxy, address: "127.0.0.1:${proxy}", protocol: connect}
destinations:
  - {name: partner, hosts: [partner.localhost], ports: [${partner}], roots: "file:pki/partner-ca.pem", allowAddresses: [127.0.0.0/8]}
policy: {files: [policy.cedar]}
health: {address: "127.0.0.1:${health}"}
admin: {address: "127.0.0.1:0"}
drain: {delay: 0s, deadline: 10s}
${more}`,
  )
}

async function portOf(gateway: Sallyport, listener: string): Promise<number> {
  await gateway.event('ready')
  const line = gateway.events('listening').find((event) => event.listener === listener)
  return Number(String(line?.address).split(':').at(-1))
}

const statusOf = async (port: number, path: string) =>
  (await fetch(`http://127.0.0.1:${port}${path}`).catch(() => null))?.status ?? null

describe('sallyport gateway', () => {
  test('says where it listens, carries a session, drains on SIGTERM and exits 0', async () => {
    await using world = await createWorld()
    await using partner = await startPartner(world, (socket) => socket.pipe(socket), {
      name: 'partner.localhost',
    })
    const file = await writeConfig(world, { partner: partner.port })
    await using gateway = startSallyport(['gateway', '--config', file])
    const health = await portOf(gateway, 'health')
    expect(await statusOf(health, '/livez')).toBe(200)
    expect(await statusOf(health, '/readyz')).toBe(200)
    const target = `partner.localhost:${partner.port}`
    const svid = await world.svid('/payments/api')
    const answer = await connect(world, await portOf(gateway, 'proxy'), { svid, target })
    expect(answer.status).toBe(200)
    gateway.signal('SIGTERM')
    await expect.poll(() => statusOf(health, '/readyz')).toBe(503)
    // The open session is still served, and the process waits for it.
    answer.socket.end('still here')
    expect((await readToEnding(answer.socket)).data.toString()).toBe('still here')
    expect(await gateway.exited).toBe(0)
    const [record] = gateway.events('session')
    expect(record).toMatchObject({
      workload: 'spiffe://example.org/payments/api',
      outcome: { code: 'closed' },
    })
    expect(gateway.events('session.opened')).toHaveLength(1)
  })

  test('a further SIGTERM ends the delay of its drain, the next one the deadline, and each session has its record', async () => {
    await using world = await createWorld()
    await using partner = await startPartner(world, (socket) => socket.pipe(socket), {
      name: 'partner.localhost',
    })
    const file = await writeConfig(world, { partner: partner.port })
    const text = await readFile(file, 'utf8')
    await writeFile(file, text.replace(/^drain: .*$/m, 'drain: {delay: 1h, deadline: 1h}'))
    await using gateway = startSallyport(['gateway', '--config', file])
    const health = await portOf(gateway, 'health')
    const proxy = await portOf(gateway, 'proxy')
    const target = `partner.localhost:${partner.port}`
    const svid = await world.svid('/payments/api')
    const { status, socket } = await connect(world, proxy, { svid, target })
    expect(status).toBe(200)
    const ending = readToEnding(socket)
    gateway.signal('SIGTERM')
    await expect.poll(() => statusOf(health, '/readyz')).toBe(503)
    const taken = async () => ((await connectRaw(proxy)).destroyed ? 'refused' : 'taken')
    expect(await taken()).toBe('taken')
    gateway.signal('SIGTERM')
    await expect.poll(taken).toBe('refused')
    expect(gateway.events('session').map(({ workload }) => workload)).not.toContain(
      'spiffe://example.org/payments/api',
    )
    gateway.signal('SIGTERM')
    expect((await ending).how).toBe('reset')
    expect(await gateway.exited).toBe(0)
    const records = gateway.events('session').filter(({ destination }) => destination !== null)
    expect(records).toMatchObject([{ outcome: { code: 'session-drained', by: 'gateway' } }])
  })

  test('standard output holds start lines and events alone, in order; logs are on standard error', async () => {
    await using world = await createWorld()
    await using gateway = startSallyport(['gateway', '--config', await writeConfig(world)])
    await gateway.event('ready')
    gateway.signal('SIGTERM')
    expect(await gateway.exited).toBe(0)
    const events = gateway
      .stdout()
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { event: string; listener?: string })
    expect(events.map(({ event, listener }) => listener ?? event)).toEqual([
      ...['proxy', 'admin', 'health'].filter((name) => events.some(({ listener }) => listener === name)),
      'ready',
    ])
    expect(events).toHaveLength(4)
    for (const line of gateway.stderr().trimEnd().split('\n'))
      expect(JSON.parse(line)).toHaveProperty('level')
  })

  test.for<[string, 'proxy' | 'health', string]>([
    ['a listener', 'proxy', 'gateway.yaml:6: listeners[0].address'],
    ['the health port', 'health', 'gateway.yaml:10: health.address'],
  ])('%s on a port in use: exit 1 and one line that names the key', async ([, part, place]) => {
    await using world = await createWorld()
    const blocker = net.createServer()
    await new Promise<void>((resolve) => blocker.listen(0, '127.0.0.1', resolve))
    const { port } = blocker.address() as net.AddressInfo
    const file = await writeConfig(world, { [part]: port })
    const { code, stdout, stderr } = await runSallyport(['gateway', '--config', file])
    blocker.close()
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toContain(`${place}: cannot listen on 127.0.0.1:${port}: another process listens`)
    expect(stderr.trimEnd().split('\n')).toHaveLength(1)
  })

  test('a revocation list that is not there stops the start; one that is there counts', async () => {
    await using world = await createWorld()
    const file = await writeConfig(world, {}, 'revocations: {source: "file:revocations.yaml"}')
    const { code, stdout, stderr } = await runSallyport(['gateway', '--config', file])
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toMatch(/revocations\.yaml: no such file/)
    await world.file('revocations.yaml', '- {workload: "spiffe://example.org/**", reason: INC-7}')
    await using gateway = startSallyport(['gateway', '--config', file])
    const port = await portOf(gateway, 'proxy')
    const svid = await world.svid('/payments/api')
    expect((await connect(world, port, { svid, target: 'partner.localhost:443' })).status).toBe(403)
    expect(await gateway.event('session')).toMatchObject({ outcome: { code: 'revoked-workload' } })
  })

  test('SIGHUP reads a new configuration at once; one that is wrong is said, and the last one is kept', async () => {
    await using world = await createWorld()
    const file = await writeConfig(world)
    await using gateway = startSallyport(['gateway', '--config', file])
    const port = await portOf(gateway, 'proxy')
    const svid = await world.svid('/payments/api')
    const status = async () => {
      const answered = await connect(world, port, { svid, target: 'partner.localhost:1' })
      answered.socket.destroy()
      return answered.status
    }
    expect(await status()).toBe(403)
    await world.file('policy.cedar', 'nonsense')
    gateway.signal('SIGHUP')
    await expect.poll(() => gateway.stderr()).toMatch(/policy\.cedar.*the new configuration is refused/)
    await writeConfig(world, { partner: 1 })
    gateway.signal('SIGHUP')
    // The destination is there now, and nobody listens behind it.
    await expect.poll(status).toBe(502)
    gateway.signal('SIGTERM')
    expect(await gateway.exited).toBe(0)
  })

  test('a wrong configuration: exit 1, nothing on standard output, a line for each fault', async () => {
    await using world = await createWorld()
    const file = await writeConfig(world, {}, 'lisseners: []\ndns: {minTTL: 1s}\n')
    const { code, stdout, stderr } = await runSallyport(['gateway', '--config', file])
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    const lines = stderr.trimEnd().split('\n')
    expect(lines).toHaveLength(2)
    expect(lines[0]).toMatch(/gateway\.yaml:13: lisseners: .*listeners/)
    expect(lines[1]).toMatch(/gateway\.yaml:14: dns\.minTTL: unknown key/)
  })

  test.for<[string, readonly string[], number, RegExp]>([
    ['no file', ['gateway', '--config', 'nothing.yaml'], 1, /^nothing\.yaml: no such file/],
    ['no --config', ['gateway'], 2, /--config/],
    ['an unknown command', ['gatway'], 2, /Did you mean gateway\?/],
    ['an unknown option', ['gateway', '--config', 'x', '--colour'], 2, /unknown option '--colour'/],
    ['nothing at all', [], 2, /Usage: sallyport/],
  ])('wrong use: %s', async ([, args, expected, message]) => {
    const { code, stdout, stderr } = await runSallyport(args)
    expect({ code, stdout }).toEqual({ code: expected, stdout: '' })
    expect(stderr).toMatch(message)
  })
})
