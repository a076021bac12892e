// A ClientHello in any records and segments, what comes instead of one, and bytes that are no hello at all.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  ClientHelloReader,
  type ClientHelloResult,
  MAX_HELLO_BYTES,
  MAX_HELLO_WIRE_BYTES,
} from '../../../../gateway/listeners/client-hello.ts'
import { hello, inRecords, record, SERVER_NAME } from '../../../fixtures/client-hello.ts'
import { header } from '../../../fixtures/proxy-header.ts'

const read = (bytes: Uint8Array) => new ClientHelloReader().push(bytes)
const MESSAGE = hello()

/** Feeds segments of the sizes given, in turn; checks that the answer, once decided, stays. */
function feed(bytes: Uint8Array, sizes: readonly number[]): ClientHelloResult {
  const reader = new ClientHelloReader()
  let decided: ClientHelloResult | null = null
  let result = reader.push(new Uint8Array(0))
  for (let offset = 0, index = 0; offset < bytes.length; index += 1) {
    const size = sizes[index % sizes.length] ?? bytes.length
    result = reader.push(bytes.subarray(offset, offset + size))
    if (result.state !== 'incomplete') decided ??= result
    if (decided !== null) expect(result).toBe(decided)
    expect(reader.bufferedBytes).toBeLessThanOrEqual(MAX_HELLO_BYTES)
    offset += size
  }
  return result
}

describe('what is not TLS is refused at the byte that tells', () => {
  const ssl2 = Buffer.from('802e0103010015000000100000010080', 'hex')
  const cases: Record<string, [Uint8Array, number, string]> = {
    'an HTTP request': [Buffer.from('GET / HTTP/1.1\r\n'), 1, 'plain-text'],
    'an SSH banner': [Buffer.from('SSH-2.0-OpenSSH_9.9\r\n'), 1, 'plain-text'],
    'PROXY protocol v1': [Buffer.from('PROXY TCP4 '), 1, 'plain-text'],
    'PROXY protocol v2': [header(), 1, 'proxy-header'],
    'a ClientHello of SSL 2.0': [ssl2, 1, 'sslv2'],
    'a Postgres SSLRequest': [Buffer.from('0000000804d2162f', 'hex'), 1, 'record-type'],
    'a TLS alert': [Buffer.from('15030100020228', 'hex'), 1, 'alert'],
    'application data': [Buffer.from('170303001000', 'hex'), 1, 'application-data'],
    'a ChangeCipherSpec': [Buffer.from('140303000101', 'hex'), 1, 'record-type'],
    'a heartbeat': [Buffer.from('180302000301ffff', 'hex'), 1, 'record-type'],
    'a record of version 2': [record(MESSAGE, 22, 0x0200), 2, 'record-version'],
    'a record of SSL 3.0': [record(MESSAGE, 22, 0x0300), 3, 'record-version'],
    'a record of version 3.4': [record(MESSAGE, 22, 0x0304), 3, 'record-version'],
    'a DTLS record': [record(MESSAGE, 22, 0xfefd), 2, 'record-version'],
    'an empty record': [record(new Uint8Array(0)), 5, 'record-empty'],
    'a record of 2^14 + 1': [Buffer.from('1603014001', 'hex'), 5, 'record-too-long'],
    'another handshake message': [record(Buffer.of(2, 0, 0)), 6, 'handshake-type'],
    'a message too long': [record(Buffer.of(1, 1, 0, 0)), 9, 'too-long'],
    'a record longer than its message': [
      record(Buffer.of(1, 0, 0, 5, 3, 3, 0, 0, 0, 0)),
      9,
      'trailing-bytes',
    ],
  }
  test.each(Object.entries(cases))('%s', (_, [bytes, at, code]) => {
    expect(read(bytes.subarray(0, at - 1))).toEqual({ state: 'incomplete' })
    expect(read(bytes.subarray(0, at))).toMatchObject({ state: 'refused', code })
    expect(read(bytes)).toMatchObject({ state: 'refused', code })
  })
})

describe('between the records of a ClientHello', () => {
  const first = record(MESSAGE.subarray(0, 100))
  const rest = MESSAGE.subarray(100)
  const cases: Record<string, [Uint8Array, string]> = {
    'an alert': [record(Buffer.of(1, 0), 21), 'alert'],
    'application data': [record(Buffer.of(0), 23), 'application-data'],
    'a ChangeCipherSpec': [record(Buffer.of(1), 20), 'record-type'],
    'text, which is no guess at another protocol here': [Buffer.from('GET '), 'record-type'],
    'an empty record': [record(new Uint8Array(0)), 'record-empty'],
    'a last record with a byte too many': [record(Buffer.concat([rest, Buffer.of(0)])), 'trailing-bytes'],
    'a last record with a second message': [record(Buffer.concat([rest, MESSAGE])), 'trailing-bytes'],
  }
  test.each(Object.entries(cases))('%s is refused', (_, [bytes, code]) => {
    expect(read(Buffer.concat([first, bytes]))).toMatchObject({ state: 'refused', code })
  })

  test('a last record that is too long is refused at its header', () => {
    const last = record(Buffer.concat([rest, Buffer.of(0)]))
    expect(read(Buffer.concat([first, last.subarray(0, 4)]))).toEqual({ state: 'incomplete' })
    expect(read(Buffer.concat([first, last.subarray(0, 5)]))).toMatchObject({ code: 'trailing-bytes' })
  })

  test('another legal record version is no fault', () => {
    const mixed = Buffer.concat([
      record(MESSAGE.subarray(0, 9), 22, 0x0303),
      record(MESSAGE.subarray(9), 22, 0x0302),
    ])
    expect(read(mixed)).toMatchObject({ state: 'done' })
  })
})

describe('the bounds', () => {
  test('records of one byte work until all of them together are too many', () => {
    const fits = Math.floor(MAX_HELLO_WIRE_BYTES / 6)
    const padded = (length: number) => {
      const bare = hello({ extensions: [Buffer.of(0, 21, 0, 0)] }).length
      const padding = Buffer.alloc(4 + length - bare)
      padding.writeUInt16BE(21)
      padding.writeUInt16BE(length - bare, 2)
      return hello({ extensions: [padding] })
    }
    expect(read(inRecords(padded(fits), [1]))).toMatchObject({
      state: 'done',
      hello: { recordsLength: 6 * fits },
    })
    expect(read(inRecords(padded(fits + 1), [1]))).toMatchObject({ state: 'refused', code: 'too-many-bytes' })
  })

  test('a length that is claimed allocates nothing', () => {
    const reader = new ClientHelloReader()
    reader.push(record(Buffer.of(1, 0, 0xff, 0)))
    expect(reader.bufferedBytes).toBeLessThanOrEqual(2048)
  })

  test('never more is held than the longest message', () => {
    const reader = new ClientHelloReader()
    const start = Buffer.concat([Buffer.of(1, 0, 0xff, 0xfc), Buffer.alloc(60_000)])
    const bytes = inRecords(start, [13_000])
    for (let offset = 0; offset < bytes.length; offset += 13_005) {
      reader.push(bytes.subarray(offset, offset + 13_005))
      expect(reader.bufferedBytes).toBeLessThanOrEqual(MAX_HELLO_BYTES)
    }
    expect(reader.bufferedBytes).toBeGreaterThan(60_000)
  })

  test('nothing is held once it is decided', () => {
    for (const bytes of [inRecords(MESSAGE), inRecords(MESSAGE.with(0, 2))]) {
      const reader = new ClientHelloReader()
      expect(reader.push(bytes).state).not.toBe('incomplete')
      expect(reader.bufferedBytes).toBe(0)
    }
  })

  test('what is given is not kept: the caller may use its buffer again', () => {
    const bytes = inRecords(MESSAGE)
    const reader = new ClientHelloReader()
    const chunk = Buffer.from(bytes.subarray(0, 200))
    reader.push(chunk)
    chunk.fill(0)
    expect(reader.push(bytes.subarray(200))).toMatchObject({ hello: { serverName: SERVER_NAME } })
  })
})

describe('properties', () => {
  const sizes = fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1, maxLength: 12 })
  const small = hello({ extensions: [Buffer.from('000000090007000004612e6262', 'hex')] })

  test('records and segments make no difference but to the length', () => {
    fc.assert(
      fc.property(sizes, sizes, fc.uint8Array({ maxLength: 50 }), (records, segments, rest) => {
        const bytes = inRecords(MESSAGE, records)
        const whole = read(bytes)
        expect(whole).toMatchObject({
          state: 'done',
          hello: { serverName: SERVER_NAME, recordsLength: bytes.length },
        })
        expect(feed(Buffer.concat([bytes, rest]), segments)).toEqual(whole)
      }),
    )
  })

  test('every prefix is incomplete until it is decided, and then the answer never changes', () => {
    fc.assert(
      fc.property(sizes, (records) => {
        const bytes = inRecords(small, records)
        for (let length = 0; length < bytes.length; length += 1) {
          expect(read(bytes.subarray(0, length))).toEqual({ state: 'incomplete' })
        }
        expect(feed(bytes, [1])).toEqual(read(bytes))
      }),
      { numRuns: 30 },
    )
  })

  test('one byte changed, put in or taken out never makes it throw, nor the answer depend on segments', () => {
    fc.assert(
      fc.property(
        sizes,
        sizes,
        fc.nat(),
        fc.nat(255),
        fc.integer({ min: 0, max: 2 }),
        (records, segments, at, byte, kind) => {
          const bytes = [...inRecords(small, records)]
          bytes.splice(at % bytes.length, kind === 0 ? 0 : 1, ...(kind === 2 ? [] : [byte]))
          const mutated = Uint8Array.from(bytes)
          expect(feed(mutated, segments)).toEqual(read(mutated))
          expect(feed(mutated, [1])).toEqual(read(mutated))
        },
      ),
      { numRuns: 500 },
    )
  })

  test('random bytes, in a record and a message or bare, never make it throw', () => {
    const dress = fc.constantFrom<(bytes: Uint8Array) => Uint8Array>(
      (bytes) => bytes,
      (bytes) => (bytes.length === 0 ? bytes : inRecords(bytes)),
      (bytes) => inRecords(Buffer.concat([Buffer.of(1, 0, 0, bytes.length & 0xff), bytes])),
      (bytes) => inRecords(Buffer.concat([small.subarray(0, -13), bytes])),
    )
    fc.assert(
      fc.property(dress, fc.uint8Array({ maxLength: 255 }), sizes, (dress, bytes, segments) => {
        expect(feed(dress(bytes), segments)).toEqual(read(dress(bytes)))
      }),
      { numRuns: 1000 },
    )
  })
})
