// Partners' certificates, keys and roots that change as files while the gateway runs.
import { rename } from 'node:fs/promises'
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { connect } from '../../fixtures/connect-client.ts'
import { clientOf, demandingPartner, visit } from '../../fixtures/demanding-partner.ts'
import { toLoopback } from '../../fixtures/partner.ts'
import { createRoot } from '../../fixtures/pki.ts'
import { readToEnding } from '../../fixtures/sockets.ts'
import { createWorld, startTestGateway, type TestGateway, type World } from '../../fixtures/world.ts'

const DESTINATION = (name: string, port: number) => `  - name: ${name}
    hosts: [${name}.test]
    ports: [${port}]
    roots: file:pki/partner-ca.pem
    allowAddresses: [127.0.0.0/8]
    clientCertificates:
      - {workloads: ["spiffe://example.org/**"], certificate: "file:pki/${name}.pem", key: "file:pki/${name}.key"}
`

async function write(world: World, name: string, client: { certificate: string; key: string }) {
  await world.file(`pki/${name}.pem`, client.certificate)
  await world.file(`pki/${name}.key`, client.key)
}

async function scene(stack: AsyncDisposableStack) {
  const world = stack.use(await createWorld())
  const partner = stack.use(await demandingPartner(world))
  await write(world, 'partner', await clientOf(world, 'first'))
  await write(world, 'other', await clientOf(world, 'other'))
  const gateway = stack.use(
    await startTestGateway(world, {
      destinations: DESTINATION('partner', partner.port) + DESTINATION('other', partner.port),
      resolve: toLoopback,
      watch: true,
    }),
  )
  return { world, partner, gateway, target: `partner.test:${partner.port}` }
}

type Log = { level: number; msg: string; faults?: string; destination?: string; part?: string }
const logOf = (gateway: TestGateway): Log[] => gateway.logged.map((line) => JSON.parse(line) as Log)
const complaints = (gateway: TestGateway) => logOf(gateway).filter(({ msg }) => msg === 'kept as it was')
const stale = (gateway: TestGateway) => gateway.metric('sallyport_partner_stale')
const failures = (gateway: TestGateway) => gateway.metric('sallyport_partner_reload_failures_total')
const seriesOf = async (gateway: TestGateway) =>
  (await (await fetch(`http://127.0.0.1:${gateway.portOf('admin')}/metrics`)).text())
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
const untilSeen = (world: World, gateway: TestGateway, target: string, said: string) =>
  expect.poll(() => visit(world, gateway, target)).toBe(said)

describe('a renewed client certificate', () => {
  test.for(['certificate first', 'key first'])(
    'is shown from the next dial on, with the %s, and no live session notices',
    async (order) => {
      await using stack = new AsyncDisposableStack()
      const { world, gateway, target } = await scene(stack)
      const live = await connect(world, gateway.port, { svid: await world.svid('/payments/api'), target })
      expect(live.status).toBe(200)
      const { certificate, key } = await clientOf(world, 'second')
      const files = [
        ['pki/partner.pem', certificate],
        ['pki/partner.key', key],
      ] as const
      for (const [name, text] of order === 'key first' ? files.toReversed() : files) {
        // At once, as a tool does that knows of readers.
        await rename(await world.file(`${name}.new`, text), path.join(world.directory, name))
        if (name === files[order === 'key first' ? 1 : 0][0]) {
          // Half of it is there, and was looked at: what fitted is still shown.
          await expect.poll(() => stale(gateway)).toBe(1)
          expect(await visit(world, gateway, target)).toBe('saw CN=first')
        }
      }
      await untilSeen(world, gateway, target, 'saw CN=second')
      await expect.poll(() => stale(gateway)).toBe(0)
      expect(await failures(gateway)).toBe(1)
      expect(complaints(gateway)).toHaveLength(1)
      live.socket.end('bye')
      const { how, data } = await readToEnding(live.socket)
      expect([how, Buffer.concat([live.rest, data]).toString()]).toEqual(['end', 'saw CN=first'])
    },
  )

  test('is the end of the old one’s TLS sessions', async () => {
    await using stack = new AsyncDisposableStack()
    const { world, gateway, target } = await scene(stack)
    await visit(world, gateway, target)
    await visit(world, gateway, target)
    await gateway.closed(2)
    expect(gateway.records().map(({ upstream }) => upstream?.resumed)).toEqual([false, true])
    await write(world, 'partner', await clientOf(world, 'second'))
    await untilSeen(world, gateway, target, 'saw CN=second')
    const after = gateway.records().filter(({ upstream }) => {
      return upstream?.clientCertificateSha256 !== gateway.records()[0]?.upstream?.clientCertificateSha256
    })
    await expect.poll(() => after.length).toBeGreaterThan(0)
    expect(after[0]?.upstream?.resumed).toBe(false)
  })

  test('is in the metrics', async () => {
    await using stack = new AsyncDisposableStack()
    const { world, gateway, target } = await scene(stack)
    const second = await clientOf(world, 'second')
    const wanted = 'sallyport_certificate_not_after_seconds{name="partner/0"}'
    await write(world, 'partner', second)
    await untilSeen(world, gateway, target, 'saw CN=second')
    expect(await gateway.metric(wanted)).toBe(second.notAfter.getTime() / 1000)
    const age = Date.now() / 1000 - (await gateway.metric(wanted.replace('after', 'before')))
    expect(age).toBeGreaterThan(0)
    expect(age).toBeLessThan(3600)
  })
})

describe('what is broken is not taken', () => {
  const BROKEN: Record<string, { files: (world: World) => Promise<Record<string, string>>; says: RegExp }> = {
    'a certificate that is half written': {
      files: async (world) => ({ 'pki/partner.pem': (await clientOf(world, 'x')).certificate.slice(0, 300) }),
      says: /clientCertificates\[0\]\.certificate: pki\/partner\.pem: a PEM block that is cut off/,
    },
    'an empty file': {
      files: async () => ({ 'pki/partner.pem': '' }),
      says: /clientCertificates\[0\]\.certificate: pki\/partner\.pem: no PEM certificate in it/,
    },
    'a key of another certificate': {
      files: async (world) => ({ 'pki/partner.key': (await clientOf(world, 'x')).key }),
      says: /clientCertificates\[0\]\.key: pki\/partner\.key: does not belong to the certificate/,
    },
    'a certificate that has expired': {
      files: async (world) => {
        const hour = 3_600_000
        const old = await world.partnerCa.issue({
          cn: 'old',
          notBefore: new Date(Date.now() - 2 * hour),
          notAfter: new Date(Date.now() - hour),
        })
        return { 'pki/partner.pem': old.chainPem, 'pki/partner.key': old.keyPem }
      },
      says: /clientCertificates\[0\]\.certificate: pki\/partner\.pem: the certificate expired at/,
    },
    'roots that are none': {
      files: async () => ({ 'pki/partner-ca.pem': 'nothing' }),
      says: /roots: pki\/partner-ca\.pem: no PEM certificate in it/,
    },
  }
  for (const [name, { files, says }] of Object.entries(BROKEN)) {
    test(`${name}: told once, counted, and good again when it is good again`, async () => {
      await using stack = new AsyncDisposableStack()
      const { world, gateway, target } = await scene(stack)
      for (const [file, text] of Object.entries(await files(world))) await world.file(file, text)
      await expect
        .poll(() =>
          complaints(gateway)
            .map(({ faults }) => faults)
            .join('\n'),
        )
        .toMatch(says)
      // It is looked at again and again.
      const told = complaints(gateway).length
      for (let round = 0; round < 3; round += 1)
        expect(await visit(world, gateway, target)).toBe('saw CN=first')
      expect(complaints(gateway)).toHaveLength(told)
      expect(await failures(gateway)).toBeGreaterThan(0)
      expect(gateway.logged.join('')).not.toContain('PRIVATE')
      await world.file('pki/partner-ca.pem', world.partnerCa.pem)
      await write(world, 'partner', await clientOf(world, 'second'))
      await untilSeen(world, gateway, target, 'saw CN=second')
      await expect.poll(() => stale(gateway)).toBe(0)
    })
  }

  test('and keeps no other destination from its own', async () => {
    await using stack = new AsyncDisposableStack()
    const { world, gateway } = await scene(stack)
    await world.file('pki/partner.pem', '')
    await expect.poll(() => stale(gateway)).toBe(1)
    await write(world, 'other', await clientOf(world, 'second'))
    await expect
      .poll(() =>
        logOf(gateway)
          .filter(({ msg }) => msg === 'was replaced')
          .map((one) => one.destination),
      )
      .toEqual(['other'])
  })
})

test('a destination that is gone leaves no gauge behind, and its counters stay', async () => {
  await using stack = new AsyncDisposableStack()
  const { world, partner, gateway } = await scene(stack)
  await world.file('pki/other.pem', '')
  await expect.poll(() => stale(gateway)).toBe(1)
  const gauges = async () =>
    (await seriesOf(gateway)).filter((line) => /^sallyport_(?:certificate|partner_stale)/.test(line))
  expect(await gauges()).toHaveLength(3 * 4 + 2 * 2)
  await gateway.change({ destinations: DESTINATION('partner', partner.port) })
  expect(await stale(gateway)).toBe(0)
  expect((await gauges()).filter((line) => /"other/.test(line))).toEqual([])
  expect(await gauges()).toHaveLength(2 * 4 + 2)
  expect(await gateway.metric('sallyport_partner_reload_failures_total{destination="other"}')).toBe(1)
})

test('changed roots judge the next dial, and the live session whose server they do not vouch for', async () => {
  await using stack = new AsyncDisposableStack()
  const { world, gateway, target } = await scene(stack)
  const live = await connect(world, gateway.port, { svid: await world.svid('/payments/api'), target })
  expect(live.status).toBe(200)
  const stranger = await createRoot({ name: 'another CA' })
  await world.file('pki/partner-ca.pem', stranger.pem)
  await untilSeen(world, gateway, target, '502')
  expect((await readToEnding(live.socket)).how).toBe('reset')
  const codes = () => gateway.records().map(({ outcome }) => outcome.code)
  await expect.poll(codes).toContain('session-server-untrusted')
  expect(codes()).toContain('upstream-tls-certificate-untrusted')
  await world.file('pki/partner-ca.pem', stranger.pem + world.partnerCa.pem)
  await untilSeen(world, gateway, target, 'saw CN=first')
})
