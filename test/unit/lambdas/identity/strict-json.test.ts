// JSON from outside: what JSON.parse takes and two readers could read differently is refused.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MAX_JSON_DEPTH, parseStrictJson } from '../../../../lambdas/identity/strict-json.ts'

describe('parseStrictJson', () => {
  it('gives what JSON.parse gives for every value that was written by JSON.stringify', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6, noUnicodeString: false }), (value) => {
        const text = JSON.stringify(value)
        fc.pre(!text.includes('__proto__'))
        expect(parseStrictJson(text)).toEqual(JSON.parse(text))
      }),
    )
  })

  it('finds a repeated key wherever it stands', () => {
    fc.assert(
      fc.property(fc.string(), fc.jsonValue({ maxDepth: 2 }), (key, value) => {
        fc.pre(key !== '__proto__')
        const pair = `${JSON.stringify(key)}:${JSON.stringify(value)}`
        const text = `[1,{"other#":{${pair},"x#":[{}],${pair}}}]`
        expect(() => parseStrictJson(text)).toThrow(
          expect.objectContaining({ code: expect.stringMatching(/^json-/) }),
        )
      }),
    )
  })

  const refused: Record<string, [string, string]> = {
    'two equal keys': ['{"a":1,"a":1}', 'json-repeated-key'],
    'two keys that are equal only after unescaping': ['{"sub":1,"s\\u0075b":2}', 'json-repeated-key'],
    'a repeated key after a nested object': ['{"a":{"b":1},"a":2}', 'json-repeated-key'],
    'the key __proto__': ['{"__proto__":{}}', 'json-forbidden-key'],
    'deep nesting': ['['.repeat(MAX_JSON_DEPTH + 1) + ']'.repeat(MAX_JSON_DEPTH + 1), 'json-too-deep'],
    'text after the value': ['{} {}', 'json-malformed'],
    'a comment': ['{/* */}', 'json-malformed'],
    nothing: ['', 'json-malformed'],
  }
  it.each(Object.entries(refused))('refuses %s', (_name, [text, code]) => {
    expect(() => parseStrictJson(text)).toThrow(expect.objectContaining({ code }))
  })

  const accepted: Record<string, string> = {
    'equal keys in two objects': '[{"a":1},{"a":1}]',
    'a key that is also a value': '{"a":"a","b":["a","a"]}',
    'quotes and braces inside text': '{"a":"\\"{[,:","b":"}"}',
    'the deepest nesting allowed': '['.repeat(MAX_JSON_DEPTH) + ']'.repeat(MAX_JSON_DEPTH),
  }
  it.each(Object.entries(accepted))('accepts %s', (_name, text) => {
    expect(parseStrictJson(text)).toEqual(JSON.parse(text))
  })

  it('never quotes its input in a message', () => {
    expect(() => parseStrictJson('{"secret-token')).toThrow(/^not JSON$/)
  })
})
