// The host grammar: what is one spelling of a host, and what is refused before anything looks it up.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isIP } from 'node:net'
import { domainToASCII } from 'node:url'
import { meantByOctets, parseHost, parseHostPort } from '../../../../gateway/destinations/host.ts'

describe('a host', () => {
  const good: Record<string, [string, string]> = {
    'a name': ['api.bank.example', 'api.bank.example'],
    'a name in capitals': ['API.Bank.Example', 'api.bank.example'],
    'a name with a trailing dot': ['api.bank.example.', 'api.bank.example'],
    'one label': ['bank', 'bank'],
    Punycode: ['xn--bcher-kva.example', 'xn--bcher-kva.example'],
    'Punycode in capitals': ['XN--BCHER-KVA.Example', 'xn--bcher-kva.example'],
    'Punycode of what UTS 46 once mapped away': ['xn--strae-oqa.example', 'xn--strae-oqa.example'],
    'Punycode of a symbol': ['xn--53h.example', 'xn--53h.example'],
    'Punycode with a zero-width non-joiner where Persian has one': [
      'xn--mgba3gch31f060k.example',
      'xn--mgba3gch31f060k.example',
    ],
    'a top level in Punycode': ['bank.xn--fiqs8s', 'bank.xn--fiqs8s'],
    'two hyphens in third place without xn': ['r3---sn-a.example', 'r3---sn-a.example'],
    'digits in front of a letter': ['3com.example', '3com.example'],
    'a name of 253 with a trailing dot': [`${'a.'.repeat(125)}abc.`, `${'a.'.repeat(125)}abc`],
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
    'a name of 254': [`${'a.'.repeat(125)}test`, 'too-long'],
    'a name of 255': [`${'a.'.repeat(126)}abb`, 'too-long'],
    'a hyphen at an end of a label': ['-a.example', 'label'],
    'a hyphen at the other end': ['a-.example', 'label'],
    'an underscore': ['a_b.example', 'character'],
    'a space': ['a b.example', 'character'],
    NUL: ['bank.example\0.evil.example', 'character'],
    'a line break': ['bank.example\r\nx', 'character'],
    'a percent sign': ['bank%2eexample', 'character'],
    userinfo: ['user@bank.example', 'character'],
    'a path': ['bank.example/x', 'character'],
    'a label xn-- alone': ['xn--a.xn--.example', 'punycode'],
    'Punycode that does not decode': ['xn--99999999.example', 'punycode'],
    'Punycode of a control character': ['xn--bank-0.example', 'punycode'],
    'Punycode of ASCII alone': ['xn--abc-.example', 'label'],
    'Punycode of a capital': ['xn--wca.example', 'punycode'],
    'Punycode of a full-width digit': ['xn--8g7c.0.0.1.example', 'punycode'],
    'Punycode of a soft hyphen': ['xn--bank-rga.example', 'punycode'],
    'Punycode of a full-width dot': ['xn--ab-yu3n.example', 'punycode'],
    'Punycode of a decomposed letter': ['xn--bucher-xyd.example', 'punycode'],
    'Punycode of a joiner between Latin letters': ['xn--ab-m1t.example', 'punycode'],
    'Punycode of a combining mark at the start': ['xn--a-bcb.example', 'punycode'],
    'Punycode of a right-to-left label that begins with a digit': ['xn--1-0hc.example', 'punycode'],
    'Punycode of a code point that Unicode has not': ['xn--zva.example', 'punycode'],
    'octal IPv4': ['0177.0.0.1', 'numeric'],
    'octal in each part': ['0300.0250.01.01', 'numeric'],
    'one octal number': ['017700000001', 'numeric'],
    'IPv4 with a leading zero': ['127.0.0.01', 'numeric'],
    'three parts': ['127.0.1', 'numeric'],
    'one hexadecimal number': ['0x7f000001', 'numeric'],
    'hexadecimal in each part': ['0x7f.0x0.0x0.0x1', 'numeric'],
    'hexadecimal in capitals': ['0X7F.1', 'numeric'],
    'a number beyond 32 bits': ['4294967297', 'numeric'],
    'a long run of zeros': ['00000000000000000000000000000177.1', 'numeric'],
    'a negative number': ['-1', 'label'],
    'a number with a sign': ['+127.0.0.1', 'character'],
    'a name that ends in a number': ['bank.example.1', 'numeric'],
    'short IPv4': ['127.1', 'numeric'],
    'one number': ['2130706433', 'numeric'],
    'hexadecimal IPv4': ['0x7f.1', 'numeric'],
    'hexadecimal without digits': ['a.0x', 'numeric'],
    'IPv4 with a trailing dot': ['127.0.0.1.', 'numeric'],
    'five octets': ['1.2.3.4.5', 'numeric'],
    'an octet over 255': ['256.0.0.1', 'numeric'],
    'full-width digits': ['１２７.0.0.1', 'not-ascii'],
    'Arabic digits': ['١٢٧.0.0.1', 'not-ascii'],
    'circled digits': ['①②⑦.0.0.1', 'not-ascii'],
    'mathematical digits': ['𝟏𝟐𝟕.0.0.1', 'not-ascii'],
    'an ideographic full stop': ['127。0。0。1', 'not-ascii'],
    'a soft hyphen': ['ba\u00adnk.example', 'not-ascii'],
    'a soft hyphen alone': ['\u00ad', 'not-ascii'],
    'a zero-width space': ['bank\u200b.example', 'not-ascii'],
    'a right-to-left override': ['bank\u202e.example', 'not-ascii'],
    'half a surrogate pair': ['bank\ud800.example', 'not-ascii'],
    'a ligature': ['ﬁn.example', 'not-ascii'],
    'the Kelvin sign': ['ban\u212a.example', 'not-ascii'],
    'a full-width dot': ['bank\uff0eexample', 'not-ascii'],
    'IPv6 without brackets': ['2001:db8::1', 'ipv6'],
    'IPv6 with a zone': ['[fe80::1%eth0]', 'ipv6'],
    'IPv6 with an encoded zone': ['[fe80::1%25eth0]', 'ipv6'],
    'IPv6 with a zone of digits': ['[fe80::1%1]', 'ipv6'],
    'IPv4 mapped, with a zone': ['[::ffff:127.0.0.1%lo]', 'ipv6'],
    'IPv6 that is none': ['[::g]', 'ipv6'],
    'an address of the future': ['[v1.fe80::1]', 'ipv6'],
    'mapped octal IPv4': ['[::ffff:0177.0.0.1]', 'ipv6'],
    'brackets in brackets': ['[[::1]]', 'ipv6'],
    'IPv6 and a dot': ['[::1].', 'ipv6'],
    'IPv4 in brackets': ['[127.0.0.1]', 'ipv6'],
    'an open bracket': ['[::1', 'ipv6'],
    'something behind the bracket': ['[::1]x', 'ipv6'],
    'a name in brackets': ['[bank.example]', 'ipv6'],
  }
  test.each(Object.entries(bad))('%s is refused', (_name, [text, code]) => {
    expect(parseHost(text)).toMatchObject({ ok: false, code })
  })

  test.each([
    ['bücher.example', ': write xn--bcher-kva.example'],
    ['BÜCHER.example.', ': write xn--bcher-kva.example'],
    ['straße.example', ': write xn--strae-oqa.example'],
    // What these would be mapped to has nothing in Punycode, so that it is another name, or an address.
    ['ｂａｎｋ.example', ''],
    ['ba\u00adnk.example', ''],
    ['１２７.0.0.1', ''],
    ['１２７.1', ''],
    ['bü\0cher.example', ''],
  ])('the Unicode name %j is refused with its Punycode form as a hint, where it has one', (text, hint) => {
    const message = `the host has a character that is not ASCII${hint}`
    expect(parseHost(text)).toEqual({ ok: false, code: 'not-ascii', message })
    // As it comes over the wire, each octet a character.
    const wire = Buffer.from(text).toString('latin1')
    expect(parseHost(meantByOctets(wire))).toEqual({ ok: false, code: 'not-ascii', message })
  })

  test('text of the wire that is not UTF-8 is what its octets are in Latin-1', () => {
    expect(meantByOctets('b\u00fccher')).toBe('bücher')
    expect(meantByOctets('bank.example')).toBe('bank.example')
  })

  test('a name that is taken is the same to whoever reads it as a URL', () => {
    const label = fc.oneof(
      fc.stringMatching(/^[a-z0-9-]{1,8}$/),
      fc.stringMatching(/^xn--[a-z0-9-]{1,8}$/),
      fc.string({ minLength: 1, maxLength: 3 }).map((text) => domainToASCII(text)),
    )
    const name = fc.array(label, { minLength: 1, maxLength: 3 }).map((labels) => labels.join('.'))
    fc.assert(
      fc.property(name, (text) => {
        const parsed = parseHost(text)
        if (!parsed.ok) return
        expect(new URL(`https://${text}`).hostname.replace(/\.$/, '')).toBe(parsed.host)
      }),
      { numRuns: 2_000 },
    )
  })

  test('a name in capitals is the same name, and as bad where it is none', () => {
    // Of parts that lie at each border of the grammar; in capitals none is its own one spelling at first sight.
    const part = fc.constantFrom(
      ...['a', 'b-c', '-', '.', '0', '7f', '0x', 'xn--', 'mnchen-3ya', 'com', 'a'.repeat(62), 'b'.repeat(63)],
    )
    const text = fc.array(part, { minLength: 1, maxLength: 8 }).map((parts) => parts.join(''))
    fc.assert(
      fc.property(text, (name) => {
        expect(parseHost(name)).toEqual(parseHost(name.toUpperCase()))
      }),
      { numRuns: 2_000 },
    )
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
