// "Connected" is said only when the server has accepted the client certificate, as far as TLS shows it.
import { createHash, randomBytes } from 'node:crypto'
import net from 'node:net'
import type { TlsOptions } from 'node:tls'
import { beforeAll, describe, expect, test } from 'vitest'
import type { Destination } from '../../../gateway/config/types.ts'
import {
  clientCertificate,
  createPki,
  errorsUntilClosed,
  opened,
  type Pki,
  readAll,
  refused,
  request,
  tcpServer,
  tlsServer,
} from './harness.ts'
import { holdingProxy } from './holding-proxy.ts'

let pki: Pki
let presenting: Partial<Destination>
/** Accepts the client certificate. */
let asking: TlsOptions
/** Refuses it: Node's own server verifies after the handshake and closes without an alert. */
let refusing: TlsOptions

/** So long that a test which waits for the end of the wait runs into its own time-out. */
const ENDLESS = { timeoutMs: 600_000, attempts: 3, confirmMs: 600_000 }

beforeAll(async () => {
  pki = await createPki()
  presenting = { roots: [pki.servers.pem], clientCertificates: [clientCertificate(pki.client)] }
  asking = { requestCert: true, rejectUnauthorized: true, ca: pki.clients.pem }
  refusing = { requestCert: true, rejectUnauthorized: true, ca: pki.strangers.pem }
})

describe('acceptance', () => {
  test('a session ticket ends the wait', async () => {
    await using server = await tlsServer(pki.server, asking)
    await using connection = await opened(request(server.port, { ...presenting, connect: ENDLESS }))
    expect(connection.facts.clientCertificateSha256).not.toBeNull()
  })

  test('data ends the wait and is all there for the client', async () => {
    const sent = randomBytes(1024 * 1024)
    await using server = await tlsServer(pki.server, asking, (socket) => {
      socket.end(sent)
    })
    await using connection = await opened(request(server.port, { ...presenting, connect: ENDLESS }))
    expect(connection.stream.isPaused()).toBe(true)
    expect(connection.stream.readableFlowing).toBe(false)
    const received = await readAll(connection)
    expect(digest(received)).toBe(digest(sent))
  })

  test('a server that speaks and ends at once has not refused', async () => {
    await using server = await tlsServer(pki.server, asking, (socket) => {
      socket.end('bye')
    })
    for (let round = 0; round < 10; round += 1) {
      await using connection = await opened(request(server.port, { ...presenting, connect: ENDLESS }))
      expect((await readAll(connection)).toString()).toBe('bye')
    }
  })

  test('the stream is not read dry while the connection waits to be used', async () => {
    await using server = await tlsServer(pki.server, asking, (socket) => {
      socket.write('first')
    })
    await using connection = await opened(request(server.port, { ...presenting, connect: ENDLESS }))
    let seen = 0
    connection.stream.on('data', (chunk: Buffer) => {
      seen += chunk.length
    })
    for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve))
    expect(seen).toBe(0)
    connection.stream.resume()
    await expect.poll(() => seen).toBe(5)
  })

  test('a server that asks and needs none accepts a workload without one', async () => {
    await using server = await tlsServer(pki.server, { requestCert: true, rejectUnauthorized: false })
    const wanted = request(server.port, { roots: [pki.servers.pem], connect: ENDLESS })
    await using connection = await opened(wanted)
    expect(connection.facts.clientCertificateSha256).toBeNull()
  })

  test('silence for the time of the wait', async () => {
    await using server = await tlsServer(pki.server, asking)
    await using proxy = await holdingProxy(server.port)
    const connect = { timeoutMs: 60_000, attempts: 1, confirmMs: 50 }
    await using connection = await opened(request(proxy.port, { ...presenting, connect }))
    expect(connection.facts.nameProof).toBe('certificate')
  })

  test('silence until the budget is spent', async () => {
    await using server = await tlsServer(pki.server, asking)
    await using proxy = await holdingProxy(server.port)
    const connect = { timeoutMs: 1_500, attempts: 1, confirmMs: 600_000 }
    await using connection = await opened(request(proxy.port, { ...presenting, connect }))
    expect(connection.facts.nameProof).toBe('certificate')
  })

  test('TLS 1.2 has no wait', async () => {
    await using server = await tlsServer(pki.server, { ...asking, maxVersion: 'TLSv1.2' })
    await using proxy = await holdingProxy(server.port)
    proxy.release()
    await using connection = await opened(request(proxy.port, { ...presenting, connect: ENDLESS }))
    expect(connection.facts.tlsVersion).toBe('TLSv1.2')
  })

  test('a server that does not ask is not waited for', async () => {
    await using server = await tlsServer(pki.server)
    await using proxy = await holdingProxy(server.port)
    await using connection = await opened(request(proxy.port, { ...presenting, connect: ENDLESS }))
    expect(connection.facts.tlsVersion).toBe('TLSv1.3')
  })
})

describe('refusal', () => {
  test.each(['TLSv1.2', 'TLSv1.3'] as const)('%s: a bare end is never success', async (version) => {
    await using server = await tlsServer(pki.server, {
      ...refusing,
      minVersion: version,
      maxVersion: version,
    })
    const outcomes = Array.from({ length: 20 }, () => refused(request(server.port, presenting)))
    for (const error of await Promise.all(outcomes)) {
      expect(error.code).toBe('upstream-tls-client-certificate-refused')
      expect(error.facts?.clientCertificateSha256).not.toBeNull()
    }
    await expect.poll(server.connections).toBe(0)
  })

  test.each(['end', 'destroy'] as const)('an application that judges and calls %s', async (how) => {
    const options = { ...refusing, rejectUnauthorized: false }
    await using server = await tlsServer(pki.server, options, (socket) => {
      socket[how]()
    })
    const error = await refused(request(server.port, presenting))
    expect(error.code).toBe('upstream-tls-client-certificate-refused')
  })

  test('an end in the same packet as the tickets', async () => {
    await using server = await tlsServer(pki.server, asking, (socket) => {
      setImmediate(() => socket.end())
    })
    await using proxy = await holdingProxy(server.port)
    const outcome = refused(request(proxy.port, { ...presenting, connect: ENDLESS }))
    await expect.poll(proxy.serverEnded).toBe(true)
    proxy.release()
    expect((await outcome).code).toBe('upstream-tls-client-certificate-refused')
  })

  test('a reset in place of an answer', async () => {
    await using server = await tlsServer(pki.server, refusing)
    await using proxy = await holdingProxy(server.port)
    const outcome = refused(request(proxy.port, { ...presenting, connect: ENDLESS }))
    await expect.poll(proxy.serverEnded).toBe(true)
    proxy.reset()
    expect((await outcome).code).toBe('upstream-tls-client-certificate-refused')
  })

  test('it comes late in the wait', async () => {
    await using server = await tlsServer(pki.server, refusing)
    await using proxy = await holdingProxy(server.port)
    const outcome = refused(request(proxy.port, { ...presenting, connect: ENDLESS }))
    // The server has closed, and the gateway does not know it yet.
    await expect.poll(proxy.serverEnded).toBe(true)
    proxy.release()
    expect((await outcome).code).toBe('upstream-tls-client-certificate-refused')
  })

  test('it comes after the wait: told by the late error', async () => {
    await using server = await tlsServer(pki.server, refusing)
    await using proxy = await holdingProxy(server.port)
    const connect = { timeoutMs: 60_000, attempts: 1, confirmMs: 50 }
    // No certificate, so that Node's server sends the one alert that it can send.
    await using connection = await opened(request(proxy.port, { roots: [pki.servers.pem], connect }))
    // An alert does not close the socket by itself.
    const failed = new Promise<Error>((resolve) => connection.stream.once('error', resolve))
    connection.stream.resume()
    proxy.release()
    expect(connection.judgeLateError(await failed)).toBe('upstream-tls-client-certificate-required')
  })

  test('a client that goes away during the wait', async () => {
    await using server = await tlsServer(pki.server, asking)
    await using proxy = await holdingProxy(server.port)
    const client = new AbortController()
    const outcome = refused(
      request(proxy.port, { ...presenting, connect: ENDLESS }, { signal: client.signal }),
    )
    await expect.poll(server.connections).toBe(1)
    client.abort()
    expect((await outcome).code).toBe('relay-client-reset')
    await expect.poll(proxy.connections).toBe(0)
  })
})

test('a reset after the hand-over is told as one', async () => {
  const { promise, resolve } = Promise.withResolvers<net.Socket>()
  await using server = await tlsServer(pki.server, asking)
  await using proxy = await tcpServer((near) => {
    const far = net.connect({ port: server.port, host: '127.0.0.1' })
    near
      .pipe(far)
      .on('error', () => {})
      .pipe(near)
    resolve(near)
  })
  await using connection = await opened(request(proxy.port, { ...presenting, connect: ENDLESS }))
  const failed = errorsUntilClosed(connection.stream)
  connection.stream.resume()
  const near = await promise
  near.resetAndDestroy()
  const errors = await failed
  expect(errors.map(connection.judgeLateError)).toEqual(['relay-upstream-reset'])
})

function digest(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}
