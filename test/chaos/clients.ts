// The workloads: real mTLS clients of every kind of listener, and those who only knock. Each writes down what it did.
import http2 from 'node:http2'
import net from 'node:net'
import type { Duplex } from 'node:stream'
import tls from 'node:tls'
import { laidOver, resetSocket } from '../../gateway/reset.ts'
import { realHello } from '../fixtures/client-hello.ts'
import { readAnswer } from '../fixtures/connect-client.ts'
import type { Issued } from '../fixtures/pki.ts'
import { type End, play } from './endpoint.ts'
import type { GatewayProcess } from './gateway-process.ts'
import type { Connection, Ledger, Session } from './ledger.ts'
import type { Junk, Operation, Protocol, SessionPlan } from './plan.ts'
import { printOf } from './print.ts'
import type { Listener, Scene } from './scene.ts'
import type { Servers } from './servers.ts'

export interface Crew {
  readonly scene: Scene & { readonly servers: Servers }
  readonly gateway: GatewayProcess
  readonly ledger: Ledger
}

const LISTENER: Readonly<Record<Protocol, Listener>> = {
  h1: 'proxy',
  h2: 'proxy',
  inner: 'proxy',
  hbone: 'mesh',
  fixed: 'fixed',
  named: 'named',
  sni: 'sni',
  passthrough: 'raw',
}

/** Host and port as the record has them. */
function targetOf(
  { scene }: Crew,
  protocol: Protocol,
  plan: SessionPlan,
  index = 0,
): { host: string; port: number } {
  const { ports } = scene.servers
  if (protocol === 'fixed') return { host: 'fixed.localhost', port: ports.opaque }
  if (protocol === 'named' || protocol === 'sni') return { host: 'named.localhost', port: ports.tls }
  if (protocol === 'passthrough' || protocol === 'inner')
    return { host: `n${index}.through.localhost`, port: ports.tls }
  const { place } = plan
  const port =
    place === 'paced' || place === 'tight' || place === 'spare' || place === 'unknown'
      ? ports.tls
      : ports[place]
  return { host: `n${index}.${place}.localhost`, port }
}

/** How long what has no deadline of its own may take; far longer than anything takes. */
const PATIENCE_MS = 60_000

interface Dialled {
  readonly raw: net.Socket
  readonly connection: Connection
}

/** A TCP connection; null where the system refuses it. */
async function dial(crew: Crew, listener: Listener, junk: Junk | null = null): Promise<Dialled | null> {
  const connection = crew.ledger.connection(listener, junk)
  const raw = net.connect({ host: '127.0.0.1', port: crew.gateway.portOf(listener), allowHalfOpen: true })
  raw.on('error', () => {})
  await new Promise((resolve) => raw.once('connect', resolve).once('close', resolve))
  // Gone as soon as it was up.
  connection.port = raw.localPort ?? null
  connection.connected = connection.port !== null
  if (raw.destroyed) return null
  raw.setTimeout(PATIENCE_MS, () => raw.destroy())
  return { raw, connection }
}

async function handshake(
  raw: net.Socket,
  options: tls.ConnectionOptions & { readonly allowHalfOpen?: boolean },
): Promise<tls.TLSSocket | null> {
  const socket = tls.connect({ socket: raw, allowHalfOpen: true, ...options } as tls.ConnectionOptions)
  laidOver(raw, socket)
  socket.on('error', () => {})
  const up = await new Promise<boolean>((resolve) => {
    socket.once('secureConnect', () => resolve(true))
    socket.once('close', () => resolve(false))
    socket.once('error', () => resolve(false))
    raw.once('close', () => resolve(false))
  })
  // Another turn: a reset that meets the end of the handshake would be lost.
  await new Promise((resolve) => setImmediate(resolve))
  return up && !socket.destroyed ? socket : null
}

function mutual(
  { scene }: Crew,
  svid: Issued | null,
  more: tls.ConnectionOptions = {},
): tls.ConnectionOptions {
  return {
    ...{ ca: scene.gatewayRoots, servername: 'localhost', checkServerIdentity: () => undefined },
    ...(svid === null ? {} : { cert: svid.chainPem, key: svid.keyPem }),
    ...more,
  }
}

/** Runs one session on a connection of its own, to its end. */
export async function runSession(
  crew: Crew,
  { protocol, plan }: Extract<Operation, { kind: 'session' }>,
): Promise<void> {
  const dialled = await dial(crew, LISTENER[protocol])
  if (dialled === null) return
  const { raw, connection } = dialled
  const target = targetOf(crew, protocol, plan)
  const session = crew.ledger.session(connection, protocol, plan, target.host)
  const abandoned = abandonLater(session, () => resetSocket(raw))
  const stream = await reach(crew, { ...dialled, session, target })
  clearTimeout(abandoned)
  if (stream === null || raw.destroyed) {
    session.endedAt = Date.now()
    raw.destroy()
    return
  }
  await follow(session, { stream, reset: () => resetSocket(raw) })
  raw.destroy()
}

interface Reached extends Dialled {
  readonly session: Session
  readonly target: { readonly host: string; readonly port: number }
}

/** What the session's own bytes go over; null where it is refused. */
async function reach(crew: Crew, { raw, connection, session, target }: Reached): Promise<Duplex | null> {
  const { scene } = crew
  const { protocol, workload } = session
  const inner = { ca: scene.world.partnerCa.pem, servername: target.host }
  if (protocol === 'passthrough') return handshake(raw, inner)
  const servername = protocol === 'sni' ? 'named.internal' : 'localhost'
  const alpn = protocol === 'h1' || protocol === 'inner' ? { ALPNProtocols: ['http/1.1'] } : {}
  const outer = await handshake(raw, mutual(crew, scene.svids[workload], { servername, ...alpn }))
  if (outer === null) return null
  connection.accepted = true
  connection.shown = printOf(outer)
  if (protocol !== 'h1' && protocol !== 'inner') return outer
  const authority = `${target.host}:${target.port}`
  outer.write(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n\r\n`)
  const answer = await readAnswer(outer).catch(() => null)
  session.status = answer?.status ?? null
  if (answer?.status !== 200) {
    outer.destroy()
    return null
  }
  if (answer.rest.length > 0) outer.unshift(answer.rest)
  return protocol === 'inner' ? handshake(outer, inner) : outer
}

function abandonLater({ plan, client }: Session, cut: () => void): NodeJS.Timeout | undefined {
  if (plan.abandonMs === null) return undefined
  return setTimeout(() => {
    client.aborted = true
    cut()
  }, plan.abandonMs)
}

/** Plays the client's script; what still lives at the end of its life is reset. */
async function follow(session: Session, end: End): Promise<void> {
  const { plan, id, client } = session
  const side = play(end, { session: id, direction: 'up', script: plan.client }, client)
  const life = setTimeout(() => side.abort(), plan.lifeMs)
  await side.done
  clearTimeout(life)
  session.endedAt = Date.now()
}

/** Runs many tunnels over one connection of HTTP/2. */
export async function runTunnels(
  crew: Crew,
  operation: Extract<Operation, { kind: 'tunnels' }>,
): Promise<void> {
  const { protocol, workload, plans, killMs } = operation
  const dialled = await dial(crew, LISTENER[protocol])
  if (dialled === null) return
  const { raw, connection } = dialled
  const options = { ALPNProtocols: ['h2'], allowHalfOpen: false }
  const socket = await handshake(raw, mutual(crew, crew.scene.svids[workload], options))
  if (socket === null) return void raw.destroy()
  connection.accepted = true
  const h2 = http2.connect('https://gateway.invalid', { createConnection: () => socket })
  h2.on('error', () => {})
  if (h2.connecting) await new Promise((resolve) => h2.once('connect', resolve).once('close', resolve))
  // Else one tunnel that is not read would hold up the others.
  if (!h2.destroyed) h2.setLocalWindowSize(16 * 1024 * 1024)
  const kill = () => {
    for (const session of connection.sessions) session.cut = true
    resetSocket(raw)
  }
  const killer = killMs === null ? undefined : setTimeout(kill, killMs)
  await Promise.all(plans.map((plan, index) => runTunnel(crew, { h2, connection, protocol, plan, index })))
  clearTimeout(killer)
  await closeH2(h2, dialled)
}

async function closeH2(h2: http2.ClientHttp2Session, { raw, connection }: Dialled): Promise<void> {
  if (raw.closed) return
  await new Promise<void>((resolve) => {
    raw.once('close', () => resolve())
    if (raw.closed) resolve()
    h2.close()
    // An orderly close waits for the other side, which may be a gateway that was told nothing: this client has patience for so long.
    // On a busy machine that is also one that has not read all yet.
    const impatient = setTimeout(() => {
      for (const session of connection.sessions) session.cut = true
      raw.destroy()
    }, 500)
    raw.once('close', () => clearTimeout(impatient))
  })
}

interface TunnelOptions {
  readonly h2: http2.ClientHttp2Session
  readonly connection: Connection
  readonly protocol: Protocol
  readonly plan: SessionPlan
  readonly index: number
}

async function runTunnel(
  crew: Crew,
  { h2, connection, protocol, plan, index }: TunnelOptions,
): Promise<void> {
  // The gateway has said that it takes no more.
  if (h2.closed || h2.destroyed) return
  const target = targetOf(crew, protocol, plan, index)
  const session = crew.ledger.session(connection, protocol, plan, target.host)
  const stream = h2.request({ ':method': 'CONNECT', ':authority': `${target.host}:${target.port}` })
  stream.on('error', () => {})
  const abandoned = abandonLater(session, () => reset(stream))
  session.status = await new Promise<number | null>((resolve) => {
    stream.once('response', (headers) => resolve(Number(headers[':status'])))
    stream.once('close', () => resolve(null))
  })
  clearTimeout(abandoned)
  if (session.status !== 200 || stream.destroyed || stream.closed) {
    stream.resume().destroy()
    session.endedAt = Date.now()
    return
  }
  const endIsReal = () => !stream.aborted && stream.rstCode === 0
  await follow(session, { stream, reset: () => reset(stream), endIsReal })
}

/** RST_STREAM alone: Node's close() says END_STREAM first. */
function reset(stream: http2.ClientHttp2Stream): void {
  if (stream.destroyed) return
  stream.end = () => stream
  stream.close(http2.constants.NGHTTP2_CANCEL)
}

/** A connection that asks for nothing, or is nobody. */
export async function runJunk(crew: Crew, how: Junk): Promise<void> {
  const dialled = await dial(crew, 'proxy', how)
  if (dialled === null) return
  const { raw } = dialled
  const ended = new Promise((resolve) => raw.once('close', resolve))
  await knock(crew, how, dialled)
  raw.resume()
  // What the gateway keeps open, until its own time-out, is left by a client that has lost interest.
  const bored = setTimeout(() => raw.destroy(), 300)
  await ended
  clearTimeout(bored)
}

async function knock(crew: Crew, how: Junk, { raw, connection }: Dialled): Promise<void> {
  const { scene } = crew
  if (how === 'silent') return void raw.end()
  if (how === 'garbage') return void raw.write('GET / HTTP/1.0\r\n\r\n')
  if (how === 'half-hello') {
    const hello = await realHello()
    return void raw.end(hello.subarray(0, 200))
  }
  const svid = {
    'no-certificate': null,
    stranger: scene.stranger,
    expired: scene.expired,
    'no-request': scene.svids.steady,
  }[how]
  const socket = await handshake(raw, mutual(crew, svid, { ALPNProtocols: ['http/1.1'] }))
  if (socket === null) return
  connection.accepted = true
  if (how === 'no-request') return void socket.end()
  socket.resume().end('CONNECT n0.tls.localhost:1 HTTP/1.1\r\nHost: n0.tls.localhost:1\r\n\r\n')
}
