// The way up to a PostgreSQL that begins in plaintext: to honest servers, and to each kind of liar.
import { once } from 'node:events'
import { beforeAll, describe, expect, test } from 'vitest'
import type { Destination } from '../../../gateway/config/types.ts'
import { UpstreamError } from '../../../gateway/upstream/types.ts'
import { type FakePostgresOptions, startFakePostgres } from '../../fixtures/postgres-server.ts'
import * as wire from '../../fixtures/postgres-wire.ts'
import { readToEnding } from '../../fixtures/sockets.ts'
import { clientCertificate, createPki, opened, type Pki, refused, request, tcpServer } from './harness.ts'

let pki: Pki
let postgres: Partial<Destination>
let direct: Partial<Destination>

beforeAll(async () => {
  pki = await createPki()
  postgres = {
    startTls: 'postgres',
    roots: [pki.servers.pem],
    clientCertificates: [clientCertificate(pki.client)],
  }
  direct = { ...postgres, startTlsDirect: true, alpn: ['postgresql'] }
})

describe('SSLRequest', () => {
  test('is all that goes up in plaintext, and the session goes over TLS with the client certificate', async () => {
    await using server = await startFakePostgres(pki.server, {
      requestCert: true,
      rejectUnauthorized: true,
      ca: pki.clients.pem,
    })
    await using connection = await opened(request(server.port, postgres))
    connection.stream.write(wire.STARTUP)
    connection.stream.resume()
    await once(connection.stream, 'data')
    expect(server.first).toEqual([wire.SSL_REQUEST])
    expect(server.told()).toEqual([wire.STARTUP])
    expect(server.clients).toEqual(['payments'])
    expect(connection.facts).toMatchObject({ nameProof: 'certificate', serverName: 'api.bank.example' })
    expect(connection.timings.tlsMs).not.toBeNull()
  })

  const REFUSED = 'upstream-starttls-refused'
  const MALFORMED = 'upstream-starttls-malformed'
  test.each<[string, FakePostgresOptions['answer'], string, string]>([
    ['N', Buffer.from('N'), REFUSED, 'the server has TLS switched off (N to SSLRequest)'],
    [
      'an ErrorResponse',
      wire.error('53300', 'sorry, too many clients already'),
      REFUSED,
      'the server says: 53300 sorry, too many clients already',
    ],
    [
      'an ErrorResponse with a terminal’s escape in it',
      wire.error('53300', '\x1b[31mred'),
      REFUSED,
      'the server says: 53300 \\u001b[31mred',
    ],
    [
      'an ErrorResponse of 4 GiB',
      Buffer.from('45ffffffff', 'hex'),
      REFUSED,
      'the server answered SSLRequest with an error',
    ],
    ['SSH', Buffer.from('XSH-2.0-OpenSSH\r\n'), MALFORMED, '"X" is no answer to SSLRequest'],
    ['GSSAPI', Buffer.from('G'), MALFORMED, '"G" is no answer to SSLRequest'],
    ['NUL', Buffer.from([0]), MALFORMED, '"\\u0000" is no answer to SSLRequest'],
    [
      'S with a session behind it',
      Buffer.concat([Buffer.from('S'), wire.AUTHENTICATION_OK, wire.READY]),
      'upstream-starttls-injected',
      "15 bytes came with the server's answer",
    ],
    [
      'S and one more byte',
      Buffer.from('SS'),
      'upstream-starttls-injected',
      "1 bytes came with the server's answer",
    ],
    ['the end', 'end', 'upstream-starttls-closed', 'the server ended the connection'],
    [
      'an ErrorResponse cut short',
      Buffer.from('450000', 'hex'),
      'upstream-starttls-timeout',
      'not done within 300 ms',
    ],
    ['silence', null, 'upstream-starttls-timeout', 'not done within 300 ms'],
  ])('answered by %s ends there', async (_, answer, code, detail) => {
    await using server = await startFakePostgres(pki.server, { answer })
    const connect = { timeoutMs: code.endsWith('timeout') ? 300 : 10_000, attempts: 1, confirmMs: null }
    const error = await refused(request(server.port, { ...postgres, connect }))
    expect({ code: error.code, message: error.message }).toEqual({ code, message: detail })
    expect(server.told()).toEqual([])
    expect(error.facts?.address).toBe(`127.0.0.1:${server.port}`)
    await expect.poll(() => server.connections()).toBe(0)
  })

  test('answered by a reset ends there', async () => {
    await using server = await startFakePostgres(pki.server, { answer: 'reset' })
    const error = await refused(request(server.port, postgres))
    expect(error.code).toBe('upstream-starttls-closed')
  })

  test('is not followed by plaintext that comes a moment after S either', async () => {
    await using server = await tcpServer((raw) => {
      raw.once('data', () => {
        raw.write('S', () => setTimeout(() => raw.write(wire.greeting(wire.key(1, Buffer.alloc(4)))), 30))
      })
    })
    const error = await refused(request(server.port, postgres))
    expect(error.code).toMatch(/^upstream-(?:tls-plaintext|tls-handshake-failed|starttls-injected)$/)
  })

  test('leaves nothing behind when the client goes away meanwhile', async () => {
    await using server = await startFakePostgres(pki.server, { answer: null })
    const client = new AbortController()
    const wanted = refused(request(server.port, postgres, { signal: client.signal }))
    await expect.poll(() => server.first.length).toBe(1)
    client.abort()
    expect((await wanted).code).toBe('relay-client-reset')
    await expect.poll(() => server.connections()).toBe(0)
  })

  test('comes before a name that must fit all the same', async () => {
    await using server = await startFakePostgres(await pki.servers.issue({ dns: ['other.example'] }))
    expect((await refused(request(server.port, postgres))).code).toBe('upstream-tls-name-mismatch')
  })
})

describe('direct TLS', () => {
  test('asks for nothing in plaintext, and goes by ALPN postgresql', async () => {
    await using server = await startFakePostgres(pki.server, { direct: true, ALPNProtocols: ['postgresql'] })
    await using connection = await opened(request(server.port, direct))
    connection.stream.write(wire.STARTUP)
    connection.stream.resume()
    await once(connection.stream, 'data')
    expect(server.first).toEqual([])
    expect(server.told()).toEqual([wire.STARTUP])
  })

  test('to a server that chooses no ALPN is refused: it may speak anything', async () => {
    await using server = await startFakePostgres(pki.server, { direct: true })
    const error = await refused(request(server.port, direct))
    expect(error).toMatchObject({
      code: 'upstream-tls-alpn',
    })
    expect(server.told().every((bytes) => bytes.length === 0)).toBe(true)
  })

  test('to a server that wants SSLRequest fails as TLS does', async () => {
    await using server = await startFakePostgres(pki.server, { answer: wire.error('08P01', 'x') })
    expect((await refused(request(server.port, direct))).code).toBe('upstream-tls-plaintext')
  })
})

describe('a client that speaks PostgreSQL in plaintext', () => {
  async function session(options: FakePostgresOptions = {}) {
    const server = await startFakePostgres(pki.server, options)
    const connection = await opened(request(server.port, postgres))
    const judged: string[] = []
    connection.stream.on('error', (error) => judged.push(connection.judgeLateError(error)))
    return {
      ...{ server, judged, connection, stream: connection.stream },
      async [Symbol.asyncDispose]() {
        await connection[Symbol.asyncDispose]()
        await server[Symbol.asyncDispose]()
      },
    }
  }

  test('is answered no to both requests for encryption, which the server never sees', async () => {
    await using place = await session()
    const ending = readToEnding(place.stream)
    place.stream.write(Buffer.concat([wire.GSSENC_REQUEST, wire.SSL_REQUEST, wire.STARTUP]))
    place.stream.end()
    const whole = Buffer.concat([Buffer.from('NN'), wire.greeting(Buffer.alloc(8, 7))])
    expect(await ending).toMatchObject({ how: 'end', data: whole })
    expect(place.server.told()).toEqual([wire.STARTUP])
  })

  test.each<[string, Buffer]>([
    ['TLS of its own', Buffer.from('160301', 'hex')],
    ['HTTP', Buffer.from('GET / HTTP/1.1\r\n\r\n')],
    ['a third request for encryption', Buffer.concat([wire.SSL_REQUEST, wire.SSL_REQUEST, wire.SSL_REQUEST])],
    ['protocol 2', Buffer.from('0000000800020000', 'hex')],
  ])('that begins with %s is cut off, and the server is told nothing', async (_, bytes) => {
    await using place = await session()
    const ending = readToEnding(place.stream)
    place.stream.write(bytes)
    expect((await ending).how).toBe('reset')
    expect(place.judged).toEqual(['request-start-tls'])
    expect(place.server.told().every((told) => told.length === 0)).toBe(true)
  })

  test('gets megabytes as they are, in both directions', async () => {
    await using place = await session()
    const body = Buffer.alloc(3_000_000, 'abcdefgh')
    const ending = readToEnding(place.stream)
    place.stream.write(wire.STARTUP)
    await expect.poll(() => place.server.told()[0]?.length).toBe(wire.STARTUP.length)
    place.stream.end(body)
    const { how, data } = await ending
    expect(how).toBe('end')
    expect(data.subarray(-body.length).equals(body)).toBe(true)
    expect(place.server.told()[0]?.subarray(wire.STARTUP.length).equals(body)).toBe(true)
  })

  test('is not offered channel binding, which ends at the gateway', async () => {
    const offer = (names: string) => wire.authentication(10, `${names}\0`)
    await using place = await session({
      onSession: (socket) => void socket.write(offer('SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0')),
    })
    place.stream.resume()
    place.stream.write(wire.STARTUP)
    const [data] = (await once(place.stream, 'data')) as [Buffer]
    expect(data).toEqual(offer('SCRAM-SHA-256\0'))
  })

  test('sees a server that breaks off as a reset with its code', async () => {
    await using place = await session({ onSession: (socket) => void socket.end(wire.READY.subarray(0, 3)) })
    const ending = readToEnding(place.stream)
    place.stream.write(wire.STARTUP)
    expect((await ending).how).toBe('reset')
    expect(place.judged).toEqual(['upstream-starttls-malformed'])
  })
})

test('a late error of TLS keeps its own code', async () => {
  await using server = await startFakePostgres(pki.server)
  await using connection = await opened(request(server.port, postgres))
  const reset = Object.assign(new Error('reset'), { code: 'ECONNRESET' })
  expect(connection.judgeLateError(reset)).toBe('relay-upstream-reset')
  expect(connection.judgeLateError(new UpstreamError('request-start-tls', ''))).toBe('request-start-tls')
})
