import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  checkSegment,
  parseSpiffeId,
  parseTrustDomain,
  SpiffeIdError,
  type SpiffeIdErrorCode,
} from '../../../spiffe/id.ts'
import { errorOf } from './errors.ts'
import { idParts, idText, SEGMENT_BYTES, segment, TRUST_DOMAIN_BYTES, trustDomain } from './ids.ts'

const LONGEST_TRUST_DOMAIN = 'a'.repeat(255)
const LONGEST_ID = `spiffe://td/${'a'.repeat(2048 - 'spiffe://td/'.length)}`

describe('an ID that the standard allows', () => {
  const cases: Record<string, readonly [text: string, trustDomain: string, path: string]> = {
    'a workload': ['spiffe://example.org/payments/api', 'example.org', '/payments/api'],
    'a trust domain alone': ['spiffe://example.org', 'example.org', ''],
    'a dotted IPv4 address as trust domain': ['spiffe://10.0.0.1/a', '10.0.0.1', '/a'],
    'every byte that a trust domain may hold': [`spiffe://${TRUST_DOMAIN_BYTES}/a`, TRUST_DOMAIN_BYTES, '/a'],
    'every byte that a segment may hold': [`spiffe://td/${SEGMENT_BYTES}`, 'td', `/${SEGMENT_BYTES}`],
    'capitals in the path': ['spiffe://td/NS/Sa', 'td', '/NS/Sa'],
    'three dots are a name like any other': ['spiffe://td/.../..a/.b', 'td', '/.../..a/.b'],
    'a trust domain of 255 bytes': [`spiffe://${LONGEST_TRUST_DOMAIN}/a`, LONGEST_TRUST_DOMAIN, '/a'],
    'an ID of 2048 bytes': [LONGEST_ID, 'td', LONGEST_ID.slice('spiffe://td'.length)],
    'the scheme once more in the path': ['spiffe://td/spiffe', 'td', '/spiffe'],
  }
  test.each(Object.entries(cases))('%s', (_, [text, trustDomain, path]) => {
    expect(parseSpiffeId(text)).toEqual({ trustDomain, path, uri: text })
  })

  test('cannot be changed after it is read', () => {
    expect(parseSpiffeId('spiffe://td/a')).toSatisfy(Object.isFrozen)
  })
})

describe('an ID that the standard forbids', () => {
  const cases: Record<string, readonly [text: string, code: SpiffeIdErrorCode]> = {
    nothing: ['', 'empty'],
    'an ID of 2049 bytes': [`${LONGEST_ID}a`, 'too-long'],
    'a megabyte': [`spiffe://td/${'a'.repeat(1_000_000)}`, 'too-long'],
    'another scheme': ['https://example.org/a', 'scheme'],
    'a scheme that only begins alike': ['spiffes://example.org/a', 'scheme'],
    'no scheme': ['example.org/a', 'scheme'],
    'one slash behind the scheme': ['spiffe:/example.org/a', 'scheme'],
    'a scheme in capitals': ['SPIFFE://example.org/a', 'scheme'],
    'one capital in the scheme': ['Spiffe://example.org/a', 'scheme'],
    'a blank in front': [' spiffe://example.org/a', 'scheme'],
    'a byte order mark in front': ['\uFEFFspiffe://example.org/a', 'scheme'],
    'the scheme alone': ['spiffe://', 'trust-domain'],
    'no trust domain before the path': ['spiffe:///a', 'trust-domain'],
    'a trust domain of 256 bytes': [`spiffe://${LONGEST_TRUST_DOMAIN}a/a`, 'trust-domain'],
    'a trust domain in capitals': ['spiffe://Example.org/a', 'trust-domain'],
    'a port': ['spiffe://example.org:8443/a', 'trust-domain'],
    userinfo: ['spiffe://root@example.org/a', 'trust-domain'],
    'a password': ['spiffe://a:b@example.org/a', 'trust-domain'],
    'an IPv6 address': ['spiffe://[::1]/a', 'trust-domain'],
    'an escape in the trust domain': ['spiffe://ex%61mple.org/a', 'trust-domain'],
    'a trust domain that is not ASCII': ['spiffe://exämple.org/a', 'trust-domain'],
    'a Cyrillic look-alike in the trust domain': ['spiffe://ex\u0430mple.org/a', 'trust-domain'],
    'a query without a path': ['spiffe://example.org?a=b', 'trust-domain'],
    'a fragment without a path': ['spiffe://example.org#a', 'trust-domain'],
    'a line break behind the trust domain': ['spiffe://example.org\n', 'trust-domain'],
    'a root path': ['spiffe://example.org/', 'trailing-slash'],
    'a trailing slash': ['spiffe://example.org/a/', 'trailing-slash'],
    'two trailing slashes': ['spiffe://example.org/a//', 'trailing-slash'],
    'an empty segment': ['spiffe://example.org/a//b', 'path-segment'],
    'an empty first segment': ['spiffe://example.org//a', 'path-segment'],
    'a segment "."': ['spiffe://example.org/a/./b', 'path-segment'],
    'a segment ".."': ['spiffe://example.org/ns/../sa', 'path-segment'],
    'a last segment ".."': ['spiffe://example.org/a/..', 'path-segment'],
    'an escaped slash': ['spiffe://example.org/a%2Fb', 'path-segment'],
    'an escaped dot segment': ['spiffe://example.org/%2e%2e/a', 'path-segment'],
    'a query': ['spiffe://example.org/a?b=c', 'path-segment'],
    'an empty query': ['spiffe://example.org/a?', 'path-segment'],
    'a fragment': ['spiffe://example.org/a#b', 'path-segment'],
    'a path that is not ASCII': ['spiffe://example.org/é', 'path-segment'],
    'a colon, as in claims of GitLab': ['spiffe://example.org/repo:main', 'path-segment'],
    'a NUL byte': ['spiffe://example.org/a\0', 'path-segment'],
    'a line break at the end': ['spiffe://example.org/a\n', 'path-segment'],
    'a backslash': ['spiffe://example.org/a\\b', 'path-segment'],
    'a wildcard': ['spiffe://example.org/*', 'path-segment'],
  }
  test.each(Object.entries(cases))('%s', (_, [text, code]) => {
    expect(errorOf(() => parseSpiffeId(text), SpiffeIdError).code).toBe(code)
  })
})

describe('each of the first 1024 characters', () => {
  const characters = Array.from({ length: 1024 }, (_, code) => String.fromCharCode(code))
  const accepted = (parse: (character: string) => unknown) =>
    characters.filter((character) => {
      try {
        parse(character)
        return true
      } catch {
        return false
      }
    })
  const sorted = (bytes: string) => Array.from(bytes).sort()

  test('in a trust domain is accepted if the standard lists it', () => {
    expect(accepted((character) => parseTrustDomain(`a${character}b`)).sort()).toEqual(
      sorted(TRUST_DOMAIN_BYTES),
    )
  })

  test('in a path is accepted if the standard lists it or it parts two segments', () => {
    expect(accepted((character) => parseSpiffeId(`spiffe://td/a${character}b`)).sort()).toEqual(
      sorted(`${SEGMENT_BYTES}/`),
    )
    expect(accepted((character) => checkSegment(`a${character}b`)).sort()).toEqual(sorted(SEGMENT_BYTES))
  })
})

test('an error does not repeat the text, which a peer chose', () => {
  for (const text of ['hunter2', 'spiffe://hunter2!', 'spiffe://td/hunter2/', 'spiffe://td/hunter2!']) {
    expect(errorOf(() => parseSpiffeId(text), SpiffeIdError).message).not.toContain('hunter2')
  }
})

describe('properties', () => {
  test('every ID made of allowed parts is read as these parts and keeps its text', () => {
    fc.assert(
      fc.property(idParts, (parts) => {
        const text = idText(parts)
        const id = parseSpiffeId(text)
        expect(id.uri).toBe(text)
        expect(id.trustDomain).toBe(parts.trustDomain)
        expect(id.path.split('/').slice(1)).toEqual(parts.segments)
        expect(`spiffe://${id.trustDomain}${id.path}`).toBe(text)
      }),
    )
  })

  test('two texts that are read are never one identity', () => {
    fc.assert(
      fc.property(idParts, idParts, (a, b) => {
        const [one, other] = [parseSpiffeId(idText(a)), parseSpiffeId(idText(b))]
        expect(one.trustDomain === other.trustDomain && one.path === other.path).toBe(idText(a) === idText(b))
      }),
    )
  })

  /** The grammar of SPIFFE-ID.md §2 written once more, as one expression. */
  const GRAMMAR = /^spiffe:\/\/[a-z0-9._-]{1,255}(?:\/(?!\.{1,2}(?:\/|$))[A-Za-z0-9._-]+)*$/
  const near = fc
    .array(
      fc.oneof(trustDomain, segment, fc.constantFrom('/', '.', '..', 'spiffe://', '%2e', '?', '#', ':', 'A')),
    )
    .map((parts) => `spiffe://${parts.join('/')}`)
  const anyText = fc.oneof(
    near,
    fc.string({ unit: 'binary' }),
    fc.webUrl(),
    fc.string().map((text) => `spiffe://td/${text}`),
  )

  test('any text is read exactly if the grammar allows it, and nothing but SpiffeIdError is thrown', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        if (GRAMMAR.test(text) && text.length <= 2048) expect(parseSpiffeId(text).uri).toBe(text)
        else errorOf(() => parseSpiffeId(text), SpiffeIdError)
      }),
      { numRuns: 1000 },
    )
  })
})
