import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  checkNoSecondHeader,
  MAX_PROXY_HEADER_BYTES,
  readProxyHeader,
} from '../../../../gateway/listeners/proxy-protocol.ts'
import {
  ADDRESSES_V4,
  ADDRESSES_V6,
  bitwiseCrc32c,
  type HeaderParts,
  header,
  LOCAL,
  PROXY,
  SIGNATURE,
  TCP6,
  tlv,
  vpcEndpoint,
} from '../../../fixtures/proxy-header.ts'

const SOURCE = { ip: '10.0.0.5', port: 41234 }
const DESTINATION = { ip: '10.0.1.7', port: 9902 }
const NOTHING = { source: null, destination: null, vpcEndpoint: null }
const VPCE = 'vpce-0123456789abcdef0'
const mapped = Buffer.from(`${'00'.repeat(10)}ffff0a000005${'00'.repeat(10)}ffff0a000107a11226ae`, 'hex')

describe('a header', () => {
  const v6 = { source: { ip: '2001:db8::5', port: 41234 }, destination: { ip: '2001:db8::7', port: 443 } }
  const cases: Record<string, [HeaderParts, object]> = {
    'for TCP over IPv4': [
      {},
      { command: 'proxy', source: SOURCE, destination: DESTINATION, vpcEndpoint: null },
    ],
    'for TCP over IPv6': [{ family: TCP6, addresses: ADDRESSES_V6 }, v6],
    'with IPv4-mapped IPv6 addresses, which are the IPv4 ones': [
      { family: TCP6, addresses: mapped },
      { source: SOURCE, destination: DESTINATION },
    ],
    'LOCAL without more': [
      { versionAndCommand: LOCAL, family: 0, addresses: Buffer.alloc(0) },
      { command: 'local', ...NOTHING },
    ],
    'LOCAL with addresses, which do not count': [
      { versionAndCommand: LOCAL },
      { command: 'local', ...NOTHING },
    ],
    'LOCAL of a family that would be refused': [
      { versionAndCommand: LOCAL, family: 0x32, addresses: Buffer.alloc(0) },
      { command: 'local', ...NOTHING },
    ],
    'LOCAL with bytes that are no TLVs': [
      { versionAndCommand: LOCAL, family: 0, addresses: Buffer.of(3, 0xff, 0xff) },
      { command: 'local', ...NOTHING },
    ],
    'PROXY of an unknown family': [
      { family: 0, addresses: Buffer.alloc(0) },
      { command: 'proxy', ...NOTHING },
    ],
    'PROXY of an unknown family with addresses of it': [
      { family: 0, addresses: Buffer.alloc(40, 0xff) },
      { command: 'proxy', ...NOTHING },
    ],
    'with the VPC endpoint of AWS': [{ tlvs: [vpcEndpoint(VPCE)] }, { source: SOURCE, vpcEndpoint: VPCE }],
    'with a VPC endpoint of the short form': [
      { tlvs: [vpcEndpoint('vpce-01234567')] },
      { vpcEndpoint: 'vpce-01234567' },
    ],
    'with another fact of AWS': [
      { tlvs: [tlv(0xea, Buffer.of(2, 0xff))] },
      { source: SOURCE, vpcEndpoint: null },
    ],
    'with another fact of AWS beside the VPC endpoint': [
      { tlvs: [tlv(0xea, Buffer.of(2)), vpcEndpoint(VPCE), tlv(0xea, Buffer.of(9, 1))] },
      { vpcEndpoint: VPCE },
    ],
    'with a right checksum': [{ checksum: true }, { source: SOURCE }],
    'with a right checksum over other TLVs': [
      { tlvs: [vpcEndpoint(VPCE), tlv(4, Buffer.alloc(3))], checksum: true },
      { vpcEndpoint: VPCE },
    ],
    'with padding, empty and not': [{ tlvs: [tlv(4, ''), tlv(4, Buffer.alloc(100))] }, { source: SOURCE }],
    'with TLVs that nobody here reads': [
      { tlvs: [tlv(1, 'h2'), tlv(2, 'x'), tlv(5, 'id'), tlv(0x20, ''), tlv(0x30, 'ns'), tlv(0xff, '?')] },
      { source: SOURCE, vpcEndpoint: null },
    ],
    'with the SPIFFE ID that ztunnel claims': [
      { tlvs: [tlv(0xd0, 'spiffe://example.org/admin')] },
      { command: 'proxy', source: SOURCE, destination: DESTINATION, vpcEndpoint: null },
    ],
    'of the longest length': [
      { tlvs: [tlv(4, Buffer.alloc(MAX_PROXY_HEADER_BYTES - 16 - 12 - 3))] },
      { length: MAX_PROXY_HEADER_BYTES, source: SOURCE },
    ],
  }
  test.each(Object.entries(cases))('%s', (_, [parts, expected]) => {
    const bytes = header(parts)
    expect(readProxyHeader(bytes)).toMatchObject({ state: 'done', length: bytes.length, ...expected })
    // And what follows belongs to the client, whatever it is.
    expect(readProxyHeader(Buffer.concat([bytes, SIGNATURE]))).toEqual(readProxyHeader(bytes))
  })

  test('shows no fact but these', () => {
    const result = readProxyHeader(header({ tlvs: [tlv(0xd0, 'spiffe://example.org/admin')] }))
    expect(Object.keys(result).sort()).toEqual(
      ['command', 'destination', 'length', 'source', 'state', 'vpcEndpoint'].sort(),
    )
  })
})

describe('refused', () => {
  const wrong = header({ checksum: true })
  wrong[wrong.length - 1] = (wrong.at(-1) ?? 0) ^ 1
  const elsewhere = header({ checksum: true })
  elsewhere[16] = 11
  // The first of two is right over the second; that there is a second is what must be seen.
  const two = header({ tlvs: [tlv(3, Buffer.alloc(4)), tlv(3, '1234')] })
  two.writeUInt32BE(bitwiseCrc32c(two), two.length - 11)
  const cases: Record<string, [Uint8Array, string]> = {
    'version 1': [Buffer.from('PROXY TCP4 10.0.0.5 10.0.1.7 41234 9902\r\n'), 'signature'],
    'a ClientHello': [Buffer.from('1603010200', 'hex'), 'signature'],
    'version 1 in the binary form': [header({ versionAndCommand: 0x11 }), 'version'],
    'version 3': [header({ versionAndCommand: 0x31 }), 'version'],
    'command 2': [header({ versionAndCommand: 0x22 }), 'command'],
    'command 15': [header({ versionAndCommand: 0x2f }), 'command'],
    'UDP over IPv4': [header({ family: 0x12 }), 'family'],
    'UDP over IPv6': [header({ family: 0x22, addresses: ADDRESSES_V6 }), 'family'],
    'a UNIX socket': [header({ family: 0x31, addresses: Buffer.alloc(216) }), 'family'],
    'a UNIX datagram': [header({ family: 0x32, addresses: Buffer.alloc(216) }), 'family'],
    'a family that does not exist': [header({ family: 0x41 }), 'family'],
    'IPv4 without a transport': [header({ family: 0x10 }), 'family'],
    'one byte too few for IPv4': [header({ addresses: ADDRESSES_V4.subarray(1) }), 'too-short'],
    'IPv4 addresses called IPv6': [header({ family: TCP6 }), 'too-short'],
    'no addresses': [header({ addresses: Buffer.alloc(0) }), 'too-short'],
    'one byte over the longest length': [header({ length: MAX_PROXY_HEADER_BYTES - 15 }), 'too-long'],
    'the longest length there is': [header({ length: 0xffff }), 'too-long'],
    'a TLV that overruns by one': [header({ tlvs: [tlv(4, 'abc', 4)] }), 'tlv'],
    'a TLV cut in its length': [header({ tlvs: [Buffer.of(4, 0)] }), 'tlv'],
    'a TLV of its type alone': [header({ tlvs: [tlv(1, 'h2'), Buffer.of(4)] }), 'tlv'],
    'a fact of AWS without a subtype': [header({ tlvs: [tlv(0xea, '')] }), 'tlv'],
    'a wrong checksum': [wrong, 'crc32c-mismatch'],
    'an address that the checksum does not cover': [elsewhere, 'crc32c-mismatch'],
    'two checksums': [two, 'crc32c-twice'],
    'a checksum of three bytes': [header({ tlvs: [tlv(3, 'abc')] }), 'crc32c-length'],
    'a checksum of five bytes': [header({ tlvs: [tlv(3, 'abcde')] }), 'crc32c-length'],
    'an empty checksum': [header({ tlvs: [tlv(3, '')] }), 'crc32c-length'],
    'two VPC endpoints': [
      header({ tlvs: [vpcEndpoint(VPCE), vpcEndpoint('vpce-01234567')] }),
      'vpc-endpoint-twice',
    ],
    'the same VPC endpoint twice': [
      header({ tlvs: [vpcEndpoint(VPCE), vpcEndpoint(VPCE)] }),
      'vpc-endpoint-twice',
    ],
    'an empty VPC endpoint': [header({ tlvs: [vpcEndpoint('')] }), 'vpc-endpoint-malformed'],
    'a VPC endpoint without digits': [header({ tlvs: [vpcEndpoint('vpce-')] }), 'vpc-endpoint-malformed'],
    'a VPC endpoint in capitals': [
      header({ tlvs: [vpcEndpoint('vpce-0123456789ABCDEF0')] }),
      'vpc-endpoint-malformed',
    ],
    'a VPC endpoint with a line end': [
      header({ tlvs: [vpcEndpoint(`${VPCE}\n`)] }),
      'vpc-endpoint-malformed',
    ],
    'a VPC endpoint behind other text': [
      header({ tlvs: [vpcEndpoint(`x${VPCE}`)] }),
      'vpc-endpoint-malformed',
    ],
    'a VPC endpoint with a NUL': [header({ tlvs: [vpcEndpoint(`${VPCE}\0`)] }), 'vpc-endpoint-malformed'],
    'a VPC endpoint of 65 digits': [
      header({ tlvs: [vpcEndpoint(`vpce-${'0'.repeat(65)}`)] }),
      'vpc-endpoint-malformed',
    ],
    'another resource of AWS': [header({ tlvs: [vpcEndpoint('vpc-01234567')] }), 'vpc-endpoint-malformed'],
  }
  test.each(Object.entries(cases))('%s', (_, [bytes, code]) => {
    expect(readProxyHeader(bytes)).toMatchObject({ state: 'refused', code })
  })

  test('a wrong byte of the signature, at once, and no right one', () => {
    for (let index = 0; index < SIGNATURE.length; index += 1) {
      const prefix = SIGNATURE.subarray(0, index)
      expect(readProxyHeader(prefix)).toEqual({ state: 'incomplete', need: 16 - index })
      const right = SIGNATURE[index] ?? 0
      for (const byte of [0, 0x16, 0xff, right ^ 1]) {
        if (byte === right) continue
        const result = readProxyHeader(Buffer.concat([prefix, Buffer.of(byte)]))
        expect(result).toMatchObject({ state: 'refused', code: 'signature' })
      }
    }
  })

  test.each<[string, HeaderParts, number, string]>([
    ['version', { versionAndCommand: 0x11 }, 13, 'version'],
    ['command', { versionAndCommand: 0x22 }, 13, 'command'],
    ['family', { family: 0x31 }, 14, 'family'],
    ['length, too long', { length: 5000 }, 16, 'too-long'],
    ['length, too short', { length: 11 }, 16, 'too-short'],
  ])('a wrong %s, as soon as it is there', (_, parts, length, code) => {
    const bytes = header(parts)
    expect(readProxyHeader(bytes.subarray(0, length - 1))).toMatchObject({ state: 'incomplete' })
    expect(readProxyHeader(bytes.subarray(0, length))).toMatchObject({ state: 'refused', code })
  })
})

describe('a second header', () => {
  test('is seen at the last byte of its signature', () => {
    const second = header()
    for (let length = 0; length < SIGNATURE.length; length += 1) {
      expect(checkNoSecondHeader(second.subarray(0, length))).toMatchObject({ state: 'incomplete' })
    }
    for (const length of [SIGNATURE.length, second.length]) {
      expect(checkNoSecondHeader(second.subarray(0, length))).toMatchObject({ code: 'second-header' })
    }
  })

  test('is excluded by the first byte of anything else', () => {
    expect(checkNoSecondHeader(Buffer.of(0x16))).toEqual({ state: 'none' })
    expect(checkNoSecondHeader(SIGNATURE.with(11, 0))).toEqual({ state: 'none' })
  })
})

/** Every prefix is incomplete until it is decided, and then the answer never changes. */
function expectStable(bytes: Uint8Array): void {
  let decided: unknown = null
  for (let length = 0; length <= bytes.length; length += 1) {
    const result = readProxyHeader(bytes.subarray(0, length))
    if (result.state === 'incomplete') {
      expect(decided).toBeNull()
      expect(result.need).toBeGreaterThan(0)
    } else if (decided === null) decided = result
    else expect(result).toEqual(decided)
  }
}

describe('properties', () => {
  const padding = fc.record({
    type: fc.integer({ min: 0, max: 255 }).filter((type) => type !== 3 && type !== 0xea),
    value: fc.uint8Array({ maxLength: 60 }),
  })
  const digits = fc.stringMatching(/^[0-9a-f]{8,17}$/)
  const written = fc.record({
    local: fc.boolean(),
    v6: fc.boolean(),
    ports: fc.tuple(fc.integer({ min: 0, max: 65535 }), fc.integer({ min: 0, max: 65535 })),
    hosts: fc.tuple(
      fc.uint8Array({ minLength: 16, maxLength: 16 }),
      fc.uint8Array({ minLength: 16, maxLength: 16 }),
    ),
    before: fc.array(padding, { maxLength: 4 }),
    endpoint: fc.option(digits),
    after: fc.array(padding, { maxLength: 4 }),
    checksum: fc.boolean(),
  })

  function encode(parts: typeof written extends fc.Arbitrary<infer T> ? T : never): Buffer {
    const ports = Buffer.alloc(4)
    ports.writeUInt16BE(parts.ports[0])
    ports.writeUInt16BE(parts.ports[1], 2)
    const size = parts.v6 ? 16 : 4
    return header({
      versionAndCommand: parts.local ? LOCAL : PROXY,
      family: parts.v6 ? TCP6 : 0x11,
      addresses: Buffer.concat([parts.hosts[0].subarray(0, size), parts.hosts[1].subarray(0, size), ports]),
      tlvs: [
        ...parts.before.map(({ type, value }) => tlv(type, value)),
        ...(parts.endpoint === null ? [] : [vpcEndpoint(`vpce-${parts.endpoint}`)]),
        ...parts.after.map(({ type, value }) => tlv(type, value)),
      ],
      checksum: parts.checksum,
    })
  }

  test('what is written is read', () => {
    fc.assert(
      fc.property(written, (parts) => {
        const bytes = encode(parts)
        const result = readProxyHeader(bytes)
        if (parts.local) {
          expect(result).toEqual({ state: 'done', length: bytes.length, command: 'local', ...NOTHING })
          return
        }
        expect(result).toMatchObject({
          state: 'done',
          length: bytes.length,
          source: { port: parts.ports[0] },
          destination: { port: parts.ports[1] },
          vpcEndpoint: parts.endpoint === null ? null : `vpce-${parts.endpoint}`,
        })
        if (!parts.v6) {
          expect(result).toMatchObject({
            source: { ip: parts.hosts[0].subarray(0, 4).join('.') },
            destination: { ip: parts.hosts[1].subarray(0, 4).join('.') },
          })
        }
      }),
    )
  })

  test('every prefix is incomplete until it is decided, and then the answer never changes', () => {
    fc.assert(
      fc.property(written, fc.uint8Array({ maxLength: 20 }), (parts, rest) => {
        expectStable(Buffer.concat([encode(parts), rest]))
      }),
      { numRuns: 50 },
    )
  })

  test('no one byte changed, put in or taken out makes it throw or waver', () => {
    fc.assert(
      fc.property(written, fc.nat(), fc.nat(255), fc.integer({ min: 0, max: 2 }), (parts, at, byte, kind) => {
        const bytes = [...encode(parts)]
        bytes.splice(at % bytes.length, kind === 0 ? 0 : 1, ...(kind === 2 ? [] : [byte]))
        expectStable(Uint8Array.from(bytes))
      }),
      { numRuns: 100 },
    )
  })

  test('with a checksum, any change of an address is refused', () => {
    fc.assert(
      fc.property(written, fc.nat(), fc.integer({ min: 1, max: 255 }), (parts, at, flip) => {
        const bytes = encode({ ...parts, local: false, checksum: true })
        const index = 16 + (at % (parts.v6 ? 36 : 12))
        bytes[index] = (bytes[index] ?? 0) ^ flip
        expect(readProxyHeader(bytes)).toMatchObject({ state: 'refused', code: 'crc32c-mismatch' })
      }),
    )
  })

  test('random bytes, behind a signature or not, never make it throw', () => {
    fc.assert(
      fc.property(fc.boolean(), fc.uint8Array({ maxLength: 300 }), (signed, bytes) => {
        expectStable(signed ? Buffer.concat([SIGNATURE, Buffer.of(PROXY, 0x11, 0, 60), bytes]) : bytes)
      }),
      { numRuns: 50 },
    )
  })
})
