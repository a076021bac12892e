// The host grammar: what is one spelling of a host, and what is refused before anything looks it up.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isIP } from 'node:net'
import { parseHost, parseHostPort } from '../../../../gateway/destinations/host.ts'

describe('a host', () => {
  const good: Record<string, [string, string]> = {
    'a name': ['api.bank.example', 'api.bank.example'],
    'a name in capitals': ['API.Bank.Example', 'api.bank.example'],
    'a name with a trailing dot': ['api.bank.example.', 'api.bank.example'],
    'one label': ['bank', 'bank'],
    Punycode: ['xn--bcher-kva.example', 'xn--bcher-kva.example'],
    'digits in front of a letter': ['3com.example', '3com.example'],
    'a label of 63': [`${'a'.repeat(63)}.example`, `${'a'.repeat(63)}.example`],
    IPv4: ['203.0.113.9', '203.0.113.9'],
    'IPv6 in brackets, in its short form': ['[2001:DB8:0:0::1]', '2001:db8::1'],
    'IPv4 mapped into IPv6 is IPv4': ['[::ffff:127.0.0.1]', '127.0.0.1'],
    'IPv4 mapped in hexadecimal is IPv4': ['[::ffff:7f00:1]', '127.0.0.1'],
  }
  test.each(Object.entries(good))('%s', (_name, [text, host]) => {
    expect(parseHost(text)).toMatchObject({ ok: true, host })
  })

  const bad: Record<string, [string, string]> = {
    nothing: ['', 'empty'],
    'a dot alone': ['.', 'label'],
    'two dots': ['a..example', 'label'],
    'two trailing dots': ['a.example..', 'label'],
    'a leading dot': ['.example', 'label'],
    'a label of 64': [`${'a'.repeat(64)}.example`, 'label'],
    'a name of 254': [`${'a.'.repeat(126)}abb`, 'too-long'],
    'a hyphen at an end of a label': ['-a.example', 'label'],
    'a hyphen at the other end': ['a-.example', 'label'],
    'an underscore': ['a_b.example', 'character'],
    'a space': ['a b.example', 'character'],
    NUL: ['bank.example\0.evil.example', 'character'],
    'a line break': ['bank.example\r\nx', 'character'],
    'a percent sign': ['bank%2eexample', 'character'],
    userinfo: ['user@bank.example', 'character'],
    'a path': ['bank.example/x', 'character'],
    'octal IPv4': ['0177.0.0.1', 'numeric'],
    'short IPv4': ['127.1', 'numeric'],
    'one number': ['2130706433', 'numeric'],
    'hexadecimal IPv4': ['0x7f.1', 'numeric'],
    'hexadecimal without digits': ['a.0x', 'numeric'],
    'IPv4 with a trailing dot': ['127.0.0.1.', 'numeric'],
    'five octets': ['1.2.3.4.5', 'numeric'],
    'an octet over 255': ['256.0.0.1', 'numeric'],
    'full-width digits': ['１２７.0.0.1', 'not-ascii'],
    'a soft hyphen': ['ba\u00adnk.example', 'not-ascii'],
    'the Kelvin sign': ['ban\u212a.example', 'not-ascii'],
    'a full-width dot': ['bank\uff0eexample', 'not-ascii'],
    'IPv6 without brackets': ['2001:db8::1', 'ipv6'],
    'IPv6 with a zone': ['[fe80::1%eth0]', 'ipv6'],
    'IPv6 with an encoded zone': ['[fe80::1%25eth0]', 'ipv6'],
    'IPv6 that is none': ['[::g]', 'ipv6'],
    'IPv4 in brackets': ['[127.0.0.1]', 'ipv6'],
    'an open bracket': ['[::1', 'ipv6'],
    'something behind the bracket': ['[::1]x', 'ipv6'],
    'a name in brackets': ['[bank.example]', 'ipv6'],
  }
  test.each(Object.entries(bad))('%s is refused', (_name, [text, code]) => {
    expect(parseHost(text)).toMatchObject({ ok: false, code })
  })

  test('a Unicode name is refused with its Punycode form as a hint', () => {
    expect(parseHost('bücher.example')).toMatchObject({
      message: expect.stringContaining('xn--bcher-kva.example'),
    })
  })

  test('what comes out is a fixed point, has no capital or odd character, and is an address if it looks like one', () => {
    const piece = fc.constantFrom(
      'a',
      'B',
      '0',
      '7',
      '.',
      '-',
      '_',
      ':',
      '[',
      ']',
      'x',
      '%',
      'xn--',
      '127',
      'ü',
      '\0',
      '@',
    )
    const text = fc.oneof(
      fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join('')),
      fc.ipV4(),
      fc.ipV6().map((address) => `[${address}]`),
      fc.domain(),
      fc.string({ maxLength: 20 }),
    )
    fc.assert(
      fc.property(text, (input) => {
        const parsed = parseHost(input)
        if (!parsed.ok) {
          expect(parsed.message).not.toMatch(/[^\x20-\x7e]/)
          return
        }
        expect(parsed.host).toMatch(/^[a-z0-9.:-]+$/)
        expect(isIP(parsed.host) !== 0).toBe(parsed.kind === 'address')
        const again = parseHost(parsed.host.includes(':') ? `[${parsed.host}]` : parsed.host)
        expect(again).toEqual(parsed)
      }),
      { numRuns: 2_000 },
    )
  })
})

describe('host:port', () => {
  test.each<[string, string, number]>([
    ['bank.example:443', 'bank.example', 443],
    ['[::1]:65535', '::1', 65_535],
    ['10.0.0.1:1', '10.0.0.1', 1],
  ])('%s', (text, host, port) => {
    expect(parseHostPort(text)).toMatchObject({ ok: true, host, port })
  })

  test.each([
    'bank.example',
    'bank.example:',
    'bank.example:0',
    'bank.example:65536',
    'bank.example:0443',
    'bank.example:+443',
    'bank.example: 443',
    'bank.example:443 ',
    'bank.example:4e2',
    'bank.example:443:443',
    'bank.example:４４３',
    ':443',
    '[::1]443',
    '::1:443',
    'https://bank.example:443',
    'user:pass@bank.example:443',
    '443',
    '',
  ])('"%s" is refused', (text) => {
    expect(parseHostPort(text).ok).toBe(false)
  })
})
