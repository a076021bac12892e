// What reaches a server that is as it should be, and what the record says of it.
import { X509Certificate } from 'node:crypto'
import type { TLSSocket, TlsOptions } from 'node:tls'
import { beforeAll, describe, expect, test } from 'vitest'
import { spkiPin } from '../../../gateway/upstream/server-identity.ts'
import {
  clientCertificate,
  createPki,
  HOST,
  opened,
  type Pki,
  readAll,
  readSome,
  request,
  tlsServer,
} from './harness.ts'

let pki: Pki
beforeAll(async () => {
  pki = await createPki()
})

const sha256Of = (pem: string): string => {
  return new X509Certificate(pem).fingerprint256.replaceAll(':', '').toLowerCase()
}

/** A server, and a promise of the first connection that it accepted. */
async function watched(options: TlsOptions = {}) {
  const { promise, resolve } = Promise.withResolvers<TLSSocket>()
  const server = await tlsServer(pki.server, options, resolve)
  return { server, accepted: promise, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() }
}

describe.each(['TLSv1.2', 'TLSv1.3'] as const)('%s', (version) => {
  // The server leaves the choice of the cipher to us.
  const only = { minVersion: version, maxVersion: version, honorCipherOrder: false } as const

  test('bytes both ways, and the facts of the record', async () => {
    await using server = await tlsServer(pki.server, only, (socket) => {
      socket.pipe(socket)
    })
    await using connection = await opened(request(server.port, { roots: [pki.servers.pem] }))
    connection.stream.write('hello')
    expect(await readSome(connection)).toBe('hello')
    expect(connection.facts).toEqual({
      address: `127.0.0.1:${server.port}`,
      serverName: HOST,
      nameProof: 'certificate',
      tlsVersion: version,
      cipher: version === 'TLSv1.3' ? 'TLS_AES_128_GCM_SHA256' : 'TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256',
      resumed: false,
      certificateSha256: sha256Of(pki.server.pem),
      clientCertificateSha256: null,
      attempts: 1,
    })
    expect(connection.timings).toEqual({
      resolveMs: expect.any(Number),
      connectMs: expect.any(Number),
      tlsMs: expect.any(Number),
    })
  })

  test('half-close is kept both ways', async () => {
    await using server = await tlsServer(pki.server, { ...only, allowHalfOpen: true }, (socket) => {
      socket.on('end', () => socket.end('after your end')).resume()
    })
    await using connection = await opened(request(server.port, { roots: [pki.servers.pem] }))
    connection.stream.end('x')
    expect(await readSome(connection)).toBe('after your end')
  })

  test('a server that ends first still gets what the client sends', async () => {
    const { promise, resolve } = Promise.withResolvers<string>()
    await using server = await tlsServer(pki.server, { ...only, allowHalfOpen: true }, (socket) => {
      socket.end('bye')
      socket.on('data', (chunk: Buffer) => resolve(chunk.toString()))
    })
    await using connection = await opened(request(server.port, { roots: [pki.servers.pem] }))
    expect((await readAll(connection)).toString()).toBe('bye')
    // Ending our side by itself is what Node does unless it is told not to, and it takes a turn.
    await new Promise((next) => setImmediate(next))
    connection.stream.write('after your end')
    expect(await promise).toBe('after your end')
  })

  test('the client certificate of the first entry that matches the workload', async () => {
    const second = await pki.clients.issue({ cn: 'second' })
    const options = { ...only, requestCert: true, ca: pki.clients.pem }
    await using peer = await watched(options)
    const clientCertificates = [
      clientCertificate(second, 'spiffe://example.org/someone/else'),
      clientCertificate(pki.client),
      clientCertificate(second),
    ]
    const wanted = request(peer.server.port, { roots: [pki.servers.pem], clientCertificates })
    await using connection = await opened(wanted)
    const socket = await peer.accepted
    expect(socket.authorized).toBe(true)
    expect(socket.getPeerX509Certificate()?.subject).toBe('CN=payments')
    expect(connection.facts.clientCertificateSha256).toBe(sha256Of(pki.client.pem))
  })

  test('a workload that no entry matches shows none', async () => {
    await using peer = await watched({ ...only, requestCert: true, rejectUnauthorized: false })
    const clientCertificates = [clientCertificate(pki.client, 'spiffe://example.org/someone/else')]
    const wanted = request(peer.server.port, { roots: [pki.servers.pem], clientCertificates })
    await using connection = await opened(wanted)
    expect((await peer.accepted).getPeerX509Certificate()).toBeUndefined()
    expect(connection.facts.clientCertificateSha256).toBeNull()
  })

  test('a server that does not ask gets none, and the record says so', async () => {
    await using server = await tlsServer(pki.server, only)
    const clientCertificates = [clientCertificate(pki.client)]
    await using connection = await opened(
      request(server.port, { roots: [pki.servers.pem], clientCertificates }),
    )
    expect(connection.facts.clientCertificateSha256).toBeNull()
  })
})

test('the host is sent as server name', async () => {
  await using peer = await watched()
  await using _connection = await opened(request(peer.server.port, { roots: [pki.servers.pem] }))
  expect((await peer.accepted).servername).toBe(HOST)
})

test('serverName of the destination is sent and verified in its place', async () => {
  await using peer = await watched()
  const wanted = request(
    peer.server.port,
    { roots: [pki.servers.pem], serverName: HOST },
    { host: 'vpce-1234.bank.example' },
  )
  await using connection = await opened(wanted)
  expect((await peer.accepted).servername).toBe(HOST)
  expect(connection.facts.serverName).toBe(HOST)
})

test('an IP address is never sent as server name, and is verified as IP SAN', async () => {
  await using peer = await watched()
  const wanted = request(peer.server.port, { roots: [pki.servers.pem] }, { host: '127.0.0.1' })
  await using connection = await opened(wanted)
  expect((await peer.accepted).servername).toBe(false)
  expect(connection.facts).toMatchObject({ serverName: null, nameProof: 'certificate' })
})

test('a pinned key passes', async () => {
  await using server = await tlsServer(pki.server)
  const pins = [spkiPin(new X509Certificate(pki.server.pem))]
  await using connection = await opened(request(server.port, { roots: [pki.servers.pem], pins }))
  expect(connection.facts.nameProof).toBe('certificate')
})

test('ALPN is offered as configured', async () => {
  await using peer = await watched({ ALPNProtocols: ['postgresql'] })
  const wanted = request(peer.server.port, { roots: [pki.servers.pem], alpn: ['postgresql'] })
  await using _connection = await opened(wanted)
  expect((await peer.accepted).alpnProtocol).toBe('postgresql')
})

test('a chain of two CAs', async () => {
  const issuing = await pki.servers.subordinate({ name: 'issuing' })
  await using server = await tlsServer(await issuing.issue({ dns: [HOST] }))
  await using connection = await opened(request(server.port, { roots: [pki.servers.pem] }))
  expect(connection.facts.nameProof).toBe('certificate')
})

test('TLS 1.2: no second handshake, in which a server could ask for the client certificate', async () => {
  await using peer = await watched({ maxVersion: 'TLSv1.2', ca: pki.clients.pem })
  const clientCertificates = [clientCertificate(pki.client)]
  const wanted = request(peer.server.port, { roots: [pki.servers.pem], clientCertificates })
  await using connection = await opened(wanted)
  connection.stream.resume()
  const socket = await peer.accepted
  const outcome = await new Promise<string>((resolve) => {
    socket.once('error', (error) => resolve(error.message))
    socket.renegotiate({ requestCert: true, rejectUnauthorized: false }, () => resolve('renegotiated'))
  })
  expect(outcome).toContain('no renegotiation')
  expect(connection.facts.clientCertificateSha256).toBeNull()
})

test('errors that nobody waits for end no process', async () => {
  await using server = await tlsServer(pki.server)
  await using connection = await opened(request(server.port, { roots: [pki.servers.pem] }))
  for (const socket of [connection.stream, connection.raw]) {
    for (let round = 0; round < 3; round += 1) {
      expect(socket.emit('error', new Error('late'))).toBe(true)
    }
  }
})
