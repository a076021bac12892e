// What the gateway makes keys for towards a server. A resumed handshake with a server that has chosen X25519 before spares
// the post-quantum key, and nothing else changes: a full handshake asks for it again, and so does one with a server that
// chose it.
import { once } from 'node:events'
import tls from 'node:tls'
import { beforeAll, describe, expect, test } from 'vitest'
import { createDial } from '../../../gateway/upstream/dial.ts'
import { createOpenUpstream } from '../../../gateway/upstream/open.ts'
import { createPki, HOST, opened, type Pki, readSome, request, tcpServer } from './harness.ts'

const X25519 = 0x001d
const X25519MLKEM768 = 0x11ec

let pki: Pki
beforeAll(async () => {
  pki = await createPki()
})

/** The groups of the key_share extension (RFC 8446 §4.2.8) in the bytes of a ClientHello, in their order. */
function sharesOf(hello: Buffer): number[] {
  // Record header, handshake header, version and random; then session id, ciphers and compression, each with its length.
  let at = 5 + 4 + 2 + 32
  at += 1 + hello.readUInt8(at)
  at += 2 + hello.readUInt16BE(at)
  at += 1 + hello.readUInt8(at) + 2
  for (; at < hello.length; at += 4 + hello.readUInt16BE(at + 2)) {
    if (hello.readUInt16BE(at) !== 51) continue
    const groups: number[] = []
    const end = at + 6 + hello.readUInt16BE(at + 4)
    for (let share = at + 6; share < end; share += 4 + hello.readUInt16BE(share + 2)) {
      groups.push(hello.readUInt16BE(share))
    }
    return groups
  }
  throw new Error('no key_share')
}

/** A server with these groups, which notes what each client had keys for, and whether it was resumed. */
async function serverOf(groups: string) {
  const { chainPem, keyPem } = await pki.servers.issue({ dns: [HOST] })
  const seen: { shares: number[]; reused: boolean }[] = []
  let shares: number[] = []
  const server = tls.createServer({ cert: chainPem, key: keyPem, ecdhCurve: groups }, (socket) => {
    socket.on('error', () => {})
    seen.push({ shares, reused: socket.isSessionReused() })
    socket.end('hello')
  })
  const listening = await tcpServer((raw) => {
    raw.once('data', (hello: Buffer) => {
      raw.pause()
      shares = sharesOf(hello)
      raw.unshift(hello)
      server.emit('connection', raw)
    })
  })
  return {
    ...{ seen, server, port: listening.port },
    [Symbol.asyncDispose]: () => listening[Symbol.asyncDispose](),
  }
}

function client(port: number) {
  const open = createOpenUpstream({ resolve: async () => ['127.0.0.1'], dial: createDial() })
  // One object all along: sessions are of a destination.
  const wanted = request(port, { roots: [pki.servers.pem], ports: [port] })
  return async (): Promise<void> => {
    await using connection = await opened(wanted, open)
    await readSome(connection)
    // A ticket may come behind the data.
    await once(connection.stream, 'end')
  }
}

describe('a server that speaks X25519 alone', () => {
  test('is sent both keys first, and one where TLS is resumed', async () => {
    await using server = await serverOf('X25519')
    const connect = client(server.port)
    await connect()
    await connect()
    await connect()
    expect(server.seen).toEqual([
      { shares: [X25519MLKEM768, X25519], reused: false },
      { shares: [X25519], reused: true },
      { shares: [X25519], reused: true },
    ])
  })

  test('may want another group by the next time: that is one round trip more', async () => {
    await using server = await serverOf('X25519')
    const connect = client(server.port)
    await connect()
    const { chainPem, keyPem } = await pki.servers.issue({ dns: [HOST] })
    server.server.setSecureContext({ cert: chainPem, key: keyPem, ecdhCurve: 'P-256' })
    await connect()
    expect(server.seen.map(({ shares }) => shares)).toEqual([[X25519MLKEM768, X25519], [X25519]])
  })
})

test('a server that chose the post-quantum group is sent a key for it each time', async () => {
  await using server = await serverOf('X25519MLKEM768:X25519')
  const connect = client(server.port)
  await connect()
  await connect()
  expect(server.seen).toEqual([
    { shares: [X25519MLKEM768, X25519], reused: false },
    { shares: [X25519MLKEM768, X25519], reused: true },
  ])
})
