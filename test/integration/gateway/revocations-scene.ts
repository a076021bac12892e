// A gateway with a listener of every protocol and a revocation list, and a client for each that says how it went.
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { rename } from 'node:fs/promises'
import path from 'node:path'
import tls from 'node:tls'
import { readBundle, writeBundle } from '../../../spiffe/bundle.ts'
import { connectHbone, type HboneClient } from '../../fakes/mesh/hbone-client.ts'
import { connectLinkerd } from '../../fakes/mesh/linkerd-client.ts'
import { type Answered, connect, readBody } from '../../fixtures/connect-client.ts'
import { partnerDestination, startPartner, toLoopback } from '../../fixtures/partner.ts'
import { createRoot } from '../../fixtures/pki.ts'
import { connectRaw, readToEnding } from '../../fixtures/sockets.ts'
import { createWorld, startTestGateway } from '../../fixtures/world.ts'

const SUFFIX = 'serviceaccount.identity.linkerd.cluster.local'
const LINKERD_NAME = `gateway.egress.${SUFFIX}`
const GATEWAY = 'spiffe://example.org/sallyport/gateway'
const LISTENERS = `  - {name: proxy, address: "127.0.0.1:0", protocol: connect, clientAuthentication: svid-or-token}
  - {name: mesh, address: "127.0.0.1:0", protocol: hbone}
  - {name: names, address: "127.0.0.1:0", protocol: sni, serverNames: {bank.internal: partner}}
  - {name: bank, address: "127.0.0.1:0", protocol: fixed, destination: partner}
  - {name: l5d, address: "127.0.0.1:0", protocol: linkerd, identity: {certificate: pki/l5d.pem, key: pki/l5d.key}}
  - {name: raw, address: "127.0.0.1:0", protocol: passthrough}`

export const WORKLOAD = 'spiffe://example.org/payments/api'
export const TOKEN_WORKLOAD = 'spiffe://example.org/payments/agent'
export const LINKERD_WORKLOAD = 'spiffe://cluster.local/ns/payments/sa/api'

export async function setUp(revocations = '[]') {
  const stack = new AsyncDisposableStack()
  const world = stack.use(await createWorld())
  const { publicKey, privateKey } = await generateKeyPair('ES256')
  const key = await exportJWK(publicKey)
  const bundle = readBundle(world.root.pem, 'example.org')
  await world.file('pki/bundle.json', writeBundle({ ...bundle, jwtAuthorities: [{ keyId: 'k1', key }] }))
  const linkerd = await createRoot({ name: 'identity.linkerd.cluster.local' })
  const own = await linkerd.issue({ dns: [LINKERD_NAME] })
  await world.file('pki/l5d.pem', own.chainPem)
  await world.file('pki/l5d.key', own.keyPem)
  await world.file('pki/l5d-root.pem', linkerd.pem)
  const partner = stack.use(
    await startPartner(world, (socket) => {
      socket.on('data', (chunk) => socket.write(`echo ${chunk}`))
      socket.on('end', () => socket.end())
    }),
  )
  const gateway = stack.use(
    await startTestGateway(world, {
      listeners: LISTENERS,
      destinations: `${partnerDestination(partner.port)}
  - {name: through, hosts: [through.test], ports: [${partner.port}], tls: passthrough, allowAddresses: [127.0.0.0/8]}`,
      policy: `@id("all") permit (principal is Workload, action, resource);
@id("nets") permit (principal is Network, action, resource);
@id("not") forbid (principal == Workload::"spiffe://example.org/denied", action, resource);`,
      bundle: 'pki/bundle.json',
      revocations,
      extra: `drain: {delay: 0s, deadline: 1s}
networks: [{name: legacy, sources: [127.0.0.0/8]}]
trust:
  - linkerd:
      trustAnchors: pki/l5d-root.pem
      map: {"*.*.${SUFFIX}": "spiffe://cluster.local/ns/{2}/sa/{1}"}`,
      resolve: toLoopback,
    }),
  )
  const svid = await world.svid('/payments/api')
  const target = `partner.test:${partner.port}`
  const leaf = await linkerd.issue({ dns: [`api.payments.${SUFFIX}`] })

  /** Replaces the list as a careful operator does. */
  const revoke = async (text: string) => {
    await world.file('revocations.yaml.new', text)
    await rename(
      path.join(world.directory, 'revocations.yaml.new'),
      path.join(world.directory, 'revocations.yaml'),
    )
  }
  const token = async () => {
    const now = Math.floor(Date.now() / 1000)
    const claims = { sub: TOKEN_WORKLOAD, aud: GATEWAY, iat: now, exp: now + 300, jti: 'token-1' }
    return new SignJWT(claims).setProtectedHeader({ alg: 'ES256', kid: 'k1' }).sign(privateKey)
  }
  const hbone = (shown = svid): Promise<HboneClient> =>
    connectHbone({
      port: gateway.portOf('mesh'),
      cert: shown.chainPem,
      key: shown.keyPem,
      ca: world.root.pem,
      serverIds: [GATEWAY],
    })
  const overTls = async (listener: string, servername: string) => {
    const socket = tls.connect({
      ...{ host: '127.0.0.1', port: gateway.portOf(listener), servername, allowHalfOpen: true },
      ...{ ca: world.root.pem, cert: svid.chainPem, key: svid.keyPem, checkServerIdentity: () => undefined },
    } as tls.ConnectionOptions)
    socket.on('error', () => {})
    await new Promise<void>((resolve) => socket.once('secureConnect', resolve))
    return exchange(socket)
  }
  /** `200`, another status, or how it ended without one. */
  const attempts = {
    h1: async () => (await ended(await connect(world, gateway.port, { svid, target }))).status,
    async token() {
      const shown = `Proxy-Authorization: Bearer ${await token()}\r\n`
      const request = `CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n${shown}\r\n`
      return (await ended(await connect(world, gateway.port, { svid: null, request }))).status
    },
    async mesh() {
      await using client = await hbone()
      const { status, stream } = await client.connect({ authority: target })
      stream.end()
      await readToEnding(stream)
      return status
    },
    names: () => overTls('names', 'bank.internal'),
    bank: () => overTls('bank', 'bank.internal'),
    async l5d() {
      await using client = await connectLinkerd({
        ...{ port: gateway.portOf('l5d'), cert: leaf.chainPem, key: leaf.keyPem, ca: linkerd.pem },
        serverName: LINKERD_NAME,
        header: { port: partner.port, name: 'partner.test' },
      })
      // Awaited here: else the client would be gone before the exchange is over.
      const how = await exchange(client.socket)
      return how
    },
    async raw() {
      const raw = await connectRaw(gateway.portOf('raw'))
      const options = { socket: raw, servername: 'through.test', rejectUnauthorized: false }
      const socket = tls.connect({ ...options, allowHalfOpen: true } as tls.ConnectionOptions)
      socket.on('error', () => {})
      return exchange(socket)
    },
  }
  return {
    ...{ world, gateway, partner, svid, target, revoke, hbone, attempts },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
}

async function exchange(socket: tls.TLSSocket): Promise<200 | 'reset'> {
  socket.end('hello')
  const { how, data } = await readToEnding(socket)
  if (how === 'reset') return 'reset'
  if (data.toString() !== 'echo hello') throw new Error(`the partner said ${data.toString('latin1')}`)
  return 200
}

/** Read to its end, so that its record is there soon. */
async function ended(answered: Answered) {
  if (answered.status === 200) answered.socket.end()
  const body = await readBody(answered)
  return { status: answered.status, head: answered.head, body }
}
