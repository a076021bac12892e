import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  type LinkerdHeaderErrorCode,
  type LinkerdHeaderResult,
  MAX_MESSAGE_BYTES,
  readLinkerdHeader,
} from '../../../../gateway/listeners/linkerd-header.ts'
import {
  decodeMessage,
  encodeMessage,
  encodeTransportHeader,
  framed,
} from '../../../fakes/mesh/transport-header.ts'

const NAME = 'partner.test'
/** Preface and length. */
const PREFIX_BYTES = 27
const PORT_443 = '08bb03'
const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex')
const string = (number: number, text: string | Buffer) => {
  const bytes = Buffer.from(text)
  return Buffer.concat([Buffer.from([number * 8 + 2, bytes.length]), bytes])
}
/** A framed message of the hexadecimal or other parts. */
const message = (...parts: readonly (string | Buffer)[]) =>
  framed(Buffer.concat(parts.map((part) => (typeof part === 'string' ? hex(part) : part))))

describe('a header of a stock encoder', () => {
  test('is read with its length, and what follows is not looked at', () => {
    const header = encodeTransportHeader({ port: 443, name: NAME })
    expect(readLinkerdHeader(Buffer.concat([header, header, Buffer.from('payload')]))).toEqual({
      kind: 'done',
      port: 443,
      name: NAME,
      sessionProtocol: 'opaque',
      length: header.length,
    })
  })

  test('has the bytes that linkerd2-proxy writes', () => {
    const bytes = hex(
      '7472616e73706f72742e6c35642e696f2f76310d0a0d0a 00000011 08bb03 120c706172746e65722e74657374',
    )
    expect(encodeTransportHeader({ port: 443, name: NAME })).toEqual(bytes)
  })

  test('of any port, name and protocol', () => {
    const label = fc.stringMatching(/^[a-z]([a-z0-9-]{0,20}[a-z0-9])?$/)
    const header = fc.record(
      {
        port: fc.integer({ min: 1, max: 65_535 }),
        name: fc.array(label, { minLength: 1, maxLength: 6 }).map((labels) => labels.join('.')),
        sessionProtocol: fc.constantFrom('http1', 'http2'),
      },
      { requiredKeys: ['port'] },
    )
    fc.assert(
      fc.property(header, (wanted) => {
        expect(readLinkerdHeader(encodeTransportHeader(wanted))).toMatchObject({
          kind: 'done',
          port: wanted.port,
          name: wanted.name ?? null,
          sessionProtocol: wanted.sessionProtocol ?? 'opaque',
        })
      }),
    )
  })
})

describe('a header that is read', () => {
  const cases: Record<string, readonly [bytes: Buffer, expected: object]> = {
    'fields in another order': [message(string(2, NAME), PORT_443), { port: 443, name: NAME }],
    'an empty name is none': [message(PORT_443, '1200'), { name: null }],
    'a name in capitals and with a dot at its end': [
      message(PORT_443, string(2, 'Partner.TEST.')),
      { name: NAME },
    ],
    'an empty session protocol is opaque, as in Linkerd': [
      message(PORT_443, '1a00'),
      { sessionProtocol: 'opaque' },
    ],
    'so is one that is not known yet': [message(PORT_443, '1a021a00'), { sessionProtocol: 'opaque' }],
    'http1 with a field that is not known yet': [
      message(PORT_443, '1a040a020801'),
      { sessionProtocol: 'http1' },
    ],
    'unknown fields of every type': [
      message('2001', PORT_443, '29 0102030405060708', '3202ffff', '3d01020304', 'f8ffffff0f 00'),
      { port: 443 },
    ],
    'port 1': [encodeTransportHeader({ port: 1 }), { port: 1 }],
    'port 65535': [encodeTransportHeader({ port: 65_535 }), { port: 65_535 }],
    'a message of the greatest size': [
      framed(Buffer.concat([hex(PORT_443), hex('22fa1f'), Buffer.alloc(MAX_MESSAGE_BYTES - 6)])),
      { port: 443 },
    ],
  }
  test.each(Object.entries(cases))('%s', (_, [bytes, expected]) => {
    expect(readLinkerdHeader(bytes)).toMatchObject({ kind: 'done', length: bytes.length, ...expected })
  })
})

describe('a header that is refused', () => {
  const cases: Record<string, readonly [bytes: Buffer, code: LinkerdHeaderErrorCode]> = {
    'HTTP instead': [Buffer.from('GET / HTTP/1.1\r\n\r\n'), 'preface'],
    'another version': [Buffer.from('transport.l5d.io/v2'), 'preface'],
    'a preface in capitals': [Buffer.from('Transport'), 'preface'],
    'a preface without CR': [Buffer.from('transport.l5d.io/v1\n\n'), 'preface'],
    'a message of a byte too much': [framed(Buffer.alloc(0), MAX_MESSAGE_BYTES + 1), 'too-large'],
    'a message of 4 GiB': [framed(Buffer.alloc(0), 0xffff_ffff), 'too-large'],
    'a length in little-endian': [framed(Buffer.alloc(0), 0x11_00_00_00), 'too-large'],
    'an empty message': [framed(Buffer.alloc(0)), 'port'],
    'no port': [message(string(2, NAME)), 'port'],
    'port 0': [message('0800'), 'port'],
    'port 65536': [encodeTransportHeader({ port: 65_536 }), 'port'],
    'a negative port': [encodeTransportHeader({ port: -1 }), 'port'],
    'a port that is 443 in its low 32 bits': [message('08bb83808010'), 'port'],
    'a port that is 443 in its low 64 bits': [message('08bb838080808080808002'), 'malformed'],
    'a port that is longer than its shortest form': [message('08bb8300'), 'malformed'],
    'a port of eleven bytes': [message('08bb838080808080808080', '00'), 'malformed'],
    'a port that is text': [message(string(1, '443')), 'malformed'],
    'a port that is fixed': [message('0dbb010000'), 'malformed'],
    'a port that is cut short': [message('08bb'), 'malformed'],
    'two ports': [message(PORT_443, '0816'), 'malformed'],
    'the same port twice': [message(PORT_443, PORT_443), 'malformed'],
    'two names': [message(PORT_443, string(2, NAME), string(2, 'other.test')), 'malformed'],
    'two session protocols': [message(PORT_443, '1a020a00', '1a021200'), 'malformed'],
    'two session protocols in one': [message(PORT_443, '1a040a001200'), 'malformed'],
    'a session protocol twice in one': [message(PORT_443, '1a040a000a00'), 'malformed'],
    'a session protocol that is a number': [message(PORT_443, '1801'), 'malformed'],
    'http1 that is a number': [message(PORT_443, '1a020801'), 'malformed'],
    'http1 that holds no fields': [message(PORT_443, '1a030a01ff'), 'malformed'],
    'a name that is a number': [message(PORT_443, '1001'), 'malformed'],
    'a name longer than the message': [message(PORT_443, '1205', Buffer.from('abcd')), 'malformed'],
    'a name whose length is cut short': [message(PORT_443, '12'), 'malformed'],
    'a name of 2^63 bytes': [message(PORT_443, '12 80808080808080808001'), 'malformed'],
    'a name whose length is longer than its shortest form': [
      message(PORT_443, '12 8100', Buffer.from('a')),
      'malformed',
    ],
    'a name that is not UTF-8': [message(PORT_443, string(2, hex('ff'))), 'malformed'],
    'a name in overlong UTF-8': [message(PORT_443, string(2, hex('c1a1'))), 'malformed'],
    'a name with NUL': [message(PORT_443, string(2, 'partner.test\0')), 'name'],
    'a name with a byte order mark': [message(PORT_443, string(2, hex('efbbbf61'))), 'name'],
    'a name with a port': [message(PORT_443, string(2, 'partner.test:443')), 'name'],
    'a name with an underscore, which Linkerd takes': [message(PORT_443, string(2, 'a_b.test')), 'name'],
    'a name that is an IPv4 address': [message(PORT_443, string(2, '10.0.0.1')), 'name'],
    'a name that is an IPv6 address': [message(PORT_443, string(2, '[2001:db8::1]')), 'name'],
    'a name that inet_aton takes for an address': [message(PORT_443, string(2, '0177.1')), 'name'],
    'a name that is not ASCII': [message(PORT_443, string(2, 'bücher.test')), 'name'],
    'field 0': [message(PORT_443, '0000'), 'malformed'],
    'a field number past 2^29': [message(PORT_443, '808080801000'), 'malformed'],
    'a tag that is longer than its shortest form': [message(PORT_443, 'a00001'), 'malformed'],
    'a group': [message(PORT_443, '2324'), 'malformed'],
    'the end of a group': [message(PORT_443, '24'), 'malformed'],
    'wire type 6': [message(PORT_443, '2600'), 'malformed'],
    'wire type 7': [message(PORT_443, '2700'), 'malformed'],
    'an unknown field of 8 bytes with 7': [message(PORT_443, '29 01020304050607'), 'malformed'],
    'an unknown field of 4 bytes with 3': [message(PORT_443, '3d 010203'), 'malformed'],
  }
  test.each(Object.entries(cases))('%s', (_, [bytes, code]) => {
    expect(readLinkerdHeader(bytes)).toMatchObject({ kind: 'refused', code })
  })

  test('is not repeated in the message', () => {
    const result = readLinkerdHeader(message(PORT_443, string(2, 'hunter2_')))
    expect(JSON.stringify(result)).not.toContain('hunter2')
  })
})

describe('in pieces', () => {
  /** The verdict of each prefix must be "incomplete" until one is decided, and that one's for ever after. */
  function watch(bytes: Buffer): LinkerdHeaderResult {
    let decided: LinkerdHeaderResult | null = null
    for (let length = 0; length <= bytes.length; length += 1) {
      const result = readLinkerdHeader(bytes.subarray(0, length))
      if (decided !== null) expect(result).toEqual(decided)
      else if (result.kind !== 'incomplete') decided = result
      if (decided?.kind === 'done') expect(decided.length).toBeLessThanOrEqual(length)
    }
    return decided ?? { kind: 'incomplete' }
  }

  test('a good header is decided with its last byte', () => {
    const header = encodeTransportHeader({ port: 443, name: NAME, sessionProtocol: 'http2' })
    expect(readLinkerdHeader(header.subarray(0, -1))).toEqual({ kind: 'incomplete' })
    expect(watch(Buffer.concat([header, Buffer.from('rest')]))).toMatchObject({
      kind: 'done',
      length: header.length,
    })
  })

  test('a wrong preface is refused at its first wrong byte', () => {
    expect(readLinkerdHeader(Buffer.from('transport.l5d.io/v1\r\n\r'))).toEqual({ kind: 'incomplete' })
    expect(readLinkerdHeader(Buffer.from('x'))).toMatchObject({ code: 'preface' })
  })

  test('any bytes, any message and any change of a good one; where one is read, a stock library reads the same', () => {
    const good = encodeMessage({ port: 443, name: NAME, sessionProtocol: 'http1' })
    const changed = fc
      .array(fc.tuple(fc.nat({ max: good.length - 1 }), fc.integer({ min: 0, max: 255 })), {
        minLength: 1,
        maxLength: 4,
      })
      .map((changes) => {
        const bytes = Buffer.from(good)
        for (const [at, octet] of changes) bytes[at] = octet
        return framed(bytes)
      })
    const any = fc.uint8Array({ maxLength: 64 }).map((bytes) => Buffer.from(bytes))
    const input = fc.oneof(
      any,
      any.map((bytes) => framed(bytes)),
      changed,
    )
    fc.assert(
      fc.property(input, (bytes) => {
        const result = watch(bytes)
        if (result.kind !== 'done') return
        const { port, name, sessionProtocol } = result
        const stock = decodeMessage(bytes.subarray(PREFIX_BYTES, result.length))
        expect({ port, sessionProtocol }).toEqual({
          port: stock.port,
          sessionProtocol: stock.sessionProtocol ?? 'opaque',
        })
        expect(name ?? '').toBe(stock.name?.toLowerCase().replace(/\.$/, ''))
      }),
      { numRuns: 2000 },
    )
  })
})
