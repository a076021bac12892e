import { describe, expect, test } from 'vitest'
import { connect, connectTls, readAnswer, readBody } from '../../fixtures/connect-client.ts'
import { createRoot, type Issued, KEY_USAGE } from '../../fixtures/pki.ts'
import { createWorld, startTestGateway, type World } from '../../fixtures/world.ts'

const DESTINATIONS = '  - {name: partner, hosts: [partner.test], ports: [443]}'
const HOUR = 3_600_000
const ID = 'spiffe://example.org/payments'

type Make = (world: World) => Promise<Issued | null>

const TABLE: readonly [string, Make, string][] = [
  ['it shows no certificate', async () => null, 'client-certificate-missing'],
  [
    'its SVID has expired',
    (world) =>
      world.svid('/payments', {
        notBefore: new Date(Date.now() - 2 * HOUR),
        notAfter: new Date(Date.now() - HOUR),
      }),
    'client-certificate-expired',
  ],
  [
    'its SVID is not valid yet',
    (world) =>
      world.svid('/payments', {
        notBefore: new Date(Date.now() + HOUR),
        notAfter: new Date(Date.now() + 2 * HOUR),
      }),
    'client-certificate-not-yet-valid',
  ],
  [
    'its ID is of another trust domain, though our CA signed it',
    (world) => world.issuing.issue({ uris: ['spiffe://other.org/payments'] }),
    'client-trust-domain-unknown',
  ],
  [
    'it has two URI SANs',
    (world) => world.issuing.issue({ uris: [ID, 'spiffe://example.org/admin'] }),
    'client-svid-multiple-uris',
  ],
  ['it has no URI SAN', (world) => world.issuing.issue({ cn: 'x', dns: ['x.test'] }), 'client-svid-no-uri'],
  ['it is a CA', (world) => world.issuing.issue({ uris: [ID], ca: true }), 'client-svid-is-ca'],
  [
    'its ID has no path',
    (world) => world.issuing.issue({ uris: ['spiffe://example.org'] }),
    'client-svid-no-path',
  ],
  [
    'its ID is not one',
    (world) => world.issuing.issue({ uris: ['spiffe://example.org/a/../b'] }),
    'client-svid-malformed-id',
  ],
  [
    'an unknown root signed it',
    async () => (await createRoot({ name: 'stranger' })).issue({ uris: [ID] }),
    'client-certificate-untrusted',
  ],
  [
    'a root of the same name signed it',
    async () => (await createRoot({ name: 'root of example.org' })).issue({ uris: [ID] }),
    'client-certificate-untrusted',
  ],
  [
    'it may sign certificates',
    (world) =>
      world.issuing.issue({
        uris: [ID],
        keyUsage: { flags: KEY_USAGE.digitalSignature | KEY_USAGE.keyCertSign, critical: true },
      }),
    'client-svid-key-usage',
  ],
  [
    'it is for servers alone',
    (world) => world.issuing.issue({ uris: [ID], eku: ['1.3.6.1.5.5.7.3.1'] }),
    'client-svid-extended-key-usage',
  ],
]

describe('a workload is refused with 403 and its own reason', () => {
  test.for(TABLE)('when %s', async ([, make, code]) => {
    await using world = await createWorld()
    let resolved = 0
    const resolve = async () => {
      resolved += 1
      return []
    }
    await using gateway = await startTestGateway(world, { destinations: DESTINATIONS, resolve })
    const answer = await connect(world, gateway.port, { svid: await make(world) })
    expect(answer.status).toBe(403)
    expect(answer.head).toContain(`details="${code}"`)
    expect(await readBody(answer)).toContain(code)
    const [record] = await gateway.closed(1)
    expect(record).toMatchObject({
      workload: null,
      serialNumber: null,
      outcome: { code, by: 'gateway' },
      decision: null,
    })
    expect(resolved).toBe(0)
  })

  test('and one that keeps the rules is not', async () => {
    await using world = await createWorld()
    await using gateway = await startTestGateway(world, {
      destinations: DESTINATIONS,
      resolve: async () => ['10.0.0.1'],
    })
    const svid = await world.svid('/payments')
    await connect(world, gateway.port, { svid })
    const [record] = await gateway.closed(1)
    expect(record).toMatchObject({
      workload: ID,
      credential: 'certificate',
      serialNumber: svid.certificate.serialNumber,
      outcome: { code: 'address-private' },
    })
  })

  test.for(['TLSv1.2', 'TLSv1.3'] as const)(
    'nor one that is sent twice before its issuing CA, over %s',
    async (version) => {
      await using world = await createWorld()
      await using gateway = await startTestGateway(world, {
        destinations: DESTINATIONS,
        listeners: `  - {name: proxy, address: "127.0.0.1:0", protocol: connect, minVersion: ${version}}`,
        resolve: async () => ['10.0.0.1'],
      })
      const svid = await world.svid('/payments')
      const chainPem = `${svid.pem}\n${svid.chainPem}`
      await connect(world, gateway.port, { svid: { ...svid, chainPem }, tls: { maxVersion: version } })
      expect((await gateway.closed(1))[0]).toMatchObject({
        workload: ID,
        outcome: { code: 'address-private' },
      })
    },
  )

  test('an SVID without its issuing CA is refused as untrusted', async () => {
    await using world = await createWorld()
    await using gateway = await startTestGateway(world, { destinations: DESTINATIONS })
    const svid = await world.svid('/payments')
    const answer = await connect(world, gateway.port, { svid: { ...svid, chainPem: svid.pem } })
    expect(answer.status).toBe(403)
    expect((await gateway.closed(1))[0]?.outcome.code).toBe('client-certificate-untrusted')
  })

  test('TLS 1.2 is refused unless the listener allows it', async () => {
    await using world = await createWorld()
    await using gateway = await startTestGateway(world, { destinations: DESTINATIONS })
    const svid = await world.svid('/payments')
    await expect(connect(world, gateway.port, { svid, tls: { maxVersion: 'TLSv1.2' } })).rejects.toThrow(
      /protocol version/,
    )
    expect((await gateway.closed(1))[0]?.outcome.code).toBe('client-handshake-failed')
  })
})

describe.each(['TLSv1.2', 'TLSv1.3'] as const)('with %s', (version) => {
  test('attack 48: no handshake resumes an earlier one, so that each is judged afresh', async () => {
    await using world = await createWorld()
    await using gateway = await startTestGateway(world, {
      destinations: DESTINATIONS,
      listeners: `  - {name: proxy, address: "127.0.0.1:0", protocol: connect, minVersion: ${version}}`,
      resolve: async () => ['10.0.0.1'],
    })
    const options = { svid: await world.svid('/payments'), tls: { maxVersion: version } }
    const first = await connectTls(world, gateway.port, options)
    // Of TLS 1.3, what comes after the handshake: OpenSSL sends tickets even where they can never be used.
    let session: Buffer | undefined = first.getSession()
    first.on('session', (ticket: Buffer) => {
      session = ticket
    })
    first.write('CONNECT partner.test:443 HTTP/1.1\r\nHost: partner.test:443\r\n\r\n')
    // Its answer comes after all that the handshake had to say.
    await readBody(await readAnswer(first))
    const again = await connectTls(world, gateway.port, { ...options, tls: { ...options.tls, session } })
    expect(again.isSessionReused()).toBe(false)
    expect(again.getProtocol()).toBe(version)
    again.destroy()
  })
})
