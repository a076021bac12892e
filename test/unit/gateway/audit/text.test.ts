import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { cut, encodedBytes, toLine } from '../../../../gateway/audit/text.ts'

describe('toLine', () => {
  const hostile: Record<string, string> = {
    'a line feed cannot begin a second record': 'a\n{"event":"session"}',
    'a carriage return cannot overwrite the line': 'a\rb',
    'an escape sequence cannot reach a terminal': '\u001b[2J\u001b]0;title\u0007',
    'a C1 escape sequence cannot either': '\u009b2J',
    'a line separator does not split for readers that take it as one': 'a\u2028b\u2029c\u0085d',
    'bidirectional formatting cannot reorder what is shown': '\u202egro.knab\u202c \u2066x\u2069 \u061c',
    'invisible characters show': 'a\u200bb\u00adc\ufeffd\u2060e',
    'tag characters beyond the basic plane show': 'a\u{e0041}b',
    'a lone surrogate stays valid UTF-8': 'a\ud800b',
  }
  test.each(Object.entries(hostile))('%s', (_, text) => {
    const line = toLine({ text })
    expect(line).toMatch(/^[\u0020-\u007e\u00a0-\uffff]*$/)
    expect(line).not.toMatch(/[\u0080-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\udb40]/)
    expect(JSON.parse(line)).toEqual({ text })
  })

  test('any text is read back as it was, from one line', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const line = toLine({ text })
        expect(line).not.toMatch(/[\n\r]/)
        expect(JSON.parse(line)).toEqual({ text })
      }),
    )
  })
})

describe('cut', () => {
  test('a text that fits is left alone', () => {
    expect(cut('api.bank.example', 16)).toBe('api.bank.example')
  })

  test('a longer one keeps its start and is marked', () => {
    expect(cut('a'.repeat(100), 20)).toBe(`${'a'.repeat(12)}…[cut]`)
  })

  test('the budget holds for any text, as the record encodes it', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary', maxLength: 300 }),
        fc.integer({ min: 16, max: 200 }),
        (text, max) => {
          const result = cut(text, max)
          expect(encodedBytes(result)).toBeLessThanOrEqual(max)
          if (result !== text) {
            expect(encodedBytes(text)).toBeGreaterThan(max)
            expect(text.startsWith(result.slice(0, -'…[cut]'.length))).toBe(true)
          }
        },
      ),
    )
  })

  test('a character is never cut in two', () => {
    expect(cut('😀'.repeat(20), 17)).toBe('😀😀…[cut]')
  })
})
