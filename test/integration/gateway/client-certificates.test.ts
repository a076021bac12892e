import { describe, expect, test } from 'vitest'
import type { TLSSocket } from 'node:tls'
import { connect } from '../../fixtures/connect-client.ts'
import { createRoot } from '../../fixtures/pki.ts'
import { partnerDestination, startPartner, toLoopback } from '../../fixtures/partner.ts'
import { readToEnding } from '../../fixtures/sockets.ts'
import { createWorld, startTestGateway, type World } from '../../fixtures/world.ts'

/** Client certificates for two teams, given by the partner, and their entries in the destination. */
async function partnerCertificates(world: World): Promise<string> {
  for (const team of ['payments', 'refunds']) {
    const certificate = await world.partnerCa.issue({ cn: `acme-${team}`, eku: ['1.3.6.1.5.5.7.3.2'] })
    await world.file(`pki/${team}.pem`, certificate.chainPem)
    await world.file(`pki/${team}.key`, certificate.keyPem)
  }
  const entry = (team: string) =>
    `      - {workloads: ["spiffe://example.org/${team}/**"], certificate: "file:pki/${team}.pem", key: "file:pki/${team}.key"}`
  return `    clientCertificates:\n${['payments', 'refunds'].map(entry).join('\n')}\n`
}

/** A partner that demands a certificate of its CA and says whose it saw. */
function demanding(world: World, more: object = {}) {
  return startPartner(
    world,
    (socket: TLSSocket) => socket.end(`saw ${socket.getPeerX509Certificate()?.subject}`),
    { requestCert: true, rejectUnauthorized: true, ca: world.partnerCa.pem, ...more },
  )
}

describe('the partner’s client certificate', () => {
  test.for(['TLSv1.2', 'TLSv1.3'] as const)(
    'is chosen by workload over %s: two workloads, one host, two certificates',
    async (version) => {
      await using world = await createWorld()
      const entries = await partnerCertificates(world)
      await using partner = await demanding(world, { minVersion: version, maxVersion: version })
      await using gateway = await startTestGateway(world, {
        destinations: partnerDestination(partner.port, entries),
        resolve: toLoopback,
      })
      const target = `partner.test:${partner.port}`
      for (const team of ['payments', 'refunds']) {
        const answer = await connect(world, gateway.port, { svid: await world.svid(`/${team}/api`), target })
        expect(answer.status).toBe(200)
        answer.socket.end()
        const { data } = await readToEnding(answer.socket)
        expect(Buffer.concat([answer.rest, data]).toString()).toBe(`saw CN=acme-${team}`)
      }
      const digests = (await gateway.closed(2)).map(({ upstream }) => upstream?.clientCertificateSha256)
      expect(new Set(digests).size).toBe(2)
      expect(digests[0]).toMatch(/^[0-9a-f]{64}$/)
    },
  )

  test.for(['TLSv1.2', 'TLSv1.3'] as const)(
    'missing for this workload over %s: never a 200, and audited as required',
    async (version) => {
      await using world = await createWorld()
      const entries = await partnerCertificates(world)
      await using partner = await demanding(world, { minVersion: version, maxVersion: version })
      await using gateway = await startTestGateway(world, {
        destinations: partnerDestination(partner.port, entries),
        resolve: toLoopback,
      })
      const target = `partner.test:${partner.port}`
      const answer = await connect(world, gateway.port, { svid: await world.svid('/reports'), target })
      expect(answer.status).toBe(502)
      expect(answer.head).toContain('error=tls_alert_received')
      const [record] = await gateway.closed(1)
      expect(record?.outcome).toMatchObject({
        code: 'upstream-tls-client-certificate-required',
        by: 'upstream',
      })
      expect(record?.outcome.hint).toContain('partner')
      expect(gateway.events().some(({ event }) => event === 'session.opened')).toBe(false)
    },
  )

  test.for(['TLSv1.2', 'TLSv1.3'] as const)(
    'refused by the partner over %s: never a 200, never tried again',
    async (version) => {
      await using world = await createWorld()
      const entries = await partnerCertificates(world)
      const stranger = await createRoot({ name: 'another CA' })
      await using partner = await demanding(world, {
        ca: stranger.pem,
        minVersion: version,
        maxVersion: version,
      })
      await using gateway = await startTestGateway(world, {
        destinations: partnerDestination(partner.port, entries),
        resolve: toLoopback,
      })
      const target = `partner.test:${partner.port}`
      const answer = await connect(world, gateway.port, { svid: await world.svid('/payments/api'), target })
      expect(answer.status).toBe(502)
      const [record] = await gateway.closed(1)
      expect(record?.outcome.code).toBe('upstream-tls-client-certificate-refused')
      expect(record?.upstream?.clientCertificateSha256).toMatch(/^[0-9a-f]{64}$/)
      expect(partner.accepted()).toBe(1)
      expect(gateway.events().some(({ event }) => event === 'session.opened')).toBe(false)
    },
  )

  test('a server that is not the partner gets no 200', async () => {
    await using world = await createWorld()
    await using impostor = await startPartner(world, (socket) => socket.end('gotcha'), { name: 'evil.test' })
    await using gateway = await startTestGateway(world, {
      destinations: partnerDestination(impostor.port),
      resolve: toLoopback,
    })
    const target = `partner.test:${impostor.port}`
    const answer = await connect(world, gateway.port, { svid: await world.svid('/a'), target })
    expect(answer.status).toBe(502)
    expect(answer.head).toContain('error=tls_certificate_error')
    expect((await gateway.closed(1))[0]?.outcome.code).toBe('upstream-tls-name-mismatch')
  })
})
