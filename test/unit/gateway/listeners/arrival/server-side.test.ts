// The server's side of TLS over real sockets: who is authorised, and how a handshake that comes to nothing is told of.
import type net from 'node:net'
import tls from 'node:tls'
import { describe, expect, onTestFinished, test } from 'vitest'
import {
  assertServerSide,
  openServerSide,
  type Secured,
} from '../../../../../gateway/listeners/arrival/server-side.ts'
import { createRoot, EKU, type Issued } from '../../../../fixtures/pki.ts'
import { connectedPair } from '../../../../fixtures/sockets.ts'

const root = await createRoot({ name: 'root of example.org' })
const issuing = await root.subordinate({ name: 'issuing CA of example.org' })
const foreign = await createRoot({ name: 'another root' })
const API = { uris: ['spiffe://example.org/payments/api'], eku: [EKU.clientAuth, EKU.serverAuth] }
const own = await issuing.issue({ uris: ['spiffe://example.org/sallyport/gateway'], dns: ['localhost'] })
const secureContext = tls.createSecureContext({ cert: own.chainPem, key: own.keyPem, ca: root.pem })

/** A server's side with its peer's socket, and what it tells. */
async function scene(prepare: (socket: tls.TLSSocket) => void = () => {}) {
  const pair = await connectedPair()
  onTestFinished(() => pair[Symbol.asyncDispose]())
  const told: { secured: Secured[]; failures: (string | undefined)[]; ends: number } = {
    ...{ secured: [], failures: [], ends: 0 },
  }
  const server = openServerSide(pair.near, {
    ...{ secureContext, alpnProtocols: ['h2', 'http/1.1'] },
    onSecured: (_socket, secured) => void told.secured.push(secured),
    onFailed: (error: NodeJS.ErrnoException) => void told.failures.push(error.code),
    onEnd: () => void told.ends++,
  })
  prepare(server)
  return { ...pair, server, told }
}

function handshake(
  far: net.Socket,
  issued: Issued | null,
  options: tls.ConnectionOptions = {},
): tls.TLSSocket {
  const shown = issued === null ? {} : { cert: issued.chainPem, key: issued.keyPem }
  const client = tls.connect({
    ...{ socket: far, ca: root.pem, servername: 'localhost' },
    ...{ ALPNProtocols: ['http/1.1'], ...shown, ...options },
  })
  client.on('error', () => {})
  return client
}

describe.for(['TLSv1.3', 'TLSv1.2'] as const)('by %s', (version) => {
  const only = { minVersion: version, maxVersion: version }

  test.for<[string, () => Promise<Issued | null>, Secured['openssl'], number]>([
    ['whose chain leads to a root is authorised', () => issuing.issue(API), ok(), 2],
    [
      'of another root is not',
      () => foreign.issue(API),
      refused(expect.stringMatching(/^(?:UNABLE_TO|SELF_SIGNED)/)),
      1,
    ],
    [
      'with a certificate that is over is not',
      () => issuing.issue({ ...API, notBefore: new Date(0), notAfter: new Date(86_400_000) }),
      refused('CERT_HAS_EXPIRED'),
      2,
    ],
    ['without a certificate is not', async () => null, refused(expect.any(String)), 0],
  ])('a peer %s', async ([, issue, openssl, length]) => {
    const { far, told, server } = await scene()
    const client = handshake(far, await issue(), only)
    await expect.poll(() => told.secured).toHaveLength(1)
    expect(told.secured[0]?.openssl).toEqual(openssl)
    expect(told.secured[0]?.chain).toHaveLength(length)
    expect(server.alpnProtocol).toBe('http/1.1')
    expect(told).toMatchObject({ failures: [], ends: 0 })
    server.on('data', (chunk: Buffer) => server.write(chunk))
    client.write('ping')
    const answer = await new Promise((resolve) => client.once('data', resolve))
    expect(String(answer)).toBe('ping')
  })
})

function ok(): Secured['openssl'] {
  return { authorized: true, error: null }
}

function refused(error: string): Secured['openssl'] {
  return { authorized: false, error }
}

test.for<[string, (socket: tls.TLSSocket) => void]>([
  ['has no verdict to ask for', (socket) => hide(Reflect.get(socket, '_handle') as object, 'verifyError')],
  ['does not let go of a socket so', (socket) => hide(socket, '_releaseControl')],
])('a Node that %s authorises nobody', async ([, change]) => {
  const { far, told } = await scene(change)
  handshake(far, await issuing.issue(API))
  await expect.poll(() => told.secured).toHaveLength(1)
  expect(told.secured[0]?.openssl).toEqual(refused(expect.stringContaining('do not tell')))
})

test('a listener does not start on such a Node', () => {
  const release: unknown = Reflect.get(tls.TLSSocket.prototype, '_releaseControl')
  onTestFinished(() => void Reflect.set(tls.TLSSocket.prototype, '_releaseControl', release))
  expect(() => assertServerSide(secureContext)).not.toThrow()
  Reflect.set(tls.TLSSocket.prototype, '_releaseControl', undefined)
  expect(() => assertServerSide(secureContext)).toThrow(/^Node 2\d\..*do not tell/)
})

function hide(target: object, name: string): void {
  Object.defineProperty(target, name, { value: undefined })
}

describe('a handshake that comes to nothing', () => {
  test('is a failure where the peer speaks no TLS', async () => {
    const { far, told } = await scene()
    far.write('GET / HTTP/1.1\r\n\r\n')
    await expect.poll(() => told.failures[0]).toMatch(/^ERR_SSL_/)
    expect(told.secured).toEqual([])
  })

  test('is a failure where no protocol is common', async () => {
    const { far, told } = await scene()
    handshake(far, null, { ALPNProtocols: ['smtp'] })
    await expect.poll(() => told.failures[0]).toMatch(/^ERR_SSL_/)
    expect(told.secured).toEqual([])
  })

  test('is a peer that went away where it resets', async () => {
    const { far, told } = await scene()
    far.resetAndDestroy()
    await expect.poll(() => told.failures).toContain('ECONNRESET')
    expect(told.secured).toEqual([])
  })

  test('is an end where the peer ends its side alone', async () => {
    const { far, told } = await scene()
    far.end()
    await expect.poll(() => told.ends).toBe(1)
    expect(told).toMatchObject({ secured: [], failures: [] })
  })
})

test('what breaks after the handshake is told by the socket, and to nobody else', async () => {
  const { far, server, told } = await scene()
  handshake(far, await issuing.issue(API))
  await expect.poll(() => told.secured).toHaveLength(1)
  const broken = new Promise<NodeJS.ErrnoException>((resolve) => server.once('error', resolve))
  // A record that no key of the connection has made.
  far.write(Buffer.from('170303001300000000000000000000000000000000000000', 'hex'))
  expect((await broken).code).toMatch(/^ERR_SSL_/)
  expect(told.failures).toEqual([])
})
