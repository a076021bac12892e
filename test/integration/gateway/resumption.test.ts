// What the audit record says of a session that was resumed with the partner.
import { expect, test } from 'vitest'
import { connect } from '../../fixtures/connect-client.ts'
import { partnerDestination, startPartner, toLoopback } from '../../fixtures/partner.ts'
import { readToEnding } from '../../fixtures/sockets.ts'
import { createWorld, startTestGateway } from '../../fixtures/world.ts'

test('a resumed session’s record has the certificates of the handshake that verified them', async () => {
  await using world = await createWorld()
  const { chainPem, keyPem } = await world.partnerCa.issue({ cn: 'acme', eku: ['1.3.6.1.5.5.7.3.2'] })
  await world.file('pki/acme.pem', chainPem)
  await world.file('pki/acme.key', keyPem)
  const reused: boolean[] = []
  await using partner = await startPartner(
    world,
    (socket) => {
      reused.push(socket.isSessionReused())
      socket.end(`saw ${socket.getPeerX509Certificate()?.subject}`)
    },
    { requestCert: true, rejectUnauthorized: true, ca: world.partnerCa.pem },
  )
  const entry =
    '{workloads: ["spiffe://example.org/**"], certificate: "file:pki/acme.pem", key: "file:pki/acme.key"}'
  await using gateway = await startTestGateway(world, {
    destinations: partnerDestination(partner.port, `    clientCertificates:\n      - ${entry}\n`),
    resolve: toLoopback,
  })
  const target = `partner.test:${partner.port}`
  const svid = await world.svid('/payments/api')
  for (let round = 1; round <= 2; round += 1) {
    const answer = await connect(world, gateway.port, { svid, target })
    expect(answer.status).toBe(200)
    answer.socket.end()
    const { data } = await readToEnding(answer.socket)
    expect(Buffer.concat([answer.rest, data]).toString()).toBe('saw CN=acme')
    await gateway.closed(round)
  }
  expect(reused).toEqual([false, true])
  const [first, second] = gateway.records().map(({ upstream }) => upstream)
  expect(first).toMatchObject({
    resumed: false,
    certificateSha256: expect.stringMatching(/^[0-9a-f]{64}$/),
    clientCertificateSha256: expect.stringMatching(/^[0-9a-f]{64}$/),
  })
  expect(second).toEqual({ ...first, resumed: true })
  expect(await gateway.metric('sallyport_upstream_handshakes_total{resumed="true"}')).toBe(1)
})
