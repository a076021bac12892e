// The preamble of PostgreSQL over a real connection, byte by byte and with what must not be there.
import { once } from 'node:events'
import { describe, expect, test } from 'vitest'
import { ArrivalError } from '../../../gateway/listeners/arrival/arrival.ts'
import { ConnectionGoneError, RawReader } from '../../../gateway/listeners/arrival/raw-reader.ts'
import { createPostgresPreamble } from '../../../gateway/listeners/postgres-preamble.ts'
import { connectedPair } from '../../fixtures/sockets.ts'

const SSL = Buffer.from('0000000804d2162f', 'hex')
const GSSENC = Buffer.from('0000000804d21630', 'hex')
const HELLO = Buffer.from('16030100', 'hex')
const STARTUP = Buffer.from('0000001700030000', 'hex')

async function scene() {
  const pair = await connectedPair()
  const reader = new RawReader(pair.near)
  const arrival = { raw: pair.near, source: { ip: '127.0.0.1', port: 1, vpcEndpoint: null } }
  const preamble = createPostgresPreamble(() => () => {})
  const result = (async () => preamble(arrival, reader, await reader.next()))()
  // Looked at later; until then it is no unhandled rejection.
  result.catch(() => {})
  return {
    ...{ far: pair.far, result },
    async answer() {
      pair.far.resume()
      const [chunk] = (await once(pair.far, 'data')) as [Buffer]
      pair.far.pause()
      return chunk.toString('latin1')
    },
    async bytewise(bytes: Buffer) {
      pair.far.setNoDelay(true)
      for (const byte of bytes) {
        pair.far.write(Buffer.of(byte))
        await new Promise((resolve) => setImmediate(resolve))
      }
    },
    [Symbol.asyncDispose]: () => pair[Symbol.asyncDispose](),
  }
}

describe('a client', () => {
  test('may send its requests byte by byte', async () => {
    await using s = await scene()
    await s.bytewise(GSSENC)
    expect(await s.answer()).toBe('N')
    await s.bytewise(SSL)
    expect(await s.answer()).toBe('S')
    s.far.write(HELLO)
    expect(await s.result).toEqual({ first: HELLO, mustOffer: null })
  })

  test('that begins with TLS must offer the protocol', async () => {
    await using s = await scene()
    s.far.write(HELLO)
    expect(await s.result).toMatchObject({ first: HELLO, mustOffer: { protocol: 'postgresql' } })
  })

  test.each<[string, readonly Buffer[]]>([
    ['sends bytes behind SSLRequest', [Buffer.concat([SSL, HELLO])]],
    ['sends bytes behind GSSENCRequest', [Buffer.concat([GSSENC, SSL])]],
    ['asks for GSSENC twice', [GSSENC, GSSENC]],
    ['begins with TLS behind a GSSENCRequest', [GSSENC, HELLO]],
    ['begins without TLS behind a GSSENCRequest', [GSSENC, STARTUP]],
  ])('that %s is refused', async (_, steps) => {
    await using s = await scene()
    for (const [index, bytes] of steps.entries()) {
      if (index > 0) expect(await s.answer()).toBe('N')
      s.far.write(bytes)
    }
    // What follows the second answer decides nothing any more.
    s.far.end('x')
    await expect(s.result).rejects.toThrow(expect.objectContaining({ code: 'request-start-tls' }))
    await expect(s.result).rejects.toThrow(ArrivalError)
  })

  test.each<[string, Buffer]>([
    ['in the middle of a request', SSL.subarray(0, 5)],
    ['between request and TLS', SSL],
  ])('that goes %s is gone', async (_, bytes) => {
    await using s = await scene()
    s.far.end(bytes)
    await expect(s.result).rejects.toThrow(ConnectionGoneError)
  })
})
