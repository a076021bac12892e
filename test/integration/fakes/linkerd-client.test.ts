// The stand-in for a Linkerd proxy, against a plain TLS server: it says what it should before the gateway is judged by it.
import type net from 'node:net'
import tls from 'node:tls'
import { expect, test } from 'vitest'
import { connectLinkerd } from '../../fakes/mesh/linkerd-client.ts'
import { encodeTransportHeader } from '../../fakes/mesh/transport-header.ts'
import { createRoot } from '../../fixtures/pki.ts'
import { readToEnding } from '../../fixtures/sockets.ts'

const SERVER = 'gateway.egress.serviceaccount.identity.linkerd.cluster.local'
const CLIENT = 'cart.shop.serviceaccount.identity.linkerd.cluster.local'
const root = await createRoot({ name: 'root.linkerd.cluster.local' })
const [server, client] = [
  await root.issue({ cn: SERVER, dns: [SERVER] }),
  await root.issue({ cn: CLIENT, dns: [CLIENT] }),
]

/** Hands the first connection to the test, open on both sides. */
async function listen(options: tls.TlsOptions = {}) {
  const listener = tls.createServer({
    cert: server.chainPem,
    key: server.keyPem,
    ca: root.pem,
    requestCert: true,
    rejectUnauthorized: true,
    allowHalfOpen: true,
    ALPNProtocols: ['transport.l5d.io/v1'],
    ...options,
  } as tls.TlsOptions)
  const sockets: net.Socket[] = []
  listener.on('connection', (socket: net.Socket) => sockets.push(socket))
  const accepted = new Promise<tls.TLSSocket>((resolve) => listener.once('secureConnection', resolve))
  listener.on('tlsClientError', () => {})
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve))
  return {
    accepted,
    port: (listener.address() as net.AddressInfo).port,
    async [Symbol.asyncDispose]() {
      const closed = new Promise<void>((resolve) => listener.close(() => resolve()))
      // Half-open as they are, they do not close by themselves.
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
}

const options = (port: number) => ({
  port,
  cert: client.chainPem,
  key: client.keyPem,
  ca: root.pem,
  serverName: SERVER,
  header: { port: 443, name: 'partner.test' },
})

test('it sends its certificate, its SNI and the header, then bytes both ways with half-close', async () => {
  await using listener = await listen()
  await using proxy = await connectLinkerd(options(listener.port))
  const accepted = await listener.accepted
  expect(accepted.alpnProtocol).toBe('transport.l5d.io/v1')
  expect(accepted.servername).toBe(SERVER)
  expect(accepted.getProtocol()).toBe('TLSv1.3')
  expect(accepted.getPeerX509Certificate()?.subjectAltName).toBe(`DNS:${CLIENT}`)
  proxy.socket.end('ping')
  const received = await readToEnding(accepted)
  expect(received).toMatchObject({ how: 'end' })
  expect(received.data).toEqual(
    Buffer.concat([encodeTransportHeader({ port: 443, name: 'partner.test' }), Buffer.from('ping')]),
  )
  accepted.end('late answer')
  const answer = await readToEnding(proxy.socket)
  expect({ how: answer.how, data: answer.data.toString() }).toEqual({ how: 'end', data: 'late answer' })
})

test('without a header it sends nothing of its own', async () => {
  await using listener = await listen()
  await using proxy = await connectLinkerd({ ...options(listener.port), header: null })
  proxy.socket.end('as the test likes')
  expect((await readToEnding(await listener.accepted)).data.toString()).toBe('as the test likes')
})

test('it refuses a server of another name, of another root, and without its protocol', async () => {
  await using listener = await listen()
  await expect(connectLinkerd({ ...options(listener.port), serverName: CLIENT })).rejects.toMatchObject({
    code: 'ERR_TLS_CERT_ALTNAME_INVALID',
  })
  const other = await createRoot({ name: 'other' })
  await expect(connectLinkerd({ ...options(listener.port), ca: other.pem })).rejects.toThrow(/certificate/)
  await using plain = await listen({ ALPNProtocols: [] })
  await expect(connectLinkerd(options(plain.port))).rejects.toThrow('protocol false')
})
