// The parsers that read what comes first on a connection: PROXY header, ClientHello, CONNECT request.
import { isDeepStrictEqual } from 'node:util'
import { ClientHelloReader, MAX_HELLO_BYTES } from '../../gateway/listeners/client-hello.ts'
import { MAX_REQUEST_BYTES, readH1Request } from '../../gateway/listeners/h1-request.ts'
import {
  checkNoSecondHeader,
  MAX_PROXY_HEADER_BYTES,
  readProxyHeader,
} from '../../gateway/listeners/proxy-protocol.ts'
import { EXTENSIONS, extension, hello, inRecords, name, serverName } from '../fixtures/client-hello.ts'
import { ADDRESSES_V6, header, LOCAL, TCP6, tlv, vpcEndpoint } from '../fixtures/proxy-header.ts'
import type { Random } from './random.ts'
import { checkPrefixes, type FuzzTarget, promise, segments } from './target.ts'

function checkClientHello(input: Uint8Array, random: Random): void {
  const whole = new ClientHelloReader().push(input)
  const reader = new ClientHelloReader()
  let result = reader.push(new Uint8Array(0))
  for (const segment of segments(input, random)) {
    const before = result
    result = reader.push(segment)
    promise(before.state === 'incomplete' || result === before, 'what was decided has changed')
    promise(reader.bufferedBytes <= MAX_HELLO_BYTES, 'more is held than the longest message')
  }
  promise(isDeepStrictEqual(result, whole), 'segments make a difference')
  if (result.state === 'done')
    promise(result.hello.recordsLength <= input.length, 'more consumed than there was')
  if (result.state !== 'incomplete')
    promise(reader.push(random.bytes(9)) === result, 'what was decided has changed')
}

function checkProxyHeader(input: Uint8Array, random: Random): void {
  checkPrefixes(input, random, (prefix) => {
    const result = readProxyHeader(prefix)
    if (result.state !== 'incomplete') return result
    promise(prefix.length + result.need <= MAX_PROXY_HEADER_BYTES, 'more is awaited than the longest header')
    promise(result.need > 0, 'nothing is awaited, and yet it is incomplete')
    return null
  })
  checkPrefixes(input, random, (prefix) => {
    const result = checkNoSecondHeader(prefix)
    return result.state === 'incomplete' ? null : result
  })
}

function checkH1Request(input: Uint8Array, random: Random): void {
  checkPrefixes(input, random, (prefix) => {
    const result = readH1Request(Buffer.from(prefix))
    if (result.kind === 'incomplete') {
      promise(prefix.length < MAX_REQUEST_BYTES, 'more is awaited than the longest request')
      return null
    }
    if (result.kind === 'refused') return result
    promise(
      Buffer.from(prefix)
        .subarray(-result.rest.length || prefix.length)
        .equals(result.rest),
      'another rest',
    )
    return result.request
  })
}

const MESSAGE = hello()
const request = (...lines: readonly string[]) => Buffer.from(`${lines.join('\r\n')}\r\n\r\n`)

export const LISTENER_TARGETS: readonly FuzzTarget[] = [
  {
    name: 'client-hello',
    samples: [
      inRecords(MESSAGE),
      inRecords(MESSAGE, [1]),
      inRecords(MESSAGE, [3, 500, 40]),
      inRecords(hello({ extensions: [serverName(name('a.example'))] })),
      inRecords(hello({ extensions: null, legacyVersion: 0x0301 })),
      inRecords(hello({ extensions: [...EXTENSIONS, extension(21, Buffer.alloc(40_000))] })),
    ],
    check: checkClientHello,
  },
  {
    name: 'proxy-header',
    samples: [
      header(),
      header({ checksum: true, tlvs: [vpcEndpoint('vpce-0123456789abcdef0'), tlv(4, 'xx')] }),
      header({ family: TCP6, addresses: ADDRESSES_V6, tlvs: [tlv(0xd0, 'spiffe://a/b')], checksum: true }),
      header({ versionAndCommand: LOCAL, family: 0, addresses: Buffer.alloc(0) }),
      header({ tlvs: [tlv(5, Buffer.alloc(3000))] }),
    ],
    check: checkProxyHeader,
  },
  {
    name: 'h1-request',
    samples: [
      request('CONNECT partner.test:443 HTTP/1.1', 'Host: partner.test:443', 'User-Agent: x'),
      request('CONNECT [2001:db8::1]:5432 HTTP/1.1', 'Host: [2001:db8::1]', 'Content-Length: 0'),
      request('CONNECT partner.test:443 HTTP/1.0'),
      request('CONNECT a.test:1 HTTP/1.1', 'Host: a.test', 'Proxy-Authorization: Basic dG9rZW46YS5iLmM='),
    ],
    check: checkH1Request,
  },
]
