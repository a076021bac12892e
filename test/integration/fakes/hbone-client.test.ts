// The stand-in for ztunnel, against a plain HTTP/2 server: it says what it should before the gateway is judged by it.
import http2 from 'node:http2'
import type { AddressInfo } from 'node:net'
import type tls from 'node:tls'
import { expect, test } from 'vitest'
import { connectHbone } from '../../fakes/mesh/hbone-client.ts'
import { createRoot } from '../../fixtures/pki.ts'
import { readToEnding } from '../../fixtures/sockets.ts'

const SERVER = 'spiffe://cluster.local/ns/egress/sa/gateway'
const CLIENT = 'spiffe://cluster.local/ns/shop/sa/cart'
const root = await createRoot({ name: 'istio', uri: 'spiffe://cluster.local' })
const [server, client] = [await root.issue({ uris: [SERVER] }), await root.issue({ uris: [CLIENT] })]

interface Seen {
  readonly headers: http2.IncomingHttpHeaders
  readonly flags: number
}

/** Answers every CONNECT with 200 and echoes what comes, but for `10.0.0.9`, which gets 401. */
async function listen() {
  const requests: Seen[] = []
  const sockets: tls.TLSSocket[] = []
  const settings: http2.Settings[] = []
  const listener = http2.createSecureServer({
    cert: server.chainPem,
    key: server.keyPem,
    ca: root.pem,
    requestCert: true,
    rejectUnauthorized: true,
  })
  listener.on('secureConnection', (socket: tls.TLSSocket) => sockets.push(socket))
  listener.on('session', (session) => {
    session.on('remoteSettings', (remote: http2.Settings) => settings.push(remote))
    session.on('error', () => {})
  })
  listener.on('stream', (stream, headers, flags) => {
    requests.push({ headers, flags })
    stream.on('error', () => {})
    const refused = headers[':authority'] === '10.0.0.9:443'
    stream.respond({ ':status': refused ? 401 : 200 }, { endStream: refused })
    if (!refused) stream.pipe(stream)
  })
  listener.on('tlsClientError', () => {})
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve))
  return {
    requests,
    sockets,
    settings,
    port: (listener.address() as AddressInfo).port,
    [Symbol.asyncDispose]: async () => new Promise<void>((resolve) => listener.close(() => resolve())),
  }
}

const options = (port: number) => ({
  port,
  cert: client.chainPem,
  key: client.keyPem,
  ca: root.pem,
  serverIds: ['spiffe://cluster.local/ns/egress/sa/other', SERVER],
})

test('it connects as ztunnel does, and sends a plain CONNECT with its hints', async () => {
  await using listener = await listen()
  await using ztunnel = await connectHbone(options(listener.port))
  const tunnel = await ztunnel.connect({
    authority: '240.240.0.7:443',
    baggage: 'k8s.namespace.name=shop,service.name=cart',
    forwarded: 'for="10.1.2.3:40312";host=api.bank.example',
  })
  expect(tunnel.status).toBe(200)
  const [accepted] = listener.sockets
  expect(accepted?.alpnProtocol).toBe('h2')
  expect(accepted?.servername).toBe(false)
  expect(accepted?.getProtocol()).toBe('TLSv1.3')
  expect(accepted?.getPeerX509Certificate()?.subjectAltName).toBe(`URI:${CLIENT}`)
  const { ':method': method, ':authority': authority, ...rest } = listener.requests[0]?.headers ?? {}
  expect({ method, authority }).toEqual({ method: 'CONNECT', authority: '240.240.0.7:443' })
  expect(Object.keys(rest).sort()).toEqual(['baggage', 'forwarded', 'traceparent'])
  expect(rest.traceparent).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/)
  expect(listener.settings[0]).toMatchObject({
    enablePush: false,
    initialWindowSize: 4_194_304,
    maxFrameSize: 1_048_576,
    maxHeaderListSize: 16_384,
  })
})

test('many tunnels share its connection, each with half-close', async () => {
  await using listener = await listen()
  await using ztunnel = await connectHbone(options(listener.port))
  const echoes = await Promise.all(
    Array.from({ length: 50 }, async (_, index) => {
      const { stream } = await ztunnel.connect({ authority: `[2001:db8::${index}]:443` })
      stream.end(`tunnel ${index}`)
      const { how, data } = await readToEnding(stream)
      return `${how} ${data.toString()}`
    }),
  )
  expect(echoes).toEqual(Array.from({ length: 50 }, (_, index) => `end tunnel ${index}`))
  expect(listener.sockets).toHaveLength(1)
  expect(listener.requests).toHaveLength(50)
})

test('a refusal is an answer', async () => {
  await using listener = await listen()
  await using ztunnel = await connectHbone(options(listener.port))
  expect((await ztunnel.connect({ authority: '10.0.0.9:443' })).status).toBe(401)
})

test('it refuses a server of another ID or another root', async () => {
  await using listener = await listen()
  await expect(connectHbone({ ...options(listener.port), serverIds: [CLIENT] })).rejects.toThrow(
    'the server is none of',
  )
  const other = await createRoot({ name: 'other' })
  await expect(connectHbone({ ...options(listener.port), ca: other.pem })).rejects.toThrow(/certificate/)
})
