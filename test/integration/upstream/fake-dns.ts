// A DNS server on loopback, over UDP and TCP, that answers as a test tells it, in the bytes of RFC 1035.
import dgram from 'node:dgram'
import { once } from 'node:events'
import net from 'node:net'

export interface DnsRecord {
  /** Default: the name asked for. */
  readonly owner?: string
  /** Default: the type asked for. */
  readonly type?: 'A' | 'AAAA' | 'CNAME'
  readonly ttl?: number
  /** An address's bytes, or the name that a CNAME leads to. */
  readonly data: Uint8Array | string
}

export type DnsAnswer =
  | {
      readonly records: readonly (Uint8Array | DnsRecord)[]
      /** Over UDP only that there is more, which makes the client ask over TCP. */
      readonly truncated?: boolean
      /** Sent first, as somebody would who guesses: for another query id, or another name. */
      readonly forged?: { readonly wrong: 'id' | 'name'; readonly records: readonly Uint8Array[] }
      /** Only what is forged is sent. */
      readonly forgedAlone?: boolean
    }
  | { readonly rcode: 0 | 2 | 3 | 5 }
  | 'silence'
  /** A record of the wrong length. */
  | 'garbage'

export interface FakeDns extends AsyncDisposable {
  /** `127.0.0.1:port`. */
  readonly address: string
  /** Each query as `A name` or `AAAA name`; over TCP as `TCP A name`. */
  readonly queries: readonly string[]
}

interface Query {
  readonly id: number
  readonly name: string
  readonly type: 'A' | 'AAAA'
  /** Name, type and class, as they came. */
  readonly question: Buffer
}

const NUMBERS = { A: 1, CNAME: 5, AAAA: 28 } as const
const DEFAULT_TTL = 300

export async function fakeDns(
  answer: (type: 'A' | 'AAAA', name: string) => DnsAnswer | Promise<DnsAnswer>,
  wantedPort = 0,
): Promise<FakeDns> {
  const queries: string[] = []
  const serve: Serve = async (message, over, send) => {
    const query = read(message)
    if (query === null) return
    queries.push(`${over === 'tcp' ? 'TCP ' : ''}${query.type} ${query.name}`)
    for (const reply of write(query, await answer(query.type, query.name), over)) send(reply)
  }
  const { tcp, udp } = await listenOnBoth(tcpServer(serve), wantedPort)
  udp.on('message', (message, peer) => {
    void serve(message, 'udp', (reply) => udp.send(reply, peer.port, peer.address, () => {}))
  })
  return {
    address: `127.0.0.1:${udp.address().port}`,
    queries,
    async [Symbol.asyncDispose]() {
      udp.close()
      tcp.close()
      await once(udp, 'close')
    },
  }
}

type Serve = (message: Buffer, over: 'udp' | 'tcp', send: (reply: Buffer) => void) => Promise<void>

function tcpServer(serve: Serve): net.Server {
  return net.createServer((socket) => {
    let held = Buffer.alloc(0)
    socket.on('error', () => {})
    socket.on('data', (chunk) => {
      held = Buffer.concat([held, chunk])
      // Two queries may come in one packet.
      while (held.length >= 2 && held.length >= held.readUInt16BE(0) + 2) {
        const end = held.readUInt16BE(0) + 2
        void serve(held.subarray(2, end), 'tcp', (reply) => {
          const length = Buffer.alloc(2)
          length.writeUInt16BE(reply.length, 0)
          socket.write(Buffer.concat([length, reply]))
        })
        held = held.subarray(end)
      }
    })
  })
}

/** One port for both. A port that is free for the one may be taken for the other: then another is tried. */
async function listenOnBoth(tcp: net.Server, wantedPort: number, tries = 20) {
  tcp.listen(wantedPort, '127.0.0.1')
  await once(tcp, 'listening')
  const udp = dgram.createSocket('udp4')
  udp.bind((tcp.address() as net.AddressInfo).port, '127.0.0.1')
  try {
    await once(udp, 'listening')
    return { tcp, udp }
  } catch (error) {
    tcp.close()
    await once(tcp, 'close')
    if (wantedPort !== 0 || tries === 0) throw error
    return listenOnBoth(tcp, wantedPort, tries - 1)
  }
}

function read(message: Buffer): Query | null {
  const labels: string[] = []
  let at = 12
  for (let length = message[at] ?? 0; length > 0; length = message[at] ?? 0) {
    labels.push(message.toString('latin1', at + 1, at + 1 + length))
    at += 1 + length
  }
  const number = message.readUInt16BE(at + 1)
  const type = number === NUMBERS.A ? 'A' : number === NUMBERS.AAAA ? 'AAAA' : null
  if (type === null) return null
  const question = message.subarray(12, at + 5)
  return { id: message.readUInt16BE(0), name: labels.join('.').toLowerCase(), type, question }
}

function write(query: Query, answer: DnsAnswer, over: 'udp' | 'tcp'): readonly Buffer[] {
  if (answer === 'silence') return []
  if (answer === 'garbage') return [reply(query, [Uint8Array.of(1, 2, 3)])]
  if ('rcode' in answer) return [reply(query, [], answer.rcode)]
  const { records, truncated, forged, forgedAlone } = answer
  const replies: Buffer[] = []
  if (forged?.wrong === 'id') replies.push(reply({ ...query, id: query.id ^ 1 }, forged.records))
  if (forged?.wrong === 'name') {
    const question = Buffer.concat([encodeName('other.example'), query.question.subarray(-4)])
    replies.push(reply({ ...query, question }, forged.records))
  }
  if (truncated === true && over === 'udp') replies.push(reply(query, [], 0x0200))
  else if (forgedAlone !== true) replies.push(reply(query, records))
  return replies
}

/** `flags` are added to QR, RD and RA; the lowest four bits are the RCODE, 0x0200 is TC. */
function reply(query: Query, records: readonly (Uint8Array | DnsRecord)[], flags = 0): Buffer {
  const header = Buffer.alloc(12)
  header.writeUInt16BE(query.id, 0)
  header.writeUInt16BE(0x8180 | flags, 2)
  header.writeUInt16BE(1, 4)
  header.writeUInt16BE(records.length, 6)
  return Buffer.concat([
    header,
    query.question,
    ...records.map((record) => encode(record instanceof Uint8Array ? { data: record } : record, query)),
  ])
}

function encode({ owner, type, ttl = DEFAULT_TTL, data }: DnsRecord, query: Query): Buffer {
  const bytes = typeof data === 'string' ? encodeName(data) : data
  const fixed = Buffer.alloc(10)
  fixed.writeUInt16BE(NUMBERS[type ?? query.type], 0)
  fixed.writeUInt16BE(1, 2)
  fixed.writeUInt32BE(ttl, 4)
  fixed.writeUInt16BE(bytes.length, 8)
  // The name asked for, by pointer.
  const name = owner === undefined ? Uint8Array.of(0xc0, 0x0c) : encodeName(owner)
  return Buffer.concat([name, fixed, bytes])
}

function encodeName(name: string): Buffer {
  const labels = name.split('.').map((label) => Buffer.from(label, 'latin1'))
  return Buffer.concat([...labels.flatMap((label) => [Uint8Array.of(label.length), label]), Uint8Array.of(0)])
}
