// Accepts TCP connections and brings each to its ClientHello: count it, read the PROXY header where the listener demands
// one, let the protocol's preamble pass, read the hello. Nothing of a client is believed but the bytes, and no OpenSSL is
// involved yet: what speaks no TLS costs a few microseconds.
import net from 'node:net'
import type { SourceFacts } from '../../audit/events.ts'
import type { ReasonCode } from '../../audit/reasons.ts'
import type { ListenerConfig } from '../../config/types.ts'
import { letGoWhenClosed } from '../../let-go.ts'
import { canonicalAddress } from '../../upstream/address-class.ts'
import { ClientHelloReader, type ClientHelloResult } from '../client-hello.ts'
import { type ClientHelloErrorCode, isNotTls } from '../client-hello-error.ts'
import type { Closing } from '../closing.ts'
import { checkNoSecondHeader, readProxyHeader } from '../proxy-protocol.ts'
import { type Admission, sourceKey } from './admission.ts'
import { Arrival, ArrivalError, type ArrivalFailure } from './arrival.ts'
import { ConnectionGoneError, RawReader } from './raw-reader.ts'

/** Lets a protocol's own bytes pass before TLS. */
export type Preamble = (
  arrival: Pick<Arrival, 'raw' | 'source'>,
  reader: RawReader,
  first: Buffer,
) => Promise<Passed | Instead>

/** There is no TLS to come, and the protocol has somebody for that. */
export interface Instead {
  /** What it gets to read. */
  readonly bytes: Buffer
  readonly serve: (arrival: Arrival) => void
}

export interface Passed {
  /** What belongs to TLS already. */
  readonly first: Buffer
  /** What the ClientHello must offer by ALPN, and what is said otherwise; null = whatever it likes. */
  readonly mustOffer: { readonly protocol: string; readonly otherwise: ArrivalError } | null
}

export interface IntakeOptions {
  readonly config: Pick<ListenerConfig, 'proxyProtocol'>
  readonly admission: Admission
  readonly budgetMs: number
  readonly newId: () => string
  readonly now: () => Date
  readonly preamble?: Preamble
  /** Where a name that cannot be a server name is no reason to refuse: nobody here goes by it. */
  readonly ignoreServerName: boolean
  /** The hello is there (`arrival.hello`, null where only its name was unusable), and its bytes wait in the socket. */
  readonly onHello: (arrival: Arrival) => void
  /** Of the listener. */
  readonly closing: Closing
  readonly onFailure: (failure: ArrivalFailure) => void
  readonly onProbe: () => void
  readonly onCount: (change: 1 | -1) => void
  readonly onAcceptError: (error: Error) => void
}

export interface Intake {
  readonly server: net.Server
  readonly sockets: ReadonlySet<net.Socket>
}

const NOTHING = Buffer.alloc(0)
const KEEP_ALIVE_MS = 60_000
const AS_MANY = 'as many connections are open as may be'

export function createIntake(options: IntakeOptions): Intake {
  const sockets = new Set<net.Socket>()
  const server = net.createServer({
    allowHalfOpen: true,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: KEEP_ALIVE_MS,
  })
  server.on('connection', (raw) => {
    sockets.add(raw)
    letGoWhenClosed(raw)
    options.onCount(1)
    raw.on('close', () => {
      sockets.delete(raw)
      options.onCount(-1)
    })
    accept(raw, options)
  })
  // EMFILE and the like, once it listens: libuv has closed what waited, so that it does not spin, and goes on accepting.
  server.on('listening', () => server.on('error', options.onAcceptError))
  return { server, sockets }
}

function accept(raw: net.Socket, options: IntakeOptions): void {
  const { remoteAddress, remotePort } = raw
  // The peer was gone before we looked: nothing was sent, so there is nothing to record.
  if (remoteAddress === undefined || remotePort === undefined) {
    raw.destroy()
    return options.onProbe()
  }
  const ip = canonicalAddress(remoteAddress) ?? remoteAddress
  const arrival = new Arrival({
    id: options.newId(),
    raw,
    source: { ip, port: remotePort, vpcEndpoint: null },
    acceptedAt: options.now(),
    budgetMs: options.budgetMs,
    closing: options.closing,
    onFailure: options.onFailure,
    onProbe: options.onProbe,
    onSettled: () => {},
  })
  void bring(arrival, options).catch((error: unknown) => {
    if (error instanceof ArrivalError) arrival.fail(error.code, error.message, error.answer)
    else if (error instanceof ConnectionGoneError) arrival.fail('client-closed', null)
    else arrival.fail('session-internal-error', error instanceof Error ? error.message : String(error))
  })
}

async function bring(arrival: Arrival, options: IntakeOptions): Promise<void> {
  const reader = new RawReader(arrival.raw)
  let next: Instead
  try {
    next = await readToHello(arrival, reader, options)
    reader.release(next.bytes)
  } catch (error) {
    // Else nobody could read and drop what the client still sends while it is told why.
    reader.release(NOTHING)
    throw error
  }
  if (!arrival.settled) next.serve(arrival)
}

/** Gives the bytes of the ClientHello with what came behind it, and who goes on from there. */
async function readToHello(arrival: Arrival, reader: RawReader, options: IntakeOptions): Promise<Instead> {
  countOpen(arrival, options)
  const { proxyProtocol } = options.config
  const rest = proxyProtocol === null ? NOTHING : await readFront(arrival, reader, proxyProtocol)
  countSource(arrival, options)
  const begin = rest.length > 0 ? rest : await reader.next()
  arrival.stage = 'client-hello'
  const { preamble } = options
  // Not awaited where there is nothing to wait for, as above: each costs a turn of promises.
  const passed =
    preamble === undefined ? { first: begin, mustOffer: null } : await preamble(arrival, reader, begin)
  if ('serve' in passed) return passed
  const { first, mustOffer } = passed
  const { bytes, result } = await readHello(reader, first)
  if (result.state === 'refused' && !(options.ignoreServerName && result.code.startsWith('server-name-'))) {
    throw new ArrivalError(helloCode(result.code), result.message)
  }
  arrival.hello = result.state === 'done' ? result.hello : null
  if (mustOffer !== null && arrival.hello?.alpn.includes(mustOffer.protocol) !== true)
    throw mustOffer.otherwise
  return { bytes, serve: options.onHello }
}

/** The PROXY header, where the listener demands one; what came behind it in the same bytes. */
async function readFront(
  arrival: Arrival,
  reader: RawReader,
  proxyProtocol: NonNullable<ListenerConfig['proxyProtocol']>,
): Promise<Buffer> {
  if (!proxyProtocol.from(arrival.source.ip)) {
    throw new ArrivalError('client-proxy-header-source', 'the address is none of proxyProtocol.from')
  }
  let bytes = await reader.next()
  arrival.stage = 'proxy-header'
  let result = readProxyHeader(bytes)
  while (result.state === 'incomplete') {
    bytes = Buffer.concat([bytes, await reader.next()])
    result = readProxyHeader(bytes)
  }
  if (result.state === 'refused') {
    const missing = result.code === 'signature'
    throw new ArrivalError(
      missing ? 'client-proxy-header-missing' : 'client-proxy-header-malformed',
      result.message,
    )
  }
  arrival.source = proxiedSource(arrival.source, result)
  arrival.proxiedPort = result.destination?.port ?? null
  arrival.stage = 'first-byte'
  return refuseSecondHeader(arrival, reader, bytes.subarray(result.length))
}

function proxiedSource(
  own: SourceFacts,
  header: { readonly source: { ip: string; port: number } | null; readonly vpcEndpoint: string | null },
): SourceFacts {
  return { ...own, ...header.source, vpcEndpoint: header.vpcEndpoint }
}

async function refuseSecondHeader(arrival: Arrival, reader: RawReader, after: Buffer): Promise<Buffer> {
  let rest = after
  if (rest.length === 0) rest = await reader.next()
  arrival.stage = 'proxy-header'
  let second = checkNoSecondHeader(rest)
  while (second.state === 'incomplete') {
    rest = Buffer.concat([rest, await reader.next()])
    second = checkNoSecondHeader(rest)
  }
  if (second.state === 'refused') throw new ArrivalError('client-proxy-header-second', second.message)
  return rest
}

/** Of all connections, from the first: who owes a PROXY header holds one of the process's files as well. */
function countOpen({ raw }: Arrival, { admission }: IntakeOptions): void {
  if (!admission.open()) throw new ArrivalError('limit-connections', AS_MANY)
  raw.on('close', () => admission.close())
}

/** By the address that the balancer names: its own would make all its clients one source. */
function countSource({ raw, source }: Arrival, { admission }: IntakeOptions): void {
  const key = sourceKey(source.ip)
  if (raw.destroyed) throw new ConnectionGoneError()
  if (!admission.enter(key)) throw new ArrivalError('limit-connections-per-source', AS_MANY)
  raw.on('close', () => admission.leave(key))
}

async function readHello(
  reader: RawReader,
  first: Buffer,
): Promise<{ bytes: Buffer; result: Exclude<ClientHelloResult, { state: 'incomplete' }> }> {
  const hello = new ClientHelloReader()
  const chunks = [first]
  let result = hello.push(first)
  while (result.state === 'incomplete') {
    const chunk = await reader.next()
    chunks.push(chunk)
    result = hello.push(chunk)
  }
  return { bytes: chunks.length === 1 ? first : Buffer.concat(chunks), result }
}

function helloCode(code: ClientHelloErrorCode): ReasonCode {
  return isNotTls(code) ? 'client-not-tls' : 'client-hello-malformed'
}
