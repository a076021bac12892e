// Configuration and revocations in AWS AppConfig, by the real SDK against a service that is as strict as AWS's.
import { mkdtemp, readFile, rm, utimes, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { formatFault } from '../../../common/fault.ts'
import { parseAppConfig } from '../../../gateway/config/appconfig.ts'
import { AppConfigSource } from '../../../gateway/reload/appconfig-source.ts'
import { startFakeAppConfig } from '../../fakes/aws/appconfig.ts'
import { connect } from '../../fixtures/connect-client.ts'
import { partnerDestination, startPartner, startTcp, toLoopback } from '../../fixtures/partner.ts'
import { createWorld, startTestGateway } from '../../fixtures/world.ts'

const NAME = 'appconfig:sallyport/production/gateway'
const KEY = 'sallyport/production/gateway'
const LIST = 'revocations/production/list'
const PERMIT = '@id("yes") permit (principal is Workload, action, resource);'
const YEAR_SECONDS = 31_536_000
const FORBID = '@id("no") forbid (principal, action, resource);'

async function setUp() {
  const stack = new AsyncDisposableStack()
  // A hundred times as fast as the clock: an interval of 15 s is 150 ms.
  const monotonic = () => performance.now() * 100
  const aws = stack.use(await startFakeAppConfig(monotonic))
  const world = stack.use(await createWorld())
  const partner = stack.use(await startPartner(world, (socket) => socket.pipe(socket)))
  const directory = await mkdtemp(path.join(os.tmpdir(), 'sallyport-kept-'))
  stack.defer(() => rm(directory, { recursive: true, force: true }))
  const bundle = (policy: string, more = '', files: Readonly<Record<string, string>> = {}) => ({
    text: JSON.stringify({
      files: {
        'gateway.yaml': `version: 1
trustDomain: example.org
identity:
  files: {certificate: ${world.directory}/pki/gateway.pem, key: ${world.directory}/pki/gateway.key, bundle: ${world.directory}/pki/bundle.pem}
listeners: [{name: proxy, address: "127.0.0.1:0", protocol: connect}]
policy: {files: [policy.cedar]}
health: {address: "127.0.0.1:0"}
admin: {address: "127.0.0.1:0"}
drain: {delay: 0s, deadline: 1s}
lastKnownGood: {directory: ${directory}, maxAge: 1h}
${more}
destinations:
${partnerDestination(partner.port)}`,
        'policy.cedar': policy,
        'pki/partner-ca.pem': world.partnerCa.pem,
        ...files,
      },
    }),
    versionLabel: 'v1',
  })
  const source = () => {
    const profile = parseAppConfig(NAME)
    if (profile === null) throw new Error('no profile')
    return new AppConfigSource(profile, {
      appConfig: { client: aws.client, monotonic },
      environment: { SALLYPORT_LAST_KNOWN_GOOD: directory },
    })
  }
  const start = () =>
    startTestGateway(world, { destinations: '  []', source: source(), watch: true, resolve: toLoopback })
  const svid = await world.svid('/payments/api')
  const status = async ({ port }: { port: number }) => {
    const answered = await connect(world, port, { svid, target: `partner.test:${partner.port}` })
    answered.socket.destroy()
    return answered.status
  }
  const view = async (gateway: { portOf(name: string): number }) =>
    (await (await fetch(`http://127.0.0.1:${gateway.portOf('admin')}/config`)).json()) as {
      unreachable: string | null
      ageSeconds: number
      fault: { faults: string[] } | null
    }
  const kept = path.join(directory, 'last-known-good.json')
  return {
    ...{ aws, world, bundle, source, start, status, view, kept },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
}

describe('a configuration in AppConfig', () => {
  test('is taken as one bundle, and anew when it changes; every token is used once and in time', async () => {
    await using place = await setUp()
    const { aws, bundle } = place
    aws.documents.set(KEY, bundle(PERMIT))
    await using gateway = await place.start()
    expect(await place.status(gateway)).toBe(200)
    aws.documents.set(KEY, bundle(FORBID))
    await expect.poll(() => place.status(gateway)).toBe(403)
    const polls = () => aws.requests.filter((one) => one === 'GetLatestConfiguration').length
    const before = polls()
    await expect.poll(polls).toBeGreaterThan(before + 2)
    expect(aws.requests.filter((one) => one === 'StartConfigurationSession')).toHaveLength(1)
    expect(aws.requests).not.toContain('refused')
    expect(gateway.logged.join('\n')).not.toContain('cannot be asked')
  })

  test('that is wrong, or holds a key, replaces nothing and is shown', async () => {
    await using place = await setUp()
    const { aws, bundle } = place
    aws.documents.set(KEY, bundle(PERMIT))
    await using gateway = await place.start()
    const faults = async () => (await place.view(gateway)).fault?.faults.join()
    aws.documents.set(KEY, bundle('nonsense'))
    await expect.poll(faults).toMatch(/policy\.cedar:1/)
    aws.documents.set(KEY, bundle(FORBID, '', { 'x.key': '-----BEGIN PRIVATE KEY-----' }))
    await expect.poll(faults).toMatch(/files\["x\.key"\]: holds a private key/)
    expect(await place.status(gateway)).toBe(200)
    expect(await readFile(place.kept, 'utf8')).not.toContain('PRIVATE KEY')
    aws.documents.set(KEY, bundle(`${PERMIT} // again`))
    await expect.poll(faults).toBeUndefined()
  })

  test('goes on while the service does not answer, says so once, and takes what is new after it', async () => {
    await using place = await setUp()
    const { aws, bundle } = place
    aws.documents.set(KEY, bundle(PERMIT))
    await using gateway = await place.start()
    aws.failing = 'InternalServerException'
    await expect.poll(async () => (await place.view(gateway)).unreachable).toMatch(/InternalServerException/)
    expect(await place.status(gateway)).toBe(200)
    const refused = () => aws.requests.filter((one) => one === 'refused').length
    const before = refused()
    await expect.poll(refused).toBeGreaterThan(before)
    expect(gateway.logged.filter((line) => line.includes('cannot be asked'))).toHaveLength(1)
    aws.documents.set(KEY, bundle(FORBID))
    aws.failing = null
    await expect.poll(() => place.status(gateway), { timeout: 5_000 }).toBe(403)
    expect((await place.view(gateway)).unreachable).toBeNull()
  })
})

describe('at a start', () => {
  test('without the service and without a last known good one there is a fault for each', async () => {
    await using place = await setUp()
    place.aws.failing = 'InternalServerException'
    const { result } = await place.source().begin()
    const faults = result.ok ? [] : result.faults.map(formatFault)
    expect(faults).toEqual([
      expect.stringMatching(
        /^appconfig:sallyport\/production\/gateway: cannot be read: .*InternalServerException/,
      ),
      expect.stringMatching(/there is no last known good configuration either/),
    ])
  })

  test('without the service the last known good one is used, as old as it is; past maxAge nothing new is let in', async () => {
    await using place = await setUp()
    const { aws, bundle, kept } = place
    aws.documents.set(KEY, bundle(PERMIT))
    await (await place.start())[Symbol.asyncDispose]()
    aws.failing = 'InternalServerException'
    for (const [hours, expected] of [
      [0.5, 200],
      [2, 503],
    ] as const) {
      const at = new Date(Date.now() - hours * 3_600_000)
      await utimes(kept, at, at)
      await using gateway = await place.start()
      expect((await place.view(gateway)).ageSeconds).toBeGreaterThanOrEqual(hours * 3600)
      expect(await place.status(gateway)).toBe(expected)
      expect(gateway.logged.join('\n')).toContain('the last known good one of')
      expect((await fetch(`http://127.0.0.1:${gateway.portOf('health')}/readyz`)).status).toBe(200)
    }
    await using gateway = await place.start()
    aws.failing = null
    await expect.poll(() => place.status(gateway), { timeout: 5_000 }).toBe(200)
    expect((await place.view(gateway)).ageSeconds).toBeLessThan(60)
  })

  test('a last known good one of the future is of no known age: past maxAge until the service answers', async () => {
    await using place = await setUp()
    const { aws, bundle, kept } = place
    aws.documents.set(KEY, bundle(PERMIT))
    await (await place.start())[Symbol.asyncDispose]()
    aws.failing = 'InternalServerException'
    const at = new Date(Date.now() + 7_200_000)
    await utimes(kept, at, at)
    await using gateway = await place.start()
    expect(await place.status(gateway)).toBe(503)
    expect((await gateway.closed(1))[0]?.outcome.code).toBe('session-configuration-stale')
    expect((await place.view(gateway)).ageSeconds).toBeGreaterThan(YEAR_SECONDS)
    expect(await gateway.metric('sallyport_configuration_age_seconds')).toBeGreaterThan(YEAR_SECONDS)
    expect(gateway.logged.join('\n')).toContain(`${at.toISOString()}, which lies in the future`)
    expect((await fetch(`http://127.0.0.1:${gateway.portOf('health')}/readyz`)).status).toBe(200)
    aws.failing = null
    await expect.poll(() => place.status(gateway), { timeout: 5_000 }).toBe(200)
    expect((await place.view(gateway)).ageSeconds).toBeLessThan(60)
  })

  test('at which the document is wrong the last known good one is used, and the fault is shown', async () => {
    await using place = await setUp()
    const { aws, bundle } = place
    aws.documents.set(KEY, bundle(PERMIT))
    await (await place.start())[Symbol.asyncDispose]()
    aws.documents.set(KEY, bundle('nonsense'))
    await using gateway = await place.start()
    expect(await place.status(gateway)).toBe(200)
    await gateway.gateway.reload()
    expect((await place.view(gateway)).fault?.faults.join()).toMatch(/policy\.cedar:1/)
  })

  test('at which the document is wrong the last known good one stays so: the next start has it too, as old as the contact', async () => {
    await using place = await setUp()
    const { aws, bundle, kept } = place
    aws.documents.set(KEY, bundle(PERMIT))
    await (await place.start())[Symbol.asyncDispose]()
    const before = await readFile(kept, 'utf8')
    const long = new Date(Date.now() - 7_200_000)
    await utimes(kept, long, long)
    aws.documents.set(KEY, bundle('nonsense'))
    await (await place.start())[Symbol.asyncDispose]()
    expect(await readFile(kept, 'utf8')).toBe(before)
    aws.failing = 'InternalServerException'
    await using gateway = await place.start()
    expect((await place.view(gateway)).ageSeconds).toBeLessThan(600)
    expect(await place.status(gateway)).toBe(200)
  })

  test('the last known good one of another profile is nobody’s', async () => {
    await using place = await setUp()
    const { aws, bundle, kept } = place
    aws.documents.set(KEY, bundle(PERMIT))
    await (await place.start())[Symbol.asyncDispose]()
    await writeFile(kept, (await readFile(kept, 'utf8')).replace(NAME, 'appconfig:a/b/c'))
    aws.failing = 'InternalServerException'
    const { result } = await place.source().begin()
    expect(result.ok ? '' : result.faults.map(formatFault).join()).toMatch(/is of appconfig:a\/b\/c/)
  })
})

describe('revocations in AppConfig', () => {
  test('keep the gateway unready and refusing until they were read once; then they count, and their loss is an alarm', async () => {
    await using place = await setUp()
    const { aws, bundle } = place
    aws.documents.set(KEY, bundle(PERMIT, `revocations: {source: "appconfig:${LIST}"}`))
    await using gateway = await place.start()
    const ready = async () => (await fetch(`http://127.0.0.1:${gateway.portOf('health')}/readyz`)).status
    expect(await ready()).toBe(503)
    expect(await place.status(gateway)).toBe(503)
    aws.documents.set(LIST, { text: '[]' })
    await expect.poll(ready, { timeout: 5_000 }).toBe(200)
    expect(await place.status(gateway)).toBe(200)
    aws.documents.set(LIST, { text: '- {workload: "spiffe://example.org/**", reason: INC-7}' })
    await expect.poll(() => place.status(gateway)).toBe(403)
    aws.documents.set(LIST, { text: 'broken' })
    const rejected = 'sallyport_reloads_total{source="revocations",result="rejected"}'
    const before = await gateway.metric(rejected)
    await expect.poll(() => gateway.metric(rejected)).toBeGreaterThan(before)
    expect(await place.status(gateway)).toBe(403)
    expect(await ready()).toBe(200)
  })

  test('that a new configuration brings are read before it is in force: till then the old one goes on', async () => {
    await using place = await setUp()
    const { aws, bundle } = place
    aws.documents.set(KEY, bundle(FORBID))
    await using gateway = await place.start()
    const faults = async () => (await place.view(gateway)).fault?.faults.join()
    aws.documents.set(KEY, bundle(PERMIT, `revocations: {source: "appconfig:${LIST}"}`))
    await expect
      .poll(faults)
      .toMatch(
        /^appconfig:revocations\/production\/list: ResourceNotFoundException: .*StartConfigurationSession/,
      )
    expect(await place.status(gateway)).toBe(403)
    expect((await fetch(`http://127.0.0.1:${gateway.portOf('health')}/readyz`)).status).toBe(200)
    aws.documents.set(LIST, { text: 'broken' })
    await expect.poll(faults, { timeout: 5_000 }).toMatch(/expected a list/)
    aws.documents.set(LIST, { text: '- {workload: "spiffe://example.org/**", reason: INC-7}' })
    await expect.poll(faults, { timeout: 5_000 }).toBeUndefined()
    expect(await place.status(gateway)).toBe(403)
    expect(codes(gateway)).toEqual(['policy-denied', 'revoked-workload'])
    aws.documents.set(LIST, { text: '[]' })
    await expect.poll(() => place.status(gateway)).toBe(200)
  })

  test('of another source take the place of the old ones when they were read, and not before', async () => {
    await using place = await setUp()
    const { aws, bundle } = place
    const other = 'revocations/production/other'
    aws.documents.set(KEY, bundle(PERMIT, `revocations: {source: "appconfig:${LIST}"}`))
    aws.documents.set(LIST, { text: '- {workload: "spiffe://example.org/**", reason: INC-7}' })
    await using gateway = await place.start()
    await expect.poll(() => place.status(gateway)).toBe(403)
    aws.documents.set(KEY, bundle(PERMIT, `revocations: {source: "appconfig:${other}"}`))
    await expect
      .poll(async () => (await place.view(gateway)).fault?.faults.join())
      .toMatch(/production\/other: .*ResourceNotFoundException/)
    expect(await place.status(gateway)).toBe(403)
    expect(new Set(codes(gateway).slice(1))).toEqual(new Set(['revoked-workload']))
    aws.documents.set(other, { text: '[]' })
    await expect.poll(() => place.status(gateway), { timeout: 5_000 }).toBe(200)
  })

  test('are not asked for anew by a configuration that names the same source', async () => {
    await using place = await setUp()
    const { aws, bundle } = place
    aws.documents.set(LIST, { text: '[]' })
    aws.documents.set(KEY, bundle(PERMIT, `revocations: {source: "appconfig:${LIST}"}`))
    await using gateway = await place.start()
    await expect.poll(() => place.status(gateway)).toBe(200)
    aws.documents.set(KEY, bundle(FORBID, `revocations: {source: "appconfig:${LIST}"}`))
    await expect.poll(() => place.status(gateway), { timeout: 5_000 }).toBe(403)
    expect(aws.requests.filter((one) => one === 'StartConfigurationSession')).toHaveLength(2)
  })

  test('of another source let in at once who waited for the first, which nobody has read', async () => {
    await using place = await setUp()
    const { aws, bundle } = place
    const other = 'revocations/production/other'
    aws.documents.set(KEY, bundle(PERMIT, `revocations: {source: "appconfig:${LIST}"}`))
    await using gateway = await place.start()
    expect(await place.status(gateway)).toBe(503)
    aws.documents.set(other, { text: '[]' })
    aws.documents.set(KEY, bundle(PERMIT, `revocations: {source: "appconfig:${other}"}`))
    await expect.poll(() => place.status(gateway), { timeout: 5_000 }).toBe(200)
    expect((await fetch(`http://127.0.0.1:${gateway.portOf('health')}/readyz`)).status).toBe(200)
  })

  test('that were read do not count where their configuration cannot be put in force, and are read again when it can', async () => {
    await using place = await setUp()
    const { aws, bundle } = place
    aws.documents.set(KEY, bundle(PERMIT))
    aws.documents.set(LIST, { text: '- {workload: "spiffe://example.org/**", reason: INC-7}' })
    await using gateway = await place.start()
    await using taken = await startTcp(() => {})
    const { text } = bundle(PERMIT, `revocations: {source: "appconfig:${LIST}"}`)
    const more = `, {name: more, address: \\"127.0.0.1:${taken.port}\\", protocol: connect}]`
    aws.documents.set(KEY, { text: text.replace('protocol: connect}]', `protocol: connect}${more}`) })
    await expect
      .poll(async () => (await place.view(gateway)).fault?.faults.join())
      .toMatch(/listeners\[1\]\.address: cannot listen/)
    expect(await place.status(gateway)).toBe(200)
    await taken[Symbol.asyncDispose]()
    await gateway.gateway.reload()
    expect((await place.view(gateway)).fault).toBeNull()
    expect(await place.status(gateway)).toBe(403)
  })
})

function codes(gateway: { records(): readonly { readonly outcome: { readonly code: string } }[] }) {
  return gateway.records().map(({ outcome }) => outcome.code)
}
