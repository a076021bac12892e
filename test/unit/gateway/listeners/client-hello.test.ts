// The legal and the illegal forms of a ClientHello. Records, segments and random bytes: client-hello-stream.test.ts.
import { describe, expect, test } from 'vitest'
import { ClientHelloReader, MAX_HELLO_BYTES } from '../../../../gateway/listeners/client-hello.ts'
import {
  alpn,
  extension,
  type HelloParts,
  hello,
  inRecords,
  keyShare,
  name,
  SERVER_NAME,
  serverName,
  supportedVersions,
  vector16,
} from '../../../fixtures/client-hello.ts'

const read = (bytes: Uint8Array) => new ClientHelloReader().push(bytes)
const NONE = Buffer.alloc(0)
const LONGEST = `${`${'a'.repeat(62)}.`.repeat(4)}a`

describe('a ClientHello', () => {
  const cases: Record<string, [HelloParts, object]> = {
    'of a browser, with GREASE, ECH and a post-quantum key share': [
      {},
      {
        serverName: SERVER_NAME,
        ech: true,
        alpn: ['\u008a\u008a', 'h2', 'http/1.1'],
        legacyVersion: 0x0303,
        supportedVersions: [0x2a2a, 0x0304, 0x0303],
      },
    ],
    'without an extensions block': [
      { extensions: null, legacyVersion: 0x0301 },
      { serverName: null, ech: false, alpn: [], legacyVersion: 0x0301, supportedVersions: [] },
    ],
    'with an empty extensions block': [{ extensions: [] }, { serverName: null, alpn: [] }],
    'without a server name': [{ extensions: [alpn('h2')] }, { serverName: null, alpn: ['h2'] }],
    'with a server name in capitals': [
      { extensions: [serverName(name('API.Bank.Example'))] },
      { serverName: SERVER_NAME },
    ],
    'with a server name of 253 bytes': [
      {
        extensions: [serverName(name(LONGEST))],
      },
      { serverName: LONGEST },
    ],
    'with a server name of one label': [{ extensions: [serverName(name('db'))] }, { serverName: 'db' }],
    'with a server name in Punycode': [
      { extensions: [serverName(name('xn--bcher-kva.example'))] },
      { serverName: 'xn--bcher-kva.example' },
    ],
    'without a session id': [{ sessionId: NONE }, { serverName: SERVER_NAME }],
    'with old compression methods beside null': [
      { compression: Buffer.of(1, 64, 0) },
      { serverName: SERVER_NAME },
    ],
    'with one cipher suite': [{ cipherSuites: Buffer.of(0x13, 1) }, { serverName: SERVER_NAME }],
    'with a version above TLS 1.2, which servers must tolerate': [
      { legacyVersion: 0x0304 },
      { legacyVersion: 0x0304 },
    ],
    'with an ALPN name of 255 bytes': [{ extensions: [alpn('x'.repeat(255))] }, { alpn: ['x'.repeat(255)] }],
    'with key shares for ML-KEM-1024 and two more': [
      { extensions: [keyShare(1568 + 97), extension(52, Buffer.alloc(1216)), serverName(name('a.example'))] },
      { serverName: 'a.example' },
    ],
    'with empty data in an extension that nobody here reads': [
      { extensions: [extension(23, NONE), extension(35, NONE), serverName(name('a.example'))] },
      { serverName: 'a.example' },
    ],
  }
  test.each(Object.entries(cases))('%s', (_, [parts, expected]) => {
    const bytes = inRecords(hello(parts))
    expect(read(bytes)).toMatchObject({ state: 'done', hello: { ...expected, recordsLength: bytes.length } })
  })

  test('of the longest length, in records of every size that still fits', () => {
    const rest = MAX_HELLO_BYTES - hello({ extensions: [extension(21, NONE)] }).length
    const bytes = hello({ extensions: [extension(21, Buffer.alloc(rest))] })
    expect(bytes.length).toBe(MAX_HELLO_BYTES)
    for (const size of [6, 100, 2 ** 14])
      expect(read(inRecords(bytes, [size]))).toMatchObject({ state: 'done' })
  })
})

describe('a server name refused', () => {
  const cases: Record<string, [Uint8Array, string]> = {
    'two names': [serverName(name('a.example'), name('b.example')), 'server-name-twice'],
    'the same name twice': [serverName(name('a.example'), name('a.example')), 'server-name-twice'],
    'an empty list': [serverName(), 'server-name-list-empty'],
    'no list': [extension(0, NONE), 'malformed'],
    'a name of an unknown type': [serverName(name('a.example', 1)), 'server-name-type'],
    'a name of an unknown type behind a host name': [
      serverName(name('a.example'), name('b.example', 255)),
      'server-name-type',
    ],
    'bytes behind the list': [
      extension(0, Buffer.concat([vector16(name('a.example')), Buffer.of(0)])),
      'trailing-bytes',
    ],
    'a name longer than its list': [extension(0, vector16(Buffer.of(0, 0, 9), 'a.exampl')), 'malformed'],
    'a list longer than its extension': [extension(0, Buffer.of(0, 9, 0, 0, 1, 0x61)), 'malformed'],
    'an empty name': [serverName(name('')), 'server-name-empty'],
    'an IPv4 address': [serverName(name('10.0.0.1')), 'server-name-address'],
    'an IPv6 address': [serverName(name('2001:db8::1')), 'server-name-address'],
    'an IPv6 address with a zone': [serverName(name('fe80::1%eth0')), 'server-name-address'],
    'an IPv6 address in brackets': [serverName(name('[2001:db8::1]')), 'server-name-address'],
    'half an IPv6 address': [serverName(name('2001:db8')), 'server-name-invalid'],
    'a number that others read as an address': [serverName(name('127.1')), 'server-name-address'],
    'a hexadecimal address': [serverName(name('0x7f.1')), 'server-name-address'],
    'a trailing dot': [serverName(name('api.bank.example.')), 'server-name-trailing-dot'],
    'a dot alone': [serverName(name('.')), 'server-name-trailing-dot'],
    'a NUL inside': [serverName(name('api.bank.example\0.evil.example')), 'server-name-nul'],
    'a NUL at the end': [serverName(name('api.bank.example\0')), 'server-name-nul'],
    'UTF-8': [serverName(name(Buffer.from('bücher.example'))), 'server-name-not-ascii'],
    'full-width digits': [serverName(name(Buffer.from('１２７.0.0.1'))), 'server-name-not-ascii'],
    '254 bytes': [serverName(name(`${LONGEST}a`)), 'server-name-too-long'],
    '60,000 bytes': [serverName(name('a'.repeat(60_000))), 'server-name-too-long'],
    'a label of 64': [serverName(name(`${'a'.repeat(64)}.example`)), 'server-name-invalid'],
    'an empty label': [serverName(name('api..example')), 'server-name-invalid'],
    'a leading dot': [serverName(name('.example')), 'server-name-invalid'],
    'a leading hyphen': [serverName(name('-a.example')), 'server-name-invalid'],
    'an underscore': [serverName(name('_sip.example')), 'server-name-invalid'],
    'a wildcard': [serverName(name('*.example')), 'server-name-invalid'],
    'white space': [serverName(name('api.bank.example ')), 'server-name-invalid'],
    'a line end': [serverName(name('api.bank.example\r\n')), 'server-name-invalid'],
    'a port': [serverName(name('api.bank.example:443')), 'server-name-invalid'],
    'a path': [serverName(name('api.bank.example/x')), 'server-name-invalid'],
  }
  test.each(Object.entries(cases))('%s', (_, [bytes, code]) => {
    const result = read(inRecords(hello({ extensions: [alpn('h2'), bytes] })))
    expect(result).toMatchObject({ state: 'refused', code })
    // Nothing of the name but its Punycode.
    expect(JSON.stringify(result).replace(': write xn--bcher-kva.example', '')).not.toContain('example')
  })
})

describe('a ClientHello refused', () => {
  const extensions = (...list: readonly Uint8Array[]) => hello({ extensions: list })
  const cases: Record<string, [Uint8Array, string]> = {
    'one extension twice': [extensions(alpn('h2'), alpn('http/1.1')), 'extension-twice'],
    'two server_name extensions': [
      extensions(serverName(name('a.example')), serverName(name('b.example'))),
      'extension-twice',
    ],
    'an unknown extension twice': [
      extensions(extension(0x9999, NONE), extension(0x9999, NONE)),
      'extension-twice',
    ],
    'the same GREASE extension twice': [
      extensions(extension(0x0a0a, NONE), extension(0x0a0a, NONE)),
      'extension-twice',
    ],
    'bytes behind the extensions': [hello({ trailing: Buffer.of(0) }), 'trailing-bytes'],
    'an extension that overruns': [extensions(Buffer.of(0, 16, 0, 9, 0)), 'malformed'],
    'an extension cut in its length': [extensions(Buffer.of(0, 16, 0)), 'malformed'],
    'a session id of 33 bytes': [hello({ sessionId: Buffer.alloc(33) }), 'session-id'],
    'no cipher suite': [hello({ cipherSuites: NONE }), 'cipher-suites'],
    'half a cipher suite': [hello({ cipherSuites: Buffer.of(0x13, 1, 0x13) }), 'cipher-suites'],
    'no compression method': [hello({ compression: NONE }), 'compression'],
    'no null compression method': [hello({ compression: Buffer.of(1) }), 'compression'],
    'SSL 3.0': [hello({ legacyVersion: 0x0300 }), 'version'],
    'a version of no TLS': [hello({ legacyVersion: 0xfefd }), 'version'],
    'an empty ALPN list': [extensions(alpn()), 'alpn'],
    'an empty ALPN name': [extensions(alpn('h2', '')), 'alpn'],
    'bytes behind the ALPN list': [
      extensions(extension(16, Buffer.concat([vector16(Buffer.of(2), 'h2'), Buffer.of(0)]))),
      'trailing-bytes',
    ],
    'an ALPN name that overruns': [extensions(extension(16, vector16(Buffer.of(3), 'h2'))), 'malformed'],
    'no supported version': [extensions(supportedVersions()), 'supported-versions'],
    'half a supported version': [extensions(extension(43, Buffer.of(3, 3, 4, 3))), 'supported-versions'],
    'bytes behind the supported versions': [
      extensions(extension(43, Buffer.of(2, 3, 4, 0))),
      'trailing-bytes',
    ],
    'an empty message': [Buffer.of(1, 0, 0, 0), 'malformed'],
    'a random cut short': [Buffer.concat([Buffer.of(1, 0, 0, 20), Buffer.alloc(20, 3)]), 'malformed'],
    'a message that ends with the compression methods’ length': [
      Buffer.concat([Buffer.of(1, 0, 0, 40, 3, 3), Buffer.alloc(33), Buffer.of(0, 2, 0x13, 1, 9)]),
      'malformed',
    ],
    'a ServerHello': [Buffer.of(2, 0, 0, 0), 'handshake-type'],
    'a HelloRequest': [Buffer.of(0, 0, 0, 0), 'handshake-type'],
    'a message of 64 KiB and one byte': [Buffer.of(1, 0, 0xff, 0xfd), 'too-long'],
    'the longest message there is': [Buffer.of(1, 0xff, 0xff, 0xff), 'too-long'],
  }
  test.each(Object.entries(cases))('%s', (_, [message, code]) => {
    expect(read(inRecords(message))).toMatchObject({ state: 'refused', code })
  })
})
