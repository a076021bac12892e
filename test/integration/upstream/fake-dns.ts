// A DNS server on loopback that answers as a test tells it, in the bytes of RFC 1035.
import dgram from 'node:dgram'
import { once } from 'node:events'

export type DnsAnswer =
  | { readonly records: readonly Uint8Array[] }
  | { readonly rcode: 0 | 2 | 3 | 5 }
  | 'silence'
  /** A record of the wrong length. */
  | 'garbage'

export interface FakeDns extends AsyncDisposable {
  /** `127.0.0.1:port`. */
  readonly address: string
  /** Each query as `A name` or `AAAA name`. */
  readonly queries: readonly string[]
}

const TYPES: Readonly<Record<number, 'A' | 'AAAA'>> = { 1: 'A', 28: 'AAAA' }

export async function fakeDns(answer: (type: 'A' | 'AAAA', name: string) => DnsAnswer): Promise<FakeDns> {
  const queries: string[] = []
  const socket = dgram.createSocket('udp4')
  socket.on('message', (message, peer) => {
    const { name, end } = readName(message)
    const type = TYPES[message.readUInt16BE(end)]
    if (type === undefined) return
    queries.push(`${type} ${name}`)
    const reply = answer(type, name)
    if (reply !== 'silence') socket.send(write(message, end + 4, reply), peer.port, peer.address)
  })
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  return {
    address: `127.0.0.1:${socket.address().port}`,
    queries,
    async [Symbol.asyncDispose]() {
      socket.close()
      await once(socket, 'close')
    },
  }
}

function readName(message: Buffer): { name: string; end: number } {
  const labels: string[] = []
  let at = 12
  for (;;) {
    const length = message[at] ?? 0
    at += 1
    if (length === 0) return { name: labels.join('.').toLowerCase(), end: at }
    labels.push(message.toString('latin1', at, at + length))
    at += length
  }
}

function write(query: Buffer, questionEnd: number, reply: Exclude<DnsAnswer, 'silence'>): Buffer {
  const rcode = typeof reply === 'object' && 'rcode' in reply ? reply.rcode : 0
  const records = reply === 'garbage' ? [Uint8Array.of(1, 2, 3)] : 'records' in reply ? reply.records : []
  const header = Buffer.alloc(12)
  header.writeUInt16BE(query.readUInt16BE(0), 0)
  // QR, RD, RA.
  header.writeUInt16BE(0x8180 | rcode, 2)
  header.writeUInt16BE(1, 4)
  header.writeUInt16BE(records.length, 6)
  const question = query.subarray(12, questionEnd)
  const type = question.subarray(-4, -2)
  return Buffer.concat([header, question, ...records.map((data) => record(type, data))])
}

function record(type: Uint8Array, data: Uint8Array): Buffer {
  const fixed = Buffer.alloc(12)
  // The name is the question's, by pointer.
  fixed.writeUInt16BE(0xc00c, 0)
  fixed.set(type, 2)
  fixed.writeUInt16BE(1, 4)
  fixed.writeUInt32BE(300, 6)
  fixed.writeUInt16BE(data.length, 10)
  return Buffer.concat([fixed, data])
}
