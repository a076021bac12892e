// ClientHellos as Node's own TLS sends them, taken from a real socket.
import net from 'node:net'
import tls from 'node:tls'
import { describe, expect, test } from 'vitest'
import { ClientHelloReader, type ClientHelloResult } from '../../../gateway/listeners/client-hello.ts'
import { inRecords } from '../../fixtures/client-hello.ts'

interface Captured {
  readonly bytes: Buffer
  /** What the reader said to the chunks as the socket gave them. */
  readonly result: ClientHelloResult
}

/** Lets Node's TLS client speak to a server that only listens, until the reader has decided. */
async function capture(options: tls.ConnectionOptions): Promise<Captured> {
  const { promise, resolve } = Promise.withResolvers<Captured>()
  const server = net.createServer((socket) => {
    const reader = new ClientHelloReader()
    const chunks: Buffer[] = []
    socket.on('error', () => {})
    socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk)
      const result = reader.push(chunk)
      if (result.state === 'incomplete') return
      resolve({ bytes: Buffer.concat(chunks), result })
      socket.destroy()
    })
  })
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  const { port } = server.address() as net.AddressInfo
  const client = tls.connect({ port, host: '127.0.0.1', ...options })
  client.on('error', () => {})
  try {
    return await promise
  } finally {
    client.destroy()
    server.close()
  }
}

describe('the ClientHello of Node', () => {
  const cases: Record<string, [tls.ConnectionOptions, object]> = {
    'with a name': [
      { servername: 'api.bank.example' },
      { serverName: 'api.bank.example', ech: false, alpn: [] },
    ],
    'with a name in capitals': [{ servername: 'API.Bank.Example' }, { serverName: 'api.bank.example' }],
    'without a name': [{ servername: '' }, { serverName: null }],
    'with ALPN': [
      { servername: 'a.example', ALPNProtocols: ['h2', 'http/1.1', 'transport.l5d.io/v1'] },
      { serverName: 'a.example', alpn: ['h2', 'http/1.1', 'transport.l5d.io/v1'] },
    ],
    'of TLS 1.2 alone': [
      { servername: 'a.example', maxVersion: 'TLSv1.2' },
      { serverName: 'a.example', legacyVersion: 0x0303, supportedVersions: [] },
    ],
    'of TLS 1.3 alone': [
      { servername: 'a.example', minVersion: 'TLSv1.3' },
      { serverName: 'a.example', supportedVersions: [0x0304] },
    ],
    'with a classic key share alone': [
      { servername: 'a.example', ecdhCurve: 'X25519' },
      { serverName: 'a.example' },
    ],
    'with a key share of ML-KEM-1024': [
      { servername: 'a.example', ecdhCurve: 'SecP384r1MLKEM1024' },
      { serverName: 'a.example' },
    ],
  }
  test.each(Object.entries(cases))('%s', async (_, [options, expected]) => {
    const { bytes, result } = await capture(options)
    expect(result).toMatchObject({ state: 'done', hello: { ...expected, recordsLength: bytes.length } })
    expect(new ClientHelloReader().push(bytes)).toEqual(result)
  })

  test('with its post-quantum key share is longer than a segment, and may be cut into any records', async () => {
    const { bytes, result } = await capture({ servername: 'api.bank.example' })
    expect(bytes.length).toBeGreaterThan(1460)
    const message = bytes.subarray(5)
    for (const size of [1, 2, 3, 4, 5, 100, 1460]) {
      const cut = inRecords(message, [size])
      const reader = new ClientHelloReader()
      for (const byte of cut.subarray(0, -1)) expect(reader.push(Buffer.of(byte)).state).toBe('incomplete')
      const hello = result.state === 'done' ? { ...result.hello, recordsLength: cut.length } : null
      expect(reader.push(cut.subarray(-1))).toEqual({ state: 'done', hello })
    }
  })

  test('with an IP address as its name is refused, as RFC 6066 forbids it', async () => {
    // Node refuses to send one, so that the name is put in by hand.
    const { bytes } = await capture({ servername: 'aa.example' })
    const forged = Buffer.from(bytes.toString('latin1').replace('aa.example', '10.0.0.100'), 'latin1')
    expect(new ClientHelloReader().push(forged)).toMatchObject({
      state: 'refused',
      code: 'server-name-address',
    })
  })
})
