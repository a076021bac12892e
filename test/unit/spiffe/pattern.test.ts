import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseSpiffeId, SpiffeIdError, type SpiffeIdErrorCode } from '../../../spiffe/id.ts'
import { parseSpiffeIdPattern } from '../../../spiffe/pattern.ts'
import { errorOf } from './errors.ts'

function matches(pattern: string, id: string): boolean {
  return parseSpiffeIdPattern(pattern).matches(parseSpiffeId(id))
}

describe('what a pattern matches', () => {
  const cases: Record<string, { pattern: string; matches: readonly string[]; not: readonly string[] }> = {
    'an exact ID is that ID alone': {
      pattern: 'spiffe://td/a/b',
      matches: ['spiffe://td/a/b'],
      not: ['spiffe://td/a', 'spiffe://td/a/b/c', 'spiffe://td/a/B', 'spiffe://td/a/bb', 'spiffe://td2/a/b'],
    },
    'a trust domain without path is its own ID alone': {
      pattern: 'spiffe://td',
      matches: ['spiffe://td'],
      not: ['spiffe://td/a', 'spiffe://td.evil'],
    },
    '/* is exactly one segment': {
      pattern: 'spiffe://td/a/*',
      matches: ['spiffe://td/a/b', 'spiffe://td/a/.b', 'spiffe://td/a/...', 'spiffe://td/a/B-_.9'],
      not: ['spiffe://td/a', 'spiffe://td/a/b/c', 'spiffe://td/ab', 'spiffe://td/b/b', 'spiffe://td/x/a/b'],
    },
    '/** is one segment or more': {
      pattern: 'spiffe://td/a/**',
      matches: [
        'spiffe://td/a/b',
        'spiffe://td/a/b/c/d',
        'spiffe://td/a/.b/.c',
        'spiffe://td/a/.well-known/x',
      ],
      not: ['spiffe://td/a', 'spiffe://td', 'spiffe://td/ab', 'spiffe://td/ab/c', 'spiffe://td/A/b'],
    },
    'a whole trust domain, one segment deep': {
      pattern: 'spiffe://td/*',
      matches: ['spiffe://td/a', 'spiffe://td/.a'],
      not: ['spiffe://td', 'spiffe://td/a/b', 'spiffe://td.evil/a', 'spiffe://other/td/a'],
    },
    'a whole trust domain without its own ID': {
      pattern: 'spiffe://td/**',
      matches: ['spiffe://td/a', 'spiffe://td/a/b/c'],
      not: ['spiffe://td', 'spiffe://td.evil/a', 'spiffe://xtd/a'],
    },
    'a dot in a pattern is a dot': {
      pattern: 'spiffe://a.b/c.d/*',
      matches: ['spiffe://a.b/c.d/e'],
      not: ['spiffe://axb/c.d/e', 'spiffe://a.b/cxd/e'],
    },
  }
  test.each(Object.entries(cases))('%s', (_, { pattern, matches: yes, not }) => {
    expect(yes.filter((id) => matches(pattern, id))).toEqual(yes)
    expect(not.filter((id) => matches(pattern, id))).toEqual([])
  })

  test('it keeps its text, for records', () => {
    expect(parseSpiffeIdPattern('spiffe://td/a/**').text).toBe('spiffe://td/a/**')
    expect(parseSpiffeIdPattern('spiffe://td/a').text).toBe('spiffe://td/a')
  })
})

describe('what is no pattern', () => {
  const cases: Record<string, readonly [text: string, code: SpiffeIdErrorCode]> = {
    nothing: ['', 'empty'],
    'a wildcard alone': ['*', 'pattern'],
    'a wildcard without slash': ['spiffe://*', 'pattern'],
    'a wildcard as the end of a segment': ['spiffe://td/a*', 'pattern'],
    'a wildcard as the beginning of a segment': ['spiffe://td/*a', 'pattern'],
    'a wildcard in the middle': ['spiffe://td/*/a', 'pattern'],
    'two wildcards': ['spiffe://td/*/*', 'pattern'],
    'a double wildcard in the middle': ['spiffe://td/**/a', 'pattern'],
    'three stars': ['spiffe://td/***', 'pattern'],
    'a wildcard in the trust domain': ['spiffe://*.td/a', 'pattern'],
    'a trailing slash behind a wildcard': ['spiffe://td/*/', 'pattern'],
    'a line break behind a wildcard': ['spiffe://td/*\n', 'pattern'],
    'an empty segment before the wildcard': ['spiffe://td/a//*', 'pattern'],
    'a scheme in capitals': ['SPIFFE://td/*', 'pattern'],
    'another scheme': ['https://td/*', 'pattern'],
    'no trust domain': ['spiffe:///*', 'trust-domain'],
    'a trust domain in capitals': ['spiffe://Td/*', 'trust-domain'],
    'a trust domain of 256 bytes': [`spiffe://${'a'.repeat(256)}/*`, 'trust-domain'],
    'a port': ['spiffe://td:1/**', 'trust-domain'],
    'a segment ".." before the wildcard': ['spiffe://td/../*', 'path-segment'],
    'a segment "." before the wildcard': ['spiffe://td/./**', 'path-segment'],
    'an escape before the wildcard': ['spiffe://td/%61/*', 'path-segment'],
    'an exact ID that is none': ['spiffe://td/a/', 'trailing-slash'],
  }
  test.each(Object.entries(cases))('%s', (_, [text, code]) => {
    expect(errorOf(() => parseSpiffeIdPattern(text), SpiffeIdError).code).toBe(code)
  })
})

describe('properties', () => {
  // Few names, so that patterns and IDs meet often, and names that are prefixes of each other.
  const trustDomain = fc.constantFrom('td', 'td.x', 't')
  const segments = (minLength: number) =>
    fc.array(fc.constantFrom('a', 'ab', '.a', 'A', '...'), { minLength, maxLength: 4 })
  const id = fc
    .tuple(trustDomain, segments(0))
    .map(([trustDomain, segments]) => ['spiffe:/', trustDomain, ...segments].join('/'))
  const wildcard = fc.constantFrom('', '/*', '/**')

  /** The promise of the design as an expression over segments. */
  function oracle(prefix: string, wildcard: string): RegExp {
    const tail = { '': '', '/*': '/[^/]+', '/**': '(?:/[^/]+)+' }[wildcard]
    return new RegExp(`^${prefix.replaceAll('.', '\\.')}${tail}$`)
  }

  test('a pattern matches what an expression over segments matches', () => {
    fc.assert(
      fc.property(id, wildcard, id, (prefix, wildcard, text) => {
        expect(matches(`${prefix}${wildcard}`, text)).toBe(oracle(prefix, wildcard).test(text))
      }),
      { numRuns: 2000 },
    )
  })

  test('what lies below an ID is matched by /**, and by /* if it is one segment', () => {
    fc.assert(
      fc.property(id, segments(1), (prefix, below) => {
        const text = [prefix, ...below].join('/')
        expect(matches(`${prefix}/**`, text)).toBe(true)
        expect(matches(`${prefix}/*`, text)).toBe(below.length === 1)
      }),
    )
  })

  test('no text makes it throw anything but SpiffeIdError', () => {
    const starry = fc
      .string({ unit: fc.constantFrom(...Array.from('*/.a%:\n')) })
      .map((text) => `spiffe://${text}`)
    fc.assert(
      fc.property(fc.oneof(starry, fc.string({ unit: 'binary' })), (text) => {
        try {
          parseSpiffeIdPattern(text)
        } catch (error) {
          expect(error).toBeInstanceOf(SpiffeIdError)
        }
      }),
      { numRuns: 1000 },
    )
  })
})
