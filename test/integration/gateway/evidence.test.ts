// Evidence through the real gateway: progress and checkpoints in the chain, a second sink, and what happens to sessions when
// records cannot be written.
import { readFile, rename, rm, symlink } from 'node:fs/promises'
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { runVerify } from '../../../cli/audit/run-verify.ts'
import { startFakeS3 } from '../../fakes/aws/s3.ts'
import { type ClientOptions, connect } from '../../fixtures/connect-client.ts'
import { startPartner } from '../../fixtures/partner.ts'
import { type Sallyport, startSallyport } from '../../fixtures/sallyport.ts'
import { connectRaw, readToEnding } from '../../fixtures/sockets.ts'
import { createWorld, startTestGateway, type World } from '../../fixtures/world.ts'

const destination = (port: number) =>
  `  - {name: partner, hosts: [partner.localhost], ports: [${port}], roots: "file:pki/partner-ca.pem", allowAddresses: [127.0.0.0/8]}`

async function echo(world: World) {
  return startPartner(world, (socket) => socket.pipe(socket), { name: 'partner.localhost' })
}

async function verify(world: World, files: readonly string[], more: object = {}) {
  let text = ''
  const output = { write: (part: string) => void (text += part) }
  const code = await runVerify(
    files,
    { bundle: path.join(world.directory, 'pki/bundle.pem'), trustDomain: 'example.org', json: true, ...more },
    { stdout: output, stderr: output },
  )
  return { code, ...(code === 2 ? { text } : JSON.parse(text)) }
}

describe('in the chain', () => {
  test('a live session says how far it has come, and checkpoints are signed by the gateway’s SVID', async () => {
    await using world = await createWorld()
    await using partner = await echo(world)
    const second = path.join(world.directory, 'checkpoints.jsonl')
    await using gateway = await startTestGateway(world, {
      destinations: destination(partner.port),
      auditIntervals: { progressMs: 20, checkpointMs: 30 },
      extra: `drain: {delay: 0s, deadline: 1s}\naudit: {checkpoints: "file:checkpoints.jsonl"}`,
    })
    const svid = await world.svid('/payments/api')
    const { socket } = await connect(world, gateway.port, {
      svid,
      target: `partner.localhost:${partner.port}`,
    })
    socket.write('hello')
    const find = (event: string) => gateway.lines.filter((line) => line.startsWith(`{"event":"${event}"`))
    await expect
      .poll(() => find('session.progress').at(-1) ?? '')
      .toContain('"bytes":{"sent":5,"received":5}')
    await expect.poll(() => find('checkpoint').length).toBeGreaterThan(1)
    expect(await gateway.metric('sallyport_certificate_remaining_seconds{name="identity"}')).toBeGreaterThan(
      3000,
    )
    expect(await gateway.metric('sallyport_certificate_age_seconds{name="identity"}')).toBeGreaterThan(0)
    expect(
      await gateway.metric('sallyport_bundle_remaining_seconds{trust_domain="example.org"}'),
    ).toBeGreaterThan(0)
    // Synced to the disk, so later than in the log.
    await expect
      .poll(() => gateway.metric('sallyport_audit_checkpoints_total{result="kept"}'))
      .toBeGreaterThan(0)
    socket.end()
    await readToEnding(socket)
    await gateway.closed(1)
    const progressed = find('session.progress').length
    await gateway.gateway.close()
    expect(find('session.progress')).toHaveLength(progressed)
    expect(JSON.parse(find('session.progress')[0] ?? '')).toMatchObject({
      destination: 'partner',
      workload: 'spiffe://example.org/payments/api',
    })
    const log = await world.file('audit.log', gateway.lines.map((line) => `${line}\n`).join(''))
    const checked = await verify(world, [log], { checkpoints: [second] })
    expect(checked).toMatchObject({ code: 0, problems: [], notes: [], chains: [{ ended: true }] })
    const cut = await world.file(
      'cut.log',
      gateway.lines
        .slice(0, -2)
        .map((line) => `${line}\n`)
        .join(''),
    )
    expect(await verify(world, [cut], { checkpoints: [second] })).toMatchObject({
      code: 1,
      problems: [{ kind: 'truncated' }],
    })
  })

  test('a process that was restarted names in the same file where the one before had come', async () => {
    await using world = await createWorld()
    const extra = 'drain: {delay: 0s, deadline: 1s}\naudit: {sink: "file:audit.jsonl"}'
    for (let run = 0; run < 2; run += 1) {
      await using gateway = await startTestGateway(world, { destinations: destination(443), extra })
      const raw = await connectRaw(gateway.port)
      raw.end('this is no TLS')
      await readToEnding(raw)
    }
    const file = path.join(world.directory, 'audit.jsonl')
    const lines = (await readFile(file, 'utf8')).trimEnd().split('\n')
    expect(await verify(world, [file])).toMatchObject({ code: 0, records: 4, notes: [] })
    expect(JSON.parse(lines[3] ?? '')).toMatchObject({
      event: 'checkpoint',
      after: { chain: JSON.parse(lines[1] ?? '').chain, sequence: 2 },
    })
    const cut = await world.file('cut.log', `${lines[0]}\n${lines[2]}\n${lines[3]}\n`)
    expect(await verify(world, [cut])).toMatchObject({
      code: 1,
      problems: [{ kind: 'truncated', sequence: 2 }],
    })
  })
})

async function configOf(world: World, port: number, audit: string): Promise<string> {
  await world.file('policy.cedar', '@id("all") permit (principal is Workload, action, resource);')
  return world.file(
    'gateway.yaml',
    `version: 1
trustDomain: example.org
identity:
  files: {certificate: pki/gateway.pem, key: pki/gateway.key, bundle: pki/bundle.pem}
listeners:
  - {name: proxy, address: "127.0.0.1:0", protocol: connect}
destinations:
${destination(port)}
policy: {files: [policy.cedar]}
audit: {${audit}}
health: {address: "127.0.0.1:0"}
admin: {address: "127.0.0.1:0"}
metrics: {emf: {interval: 1s}}
drain: {delay: 0s, deadline: 10s}
`,
  )
}

async function portOf(gateway: Sallyport, listener: string): Promise<number> {
  await gateway.event('ready')
  const line = gateway.events('listening').find((event) => event.listener === listener)
  return Number(String(line?.address).split(':').at(-1))
}

test('checkpoints go to S3 by the environment’s own credentials, and show what was cut off', async () => {
  await using world = await createWorld()
  await using s3 = await startFakeS3({ bucket: 'evidence', objectLock: true })
  const config = await configOf(
    world,
    443,
    'checkpoints: "s3://evidence/gateways", checkpointRetentionDays: 7',
  )
  const env = {
    AWS_ENDPOINT_URL_S3: s3.endpoint,
    AWS_REGION: 'eu-west-1',
    AWS_ACCESS_KEY_ID: s3.credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: s3.credentials.secretAccessKey,
    AWS_SESSION_TOKEN: '',
  }
  await using gateway = startSallyport(['gateway', '--config', config], { env })
  const raw = await connectRaw(await portOf(gateway, 'proxy'))
  raw.end('this is no TLS')
  await readToEnding(raw)
  await gateway.event('session')
  gateway.signal('SIGTERM')
  expect(await gateway.exited).toBe(0)
  const { chain } = (await gateway.event('session')) as { chain: string }
  const day = new Date().toISOString().slice(0, 10)
  expect([...s3.objects.keys()]).toEqual([`gateways/${day}/${chain}/000000000002.json`])
  const [stored] = s3.objects.values()
  expect(stored?.lockedUntil?.getTime()).toBeGreaterThan(Date.now() + 6 * 86_400_000)
  const kept = await world.file('kept.json', stored?.body ?? '')
  const log = await world.file('audit.log', gateway.stdout())
  expect(await verify(world, [log], { checkpoints: [kept] })).toMatchObject({ code: 0, notes: [] })
  const cut = await world.file('cut.log', '{"event":"ready"}\n')
  expect(await verify(world, [cut], { checkpoints: [kept] })).toMatchObject({
    code: 1,
    problems: [{ kind: 'truncated', chain }],
  })
})

describe('records that cannot be written', () => {
  test('a pipe that nobody reads: new sessions are refused, the live one goes on, and all is well when it is read', async () => {
    await using world = await createWorld()
    await using partner = await echo(world)
    const config = await configOf(world, partner.port, 'maxBacklog: 32KiB')
    await using gateway = startSallyport(['gateway', '--config', config], { pausedStdout: true })
    const [proxy, health] = [await portOf(gateway, 'proxy'), await portOf(gateway, 'health')]
    const request: ClientOptions = {
      svid: await world.svid('/payments/api'),
      target: `partner.localhost:${partner.port}`,
    }
    const live = await connect(world, proxy, request)
    expect(live.status).toBe(200)
    const status = async () => {
      const answer = await connect(world, proxy, request)
      answer.socket.destroy()
      return answer.status
    }
    // Each leaves a record, until the pipe and what may wait behind it are full. Few at a time: past four times
    // maxBacklog records are dropped, and that of the refusal must not be.
    const fill = async () => {
      await Promise.all(
        Array.from({ length: 20 }, async () => {
          const raw = await connectRaw(proxy)
          raw.end('this is no TLS')
          await readToEnding(raw)
        }),
      )
      return status()
    }
    await expect.poll(fill, { timeout: 30_000 }).toBe(503)
    live.socket.end('still relayed')
    expect((await readToEnding(live.socket)).data.toString()).toBe('still relayed')
    expect((await fetch(`http://127.0.0.1:${health}/readyz`)).status).toBe(200)
    gateway.readStdout()
    await expect.poll(status, { timeout: 30_000 }).toBe(200)
    gateway.signal('SIGTERM')
    expect(await gateway.exited).toBe(0)
    const refused = gateway
      .events('session')
      .filter(({ outcome }) => (outcome as { code: string }).code === 'session-audit-unavailable')
    expect(refused.length).toBeGreaterThan(0)
    const log = await world.file('audit.log', gateway.stdout())
    expect(await verify(world, [log])).toMatchObject({ code: 0, problems: [], chains: [{ ended: true }] })
    const emf = gateway
      .stderr()
      .split('\n')
      .filter((line) => line.startsWith('{"_aws"'))
    expect(emf.join('\n')).toContain('"code":"session-audit-unavailable"')
  })

  test('a full disk: refused until there is room; SIGHUP goes on in another file, and no record is lost', async () => {
    await using world = await createWorld()
    await using partner = await echo(world)
    const file = path.join(world.directory, 'audit.jsonl')
    await symlink('/dev/full', file)
    const config = await configOf(world, partner.port, 'sink: "file:audit.jsonl"')
    await using gateway = startSallyport(['gateway', '--config', config])
    const [proxy, health] = [await portOf(gateway, 'proxy'), await portOf(gateway, 'health')]
    const svid = await world.svid('/payments/api')
    const status = async () => {
      const answer = await connect(world, proxy, { svid, target: `partner.localhost:${partner.port}` })
      answer.socket.destroy()
      return answer.status
    }
    // The first record shows that the disk is full.
    await expect.poll(status, { timeout: 10_000 }).toBe(503)
    expect((await fetch(`http://127.0.0.1:${health}/readyz`)).status).toBe(200)
    await rm(file)
    gateway.signal('SIGHUP')
    await expect.poll(status, { timeout: 10_000 }).toBe(200)
    await rename(file, `${file}.1`)
    gateway.signal('SIGHUP')
    await expect.poll(() => readFile(file).catch(() => null), { timeout: 10_000 }).not.toBeNull()
    expect(await status()).toBe(200)
    gateway.signal('SIGTERM')
    expect(await gateway.exited).toBe(0)
    const checked = await verify(world, [file, `${file}.1`])
    expect(checked).toMatchObject({ code: 0, problems: [], notes: [], chains: [{ first: 1, ended: true }] })
    expect((await readFile(`${file}.1`, 'utf8')).split('\n')[0]).toContain('"sequence":1,')
    expect((await readFile(file, 'utf8')).split('\n')[0]).not.toContain('"sequence":1,')
  })
})
