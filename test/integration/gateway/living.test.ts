// Authorisation that lives as long as the session: what is no longer allowed is closed, and nothing else is touched.
import { describe, expect, test } from 'vitest'
import { connect } from '../../fixtures/connect-client.ts'
import { clientOf, demandingPartner } from '../../fixtures/demanding-partner.ts'
import { partnerDestination, toLoopback } from '../../fixtures/partner.ts'
import { createRoot } from '../../fixtures/pki.ts'
import { readToEnding } from '../../fixtures/sockets.ts'
import { createWorld, startTestGateway } from '../../fixtures/world.ts'
import { outcome, scene, type Scene, swap } from './living-scene.ts'

const PERMIT = '@id("all") permit (principal is Workload, action, resource);\n'
const DENY_A = `${PERMIT}@id("not-a") forbid (principal == Workload::"spiffe://example.org/a", action, resource);`

describe('a changed policy', () => {
  test('closes the sessions that it denies, and touches no other', async () => {
    await using s = await scene({ policy: PERMIT })
    const denied = await s.open(await s.svid('/a'))
    const allowed = await s.open(await s.svid('/b'))
    await s.gateway.change({ policy: DENY_A })
    expect((await denied.ending).how).toBe('reset')
    expect(await outcome(s)).toMatchObject({ code: 'policy-denied', by: 'gateway', detail: 'not-a' })
    await allowed.alive()
    expect(await s.gateway.metric('sallyport_sessions_judged_again_total{result="closed"}')).toBe(1)
  })

  test('that comes while the way out is opened counts for it too', async () => {
    const { promise: asked, resolve: onAsked } = Promise.withResolvers<void>()
    const { promise: answer, resolve: answerNow } = Promise.withResolvers<void>()
    await using s = await scene({
      policy: PERMIT,
      resolve: async () => {
        onAsked()
        await answer
        return ['127.0.0.1']
      },
    })
    const target = `partner.test:${s.partner.port}`
    const answered = connect(s.world, s.gateway.port, { svid: await s.svid('/a'), target })
    await asked
    await s.gateway.change({ policy: DENY_A })
    answerNow()
    expect((await answered).status).toBe(403)
    expect(await outcome(s)).toMatchObject({ code: 'policy-denied' })
  })

  test('and time alone close at the moment that the policy names', async () => {
    const start = Date.now()
    let now = start
    const until = new Date(start + 3_600_000).toISOString()
    await using s = await scene({
      policy: `@id("for-a-while") permit (principal is Workload, action, resource) when { context.now < datetime("${until}") };`,
      more: '    session: {atExpiry: keep}\n',
      now: () => new Date(now),
    })
    const open = await s.open(await s.svid('/a', { notAfter: new Date(start + 7_200_000) }))
    now = start + 3_599_000
    await open.alive()
    // Moments are rounded up to a quarter of a second.
    now = start + 3_600_250
    expect((await open.ending).how).toBe('reset')
    expect(await outcome(s)).toMatchObject({ code: 'policy-denied', by: 'gateway' })
  })
})

describe('a revocation', () => {
  test.for(['workload', 'serialNumber', 'destination'])(
    'of a %s closes what it names, and no other',
    async (by) => {
      await using s = await scene({ revocations: '[]' })
      const svid = await s.svid('/a')
      const hit = await s.open(svid)
      const other = await s.open(await s.svid('/b'))
      const serial = svid.certificate.serialNumber.toLowerCase()
      const value = {
        workload: 'spiffe://example.org/a',
        serialNumber: serial.length % 2 === 0 ? serial : `0${serial}`,
        destination: 'partner',
      }[by]
      await swap(s.world, 'revocations.yaml', `- {${by}: "${value}", reason: "stolen, INC-7"}`)
      expect((await hit.ending).how).toBe('reset')
      const code = {
        workload: 'revoked-workload',
        serialNumber: 'revoked-certificate',
        destination: 'revoked-destination',
      }[by]
      const [record] = await s.gateway.closed(1)
      expect(record?.outcome).toMatchObject({ code, by: 'gateway', detail: `${value}: stolen, INC-7` })
      if (by === 'destination') expect((await other.ending).how).toBe('reset')
      else await other.alive()
    },
  )
})

describe('a changed trust bundle', () => {
  test('closes the sessions whose root it has no more; a root that is added or read again closes nothing', async () => {
    await using s = await scene()
    const second = await createRoot({ name: 'second root' })
    const issuing = await second.subordinate({ name: 'second issuing' })
    const byOther = await issuing.issue({ uris: ['spiffe://example.org/b'] })
    const first = await s.open(await s.svid('/a'))
    await swap(s.world, 'pki/bundle.pem', s.world.root.pem + second.pem)
    await expect.poll(() => s.gateway.logged.join('')).toContain('certificates and roots were replaced')
    const other = await s.open(byOther)
    await first.alive()
    const gateway = await issuing.issue({
      uris: ['spiffe://example.org/sallyport/gateway'],
      dns: ['localhost'],
    })
    await swap(s.world, 'pki/gateway.key', gateway.keyPem)
    await swap(s.world, 'pki/gateway.pem', gateway.chainPem)
    await swap(s.world, 'pki/bundle.pem', second.pem)
    expect((await first.ending).how).toBe('reset')
    expect(await outcome(s)).toMatchObject({ code: 'session-trust-removed', by: 'gateway' })
    await other.alive()
  })
})

describe('a changed destination', () => {
  test.for<[string, (s: Scene) => string, string]>([
    [
      'that is gone',
      ({ destination }) =>
        destination().replace('name: partner', 'name: other').replace('partner.test', 'other.test'),
      'session-destination-changed',
    ],
    [
      'whose request belongs to another one',
      ({ destination }) => destination().replace('name: partner', 'name: other'),
      'session-destination-changed',
    ],
    [
      'whose exception for the address is gone',
      ({ destination }) => destination().replace('127.0.0.0/8', '10.0.0.0/8'),
      'session-address-refused',
    ],
    [
      'with roots that the server does not meet',
      ({ destination }) => destination().replace('pki/partner-ca.pem', 'pki/bundle.pem'),
      'session-server-untrusted',
    ],
    [
      'with pins that the server does not meet',
      ({ destination }) => destination(`    pins: ["sha256/${'A'.repeat(43)}="]\n`),
      'session-server-untrusted',
    ],
    [
      'that verifies another name',
      ({ destination }) => destination('    serverName: other.test\n'),
      'session-server-untrusted',
    ],
    [
      'that is opaque now',
      ({ destination }) =>
        destination('    tls: opaque\n').replace('    roots: file:pki/partner-ca.pem\n', ''),
      'session-destination-changed',
    ],
  ])('%s closes its sessions', async ([, to, code]) => {
    await using s = await scene()
    const open = await s.open(await s.svid('/a'))
    await s.gateway.change({ destinations: to(s) })
    expect((await open.ending).how).toBe('reset')
    expect(await outcome(s)).toMatchObject({ code, by: 'gateway' })
  })

  test.for<[string, (s: Scene) => string]>([
    ['that is the same, read anew', ({ destination }) => `${destination()}# another revision\n`],
    [
      'with other time-outs and more hosts',
      ({ destination }) =>
        destination('    session: {idleTimeout: 2h}\n').replace(
          '[partner.test]',
          '[partner.test, more.test]',
        ),
    ],
  ])('%s closes nothing', async ([, to]) => {
    await using s = await scene()
    const open = await s.open(await s.svid('/a'))
    await s.gateway.change({ destinations: to(s) })
    await expect
      .poll(() => s.gateway.metric('sallyport_sessions_judged_again_total{result="kept"}'))
      .toBeGreaterThan(0)
    await open.alive()
    expect(s.gateway.records()).toEqual([])
  })

  test('with one more root and the old one closes nothing, also where the session was resumed', async () => {
    await using s = await scene()
    const svid = await s.svid('/a')
    const first = await s.open(svid)
    await first.alive()
    const second = await s.open(svid)
    await second.alive()
    await s.world.file('pki/both.pem', s.world.root.pem + s.world.partnerCa.pem)
    const both = s.destination().replace('pki/partner-ca.pem', 'pki/both.pem')
    await s.gateway.change({ destinations: both })
    await expect.poll(() => s.gateway.metric('sallyport_sessions_judged_again_total{result="kept"}')).toBe(2)
    await first.alive()
    await second.alive()
    await s.world.file('pki/wrong.pem', s.world.root.pem)
    await s.gateway.change({ destinations: both.replace('both.pem', 'wrong.pem') })
    expect((await first.ending).how).toBe('reset')
    expect((await second.ending).how).toBe('reset')
  })
})

describe('an entry of clientCertificates', () => {
  async function withEntry() {
    const stack = new AsyncDisposableStack()
    const world = stack.use(await createWorld())
    const partner = stack.use(await demandingPartner(world))
    const write = async (name: string, cn: string) => {
      const { certificate, key } = await clientOf(world, cn)
      await swap(world, `pki/${name}.key`, key)
      await swap(world, `pki/${name}.pem`, certificate)
    }
    await write('one', 'first')
    await write('two', 'second')
    const entry = (name: string) =>
      `      - {workloads: ["spiffe://example.org/**"], certificate: "file:pki/${name}.pem", key: "file:pki/${name}.key"}\n`
    const destinations = (...names: string[]) =>
      partnerDestination(
        partner.port,
        names.length === 0 ? '' : `    clientCertificates:\n${names.map(entry).join('')}`,
      )
    const gateway = stack.use(
      await startTestGateway(world, { destinations: destinations('one'), resolve: toLoopback, watch: true }),
    )
    const answer = await connect(world, gateway.port, {
      svid: await world.svid('/a'),
      target: `partner.test:${partner.port}`,
    })
    expect(answer.status).toBe(200)
    const ending = readToEnding(answer.socket)
    return { world, gateway, destinations, write, ending, [Symbol.asyncDispose]: () => stack.disposeAsync() }
  }
  const judged = ({ gateway }: Pick<Scene, 'gateway'>) =>
    gateway.metric('sallyport_sessions_judged_again_total{result="kept"}')

  test('whose certificate is renewed closes nothing', async () => {
    await using s = await withEntry()
    await s.write('one', 'renewed')
    await expect.poll(() => judged(s)).toBeGreaterThan(0)
    await s.gateway.change({ destinations: s.destinations('one', 'two') })
    await expect.poll(() => judged(s)).toBeGreaterThan(1)
    expect(s.gateway.records()).toEqual([])
  })

  test.for<[string, string[]]>([
    ['that is gone', []],
    ['in whose place is another', ['two']],
    ['that another comes before', ['two', 'one']],
  ])('%s closes its sessions', async ([, names]) => {
    await using s = await withEntry()
    await s.gateway.change({ destinations: s.destinations(...names) })
    expect((await s.ending).how).toBe('reset')
    const [record] = await s.gateway.closed(1)
    expect(record?.outcome).toMatchObject({ code: 'session-client-certificate-changed', by: 'gateway' })
  })
})
