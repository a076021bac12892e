// The services behind the gateway, real servers of TCP and TLS: each connection says first which session it is, and plays the
// server's part of that session's script.
import net from 'node:net'
import type { Duplex } from 'node:stream'
import tls from 'node:tls'
import { tryEnd } from '../../gateway/listeners/lost-reset.ts'
import { laidOver, resetSocket } from '../../gateway/reset.ts'
import { startTcp } from '../fixtures/partner.ts'
import type { World } from '../fixtures/world.ts'
import { printOf } from './print.ts'
import { newReport, play, type Side } from './endpoint.ts'
import type { Ledger, Session } from './ledger.ts'
import { HEADER_BYTES, readHeader } from './pattern.ts'

export interface Servers extends AsyncDisposable {
  readonly ports: Readonly<Record<'tls' | 'mtls' | 'opaque' | 'rude' | 'mute' | 'refuse', number>>
  /** Sides that are not over. */
  readonly live: ReadonlySet<Side>
}

/** Names below which the certificate of the TLS servers is good. */
const NAMES = ['tls', 'mtls', 'paced', 'tight', 'spare', 'through', 'rude', 'mute', 'refuse']

export async function startServers(world: World, ledger: Ledger): Promise<Servers> {
  const stack = new AsyncDisposableStack()
  const live = new Set<Side>()
  const { chainPem: cert, keyPem: key } = await world.partnerCa.issue({
    cn: 'partner',
    dns: [...NAMES.map((name) => `*.${name}.localhost`), 'named.localhost'],
  })
  const serve = (stream: Duplex, raw: net.Socket) => greet(stream, raw, ledger, live)
  const overTls = async (more: tls.TlsOptions) => {
    const raws = new Map<string, net.Socket>()
    const keyOf = (socket: net.Socket) => `${socket.remoteAddress}|${socket.remotePort}`
    const secure = tls.createServer({ cert, key, allowHalfOpen: true, ...more }, (socket) => {
      socket.on('error', () => {})
      const raw = raws.get(keyOf(socket))
      // Reset already.
      if (raw === undefined) return
      laidOver(raw, socket)
      serve(socket, raw)
    })
    secure.on('tlsClientError', () => {})
    return stack.use(
      await startTcp((raw) => {
        const name = keyOf(raw)
        raws.set(name, raw)
        raw.once('close', () => raws.delete(name))
        secure.emit('connection', raw)
      }),
    )
  }
  const plain = await overTls({})
  const mutual = await overTls({ requestCert: true, rejectUnauthorized: true, ca: world.partnerCa.pem })
  const opaque = stack.use(await startTcp((raw) => serve(raw, raw)))
  const rude = stack.use(await startTcp((raw) => resetSocket(raw)))
  const mute = stack.use(await startTcp((raw) => void raw.resume()))
  return {
    ports: {
      ...{ tls: plain.port, mtls: mutual.port, opaque: opaque.port, rude: rude.port, mute: mute.port },
      refuse: await closedPort(),
    },
    live,
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
}

/** Longer than the client's, who goes first. */
const MORE_LIFE_MS = 3_000

/** Reads the session's number and plays its server. */
function greet(stream: Duplex, raw: net.Socket, ledger: Ledger, live: Set<Side>): void {
  let first: Buffer = Buffer.alloc(0)
  const onData = (chunk: Buffer) => {
    first = Buffer.concat([first, chunk])
    if (first.length < HEADER_BYTES) return
    stream.off('data', onData)
    stream.pause()
    const id = readHeader(first)
    const session = id === null ? undefined : ledger.sessions[id]
    if (session === undefined) {
      ledger.faults.push(
        `a server got ${first.subarray(0, 32).toString('hex')} where a session's number should be`,
      )
      resetSocket(raw)
      return
    }
    // A turn later: an end() inside of a read callback would lose what is not decrypted yet.
    setImmediate(() => begin(session, { stream, raw, first: first.subarray(HEADER_BYTES) }, live))
  }
  stream.on('error', () => {})
  stream.on('data', onData)
}

interface Greeted {
  readonly stream: Duplex
  readonly raw: net.Socket
  readonly first: Buffer
}

function begin(session: Session, { stream, raw, first }: Greeted, live: Set<Side>): void {
  if (session.server !== null) session.client.fault = 'its number came to a server twice'
  const secure = stream instanceof tls.TLSSocket
  session.presented = secure ? printOf(stream) : null
  session.server = newReport()
  session.serverPort = raw.remotePort ?? null
  session.server.received = HEADER_BYTES
  const side = play(
    // A reset that meets the session tickets Node (24.21) tells as an end.
    { stream, reset: () => resetSocket(raw), ...(secure ? tryEnd(stream, raw) : {}) },
    { session: session.id, direction: 'down', script: session.plan.server, first },
    session.server,
  )
  live.add(side)
  // Who never reads does not see that the other is gone.
  const life = setTimeout(() => side.abort(), session.plan.lifeMs + MORE_LIFE_MS)
  void side.done.then(() => {
    clearTimeout(life)
    live.delete(side)
  })
}

/** That nobody listens on. */
async function closedPort(): Promise<number> {
  const server = net.createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as net.AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}
