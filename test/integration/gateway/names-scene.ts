// A gateway with a port of each kind, a DNS server and a partner, and one function for each way to ask for a host. What a
// spelling came to is read where it matters: at the DNS server, in the partner's ClientHello and in the record.
import tls from 'node:tls'
import type { SessionEvent } from '../../../gateway/audit/events.ts'
import { connectHbone } from '../../fakes/mesh/hbone-client.ts'
import { connectLinkerd } from '../../fakes/mesh/linkerd-client.ts'
import { hello, name, record, serverName } from '../../fixtures/client-hello.ts'
import { connectTls } from '../../fixtures/connect-client.ts'
import { startPartner } from '../../fixtures/partner.ts'
import { connectRaw } from '../../fixtures/sockets.ts'
import { createWorld, startTestGateway } from '../../fixtures/world.ts'
import { fakeDns } from '../upstream/fake-dns.ts'

export const HOST = 'api.bank.test'
/** Of a client that speaks TLS to the partner itself. */
export const INNER = 'web.bank.test'

/** Asks for a host in these bytes, as UTF-8, and leaves the connection to end by itself; `reset` is of a stream, without an answer. */
export type Ask = (text: string) => Promise<'asked' | 'reset'>

/** For no time at all, so that each name is asked for. */
const ADDRESS = { data: Uint8Array.of(127, 0, 0, 1), ttl: 0 }

export const WAYS = ['HTTP/1.1 CONNECT', 'HTTP/2 CONNECT', 'hbone', 'linkerd', 'passthrough'] as const
export type Way = (typeof WAYS)[number]

export async function createScene() {
  const stack = new AsyncDisposableStack()
  const world = stack.use(await createWorld())
  const seen: (string | false | null)[] = []
  const partner = stack.use(
    await startPartner(
      world,
      (socket) => {
        seen.push(socket.servername)
        socket.on('end', () => socket.end()).resume()
      },
      { name: HOST },
    ),
  )
  const dns = stack.use(await fakeDns((type) => ({ records: type === 'A' ? [ADDRESS] : [] })))
  const gateway = stack.use(
    await startTestGateway(world, {
      listeners: `  - {name: proxy, address: "127.0.0.1:0", protocol: connect}
  - {name: mesh, address: "127.0.0.1:0", protocol: hbone}
  - {name: l5d, address: "127.0.0.1:0", protocol: linkerd, trustDomains: [example.org]}
  - {name: raw, address: "127.0.0.1:0", protocol: passthrough}
  - {name: names, address: "127.0.0.1:0", protocol: sni, serverNames: {Bank.Egress.TEST.: partner}}`,
      destinations: `  - name: partner
    hosts: [API.Bank.TEST.]
    ports: [${partner.port}]
    roots: file:pki/partner-ca.pem
    allowAddresses: [127.0.0.0/8]
  - {name: inner, hosts: ["*.BANK.test."], ports: [${partner.port}], tls: passthrough, allowAddresses: [127.0.0.0/8]}
  - name: literal
    hosts: ["::ffff:7f00:1"]
    ports: [${partner.port}]
    tls: opaque
    allowAddresses: [127.0.0.0/8]
    # The partner waits for a ClientHello that does not come.
    session: {halfCloseTimeout: 50ms}
  - {name: wide, hosts: ["*"], ports: [${partner.port}], allowAddresses: [127.0.0.0/8]}`,
      policy: `@id("one spelling") permit (principal is Workload, action, resource)
        when { ["${HOST}", "127.0.0.1", "other.test"].contains(resource.host) };
        @id("inner") permit (principal == Network::"here", action, resource) when { resource.host == "${INNER}" };`,
      extra: `drain: {delay: 0s, deadline: 1s}
networks: [{name: here, sources: [127.0.0.0/8]}]
dns: {servers: ["${dns.address}"], minTtl: 0s}`,
    }),
  )
  const svid = await world.svid('/payments/api')
  const { chainPem: cert, keyPem: key } = svid
  const mesh = stack.use(
    await connectHbone({
      ...{ port: gateway.portOf('mesh'), cert, key, ca: world.root.pem },
      serverIds: ['spiffe://example.org/sallyport/gateway'],
    }),
  )
  const h2 = stack.use(
    await connectHbone({
      ...{ port: gateway.port, cert, key, ca: world.root.pem },
      serverIds: ['spiffe://example.org/sallyport/gateway'],
    }),
  )
  const octets = (text: string) => Buffer.from(text).toString('latin1')
  const overH2 =
    (client: typeof h2): Ask =>
    async (text) => {
      const answer = client.connect({ authority: octets(`${text}:${partner.port}`) })
      try {
        const { stream } = await answer
        stream.resume().end()
        return 'asked'
      } catch {
        return 'reset'
      }
    }
  const asks: Readonly<Record<Way, Ask>> = {
    async 'HTTP/1.1 CONNECT'(text) {
      const socket = await connectTls(world, gateway.port, { svid })
      const target = `${text}:${partner.port}`
      socket.resume().end(`CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n\r\n`)
      return 'asked'
    },
    'HTTP/2 CONNECT': overH2(h2),
    hbone: overH2(mesh),
    async linkerd(text) {
      const header = { port: partner.port, name: text }
      const options = { port: gateway.portOf('l5d'), cert, key, ca: world.root.pem, header }
      const { socket } = await connectLinkerd({ ...options, serverName: 'localhost' })
      socket.resume().end()
      return 'asked'
    },
    async passthrough(text) {
      const raw = await connectRaw(gateway.portOf('raw'))
      raw.resume().write(record(hello({ extensions: [serverName(name(Buffer.from(text)))] })))
      return 'asked'
    },
  }
  return {
    ...{ world, partner, dns, gateway, seen, asks, mesh, h2 },
    /** The closing record of what is asked, and what else came of it. */
    async outcome(ask: () => Promise<unknown>) {
      const before = { records: gateway.records().length, queries: dns.queries.length, seen: seen.length }
      await ask()
      const all = await gateway.closed(before.records + 1)
      return {
        record: all[before.records] as SessionEvent,
        queries: dns.queries.slice(before.queries),
        serverNames: seen.slice(before.seen),
      }
    },
    /** The client's own TLS to the partner, with this server name. */
    async speak(servername: string) {
      const raw = await connectRaw(gateway.portOf('raw'))
      const socket = tls.connect({
        socket: raw,
        ca: world.partnerCa.pem,
        servername,
        checkServerIdentity: () => undefined,
      })
      socket.on('error', () => {}).once('secureConnect', () => socket.end())
      socket.resume()
    },
    /** mTLS that ends at the gateway, for the destination of this server name. */
    async dialName(servername: string) {
      const options = { port: gateway.portOf('names'), host: '127.0.0.1', cert, key, ca: world.root.pem }
      const socket = tls.connect({ ...options, servername, checkServerIdentity: () => undefined })
      socket.on('error', () => {}).once('secureConnect', () => socket.end())
      socket.resume()
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
}

export type Scene = Awaited<ReturnType<typeof createScene>>
