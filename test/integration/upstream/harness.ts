// Real servers on loopback, and the way out pointed at them.
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import net from 'node:net'
import tls from 'node:tls'
import { Secret } from '../../../common/secret.ts'
import type { ClientCertificateEntry, Destination } from '../../../gateway/config/types.ts'
import { createDial } from '../../../gateway/upstream/dial.ts'
import { createOpenUpstream } from '../../../gateway/upstream/open.ts'
import {
  type OpenUpstream,
  type UpstreamConnection,
  UpstreamError,
  type UpstreamRequest,
} from '../../../gateway/upstream/types.ts'
import { parseSpiffeId } from '../../../spiffe/id.ts'
import { parseSpiffeIdPattern } from '../../../spiffe/pattern.ts'
import { type Ca, createRoot, type Issued } from '../../fixtures/pki.ts'

export const HOST = 'api.bank.example'
export const WORKLOAD = parseSpiffeId('spiffe://example.org/payments/api')

export interface Pki {
  /** Issues the server's certificates. */
  readonly servers: Ca
  /** Issues the client certificates that the servers accept. */
  readonly clients: Ca
  /** Trusted by nobody. */
  readonly strangers: Ca
  /** For HOST and 127.0.0.1. */
  readonly server: Issued
  readonly client: Issued
}

export async function createPki(): Promise<Pki> {
  const servers = await createRoot({ name: 'servers' })
  const clients = await createRoot({ name: 'clients' })
  return {
    servers,
    clients,
    strangers: await createRoot({ name: 'strangers' }),
    server: await servers.issue({ dns: [HOST], ips: ['127.0.0.1'] }),
    client: await clients.issue({ cn: 'payments' }),
  }
}

export interface Listening extends AsyncDisposable {
  readonly port: number
  /** Raw connections that are open now. */
  readonly connections: () => number
}

/** Starts a server on loopback. No error of a connection ends the test: how the gateway sees it is what counts. */
export async function listen(server: net.Server): Promise<Listening> {
  const sockets = new Set<net.Socket>()
  server.on('connection', (socket: net.Socket) => {
    sockets.add(socket)
    socket.on('error', () => {}).on('close', () => sockets.delete(socket))
  })
  server.on('secureConnection', (socket: tls.TLSSocket) => socket.on('error', () => {}))
  server.on('tlsClientError', () => {})
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('not listening on TCP')
  return {
    port: address.port,
    connections: () => sockets.size,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

export function tlsServer(
  issued: Issued,
  options: tls.TlsOptions = {},
  onSecure: (socket: tls.TLSSocket) => void = () => {},
): Promise<Listening> {
  const { chainPem: cert, keyPem: key } = issued
  return listen(tls.createServer({ cert, key, ...options }, onSecure))
}

export function tcpServer(
  onConnection: (socket: net.Socket) => void,
  options: net.ServerOpts = {},
): Promise<Listening> {
  return listen(net.createServer(options, onConnection))
}

export function clientCertificate(issued: Issued, workload: string = WORKLOAD.uri): ClientCertificateEntry {
  const leaf = new X509Certificate(issued.pem)
  return {
    source: workload,
    workloads: [parseSpiffeIdPattern(workload)],
    keyPair: {
      chainPem: issued.chainPem,
      key: new Secret(issued.keyPem),
      leaf,
      leafSha256: leaf.fingerprint256.replaceAll(':', '').toLowerCase(),
    },
  }
}

export function destination(overrides: Partial<Destination> = {}): Destination {
  return {
    name: 'partner-bank',
    hosts: [{ kind: 'exact', host: HOST }],
    ports: [443],
    tags: [],
    tls: 'originate',
    requestedAs: [],
    ech: 'ignore',
    nameProof: 'required',
    serverNames: [],
    clientCertificates: [],
    roots: 'system',
    pins: [],
    serverName: null,
    minVersion: 'TLSv1.2',
    alpn: [],
    startTls: null,
    startTlsDirect: false,
    allowAddresses: ['127.0.0.0/8'],
    connect: { timeoutMs: 10_000, attempts: 3, confirmMs: null },
    session: { idleTimeoutMs: 60_000, halfCloseTimeoutMs: 60_000, maxDurationMs: null, atExpiry: 'renewed' },
    limits: null,
    ...overrides,
  }
}

export function request(
  port: number,
  overrides: Partial<Destination> = {},
  rest: Partial<UpstreamRequest> = {},
): UpstreamRequest {
  return {
    destination: destination(overrides),
    host: HOST,
    port,
    workload: WORKLOAD,
    serverName: null,
    signal: new AbortController().signal,
    ...rest,
  }
}

/** The real way out, but for a resolver that sends every name to this host. */
export const openUpstream: OpenUpstream = createOpenUpstream({
  resolve: async () => ['127.0.0.1'],
  dial: createDial(),
})

/** An open connection that ends with the test. */
export async function opened(
  wanted: UpstreamRequest,
  open: OpenUpstream = openUpstream,
): Promise<UpstreamConnection & AsyncDisposable> {
  const connection = await open(wanted)
  return {
    ...connection,
    async [Symbol.asyncDispose]() {
      connection.raw.destroy()
    },
  }
}

/** The error with which it failed; a connection that came up fails the test. */
export async function refused(
  wanted: UpstreamRequest,
  open: OpenUpstream = openUpstream,
): Promise<UpstreamError> {
  let connection: UpstreamConnection
  try {
    connection = await open(wanted)
  } catch (error) {
    if (error instanceof UpstreamError) return error
    throw error
  }
  connection.raw.destroy()
  throw new Error('the connection came up')
}

/** The next bytes that arrive. */
export async function readSome(connection: UpstreamConnection): Promise<string> {
  const arrived = new Promise<string>((resolve) => {
    connection.stream.once('data', (chunk: Buffer) => resolve(chunk.toString()))
  })
  connection.stream.resume()
  return arrived
}

/** Everything until the end. */
export async function readAll(connection: UpstreamConnection): Promise<Buffer> {
  const chunks: Buffer[] = []
  connection.stream.on('data', (chunk: Buffer) => chunks.push(chunk))
  connection.stream.resume()
  await once(connection.stream, 'end')
  return Buffer.concat(chunks)
}

/** The errors until a socket is closed: `once(socket, 'close')` would throw the first of them. */
export async function errorsUntilClosed(socket: NodeJS.EventEmitter): Promise<Error[]> {
  const errors: Error[] = []
  socket.on('error', (error: Error) => errors.push(error))
  await new Promise((resolve) => socket.once('close', resolve))
  return errors
}
