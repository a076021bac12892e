// SPIFFE IDs made of claims: two tuples of claims never give one ID, and nothing is repaired (attacks 35, 36, 37).
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseTemplate } from '../../../../../lambdas/identity/registrations/template.ts'

const expand = (template: string, claims: Record<string, string>): string =>
  parseTemplate(template).expand(new Map(Object.entries(claims))).uri

describe('a SPIFFE ID template', () => {
  it('takes claims by name', () => {
    const id = expand('spiffe://example.org/ci/{repository_id}/env-{environment}', {
      repository_id: '77',
      environment: 'prod',
    })
    expect(id).toBe('spiffe://example.org/ci/77/env-prod')
  })

  const malformed: Record<string, string> = {
    'two claims in one segment': 'spiffe://example.org/{a}-{b}',
    'a claim in the trust domain': 'spiffe://{a}/b',
    'a claim in part of the trust domain': 'spiffe://{a}.example.org/b',
    'no path': 'spiffe://example.org',
    'an empty path': 'spiffe://example.org/',
    'a brace that never closes': 'spiffe://example.org/{a',
    'a brace that never opens': 'spiffe://example.org/a}',
    'an empty name': 'spiffe://example.org/{}',
    'a name with a slash': 'spiffe://example.org/{a/b}',
    'nested braces': 'spiffe://example.org/{{a}}',
    'another scheme': 'https://example.org/{a}',
    'a segment of two dots': 'spiffe://example.org/../{a}',
    'an empty segment': 'spiffe://example.org//{a}',
    'a line break': 'spiffe://example.org/{a}\n',
  }
  it.each(Object.entries(malformed))('is refused with %s', (_name, text) => {
    expect(() => parseTemplate(text)).toThrow()
  })

  const unusable: Record<string, string> = {
    'a slash': 'a/b',
    'an encoded slash': 'a%2fb',
    'two dots': '..',
    'one dot': '.',
    nothing: '',
    'an at sign': 'owner@1',
    'a colon': 'repo:x',
    'a space': 'a b',
    'a line break': 'a\n',
    NUL: 'a\0',
    'a letter outside ASCII': 'é',
    'a Unicode dot': '\uFF0E',
    '2,100 characters': 'a'.repeat(2100),
  }
  it.each(Object.entries(unusable))('attack 35: refuses a claim that is %s', (_name, value) => {
    expect(() => expand('spiffe://example.org/ci/{claim}', { claim: value })).toThrow()
  })

  it('attack 35: refuses every byte that a path segment cannot hold, and keeps every other as it is', () => {
    for (let code = 0; code < 256; code++) {
      const value = `a${String.fromCharCode(code)}`
      const allowed = /^[A-Za-z0-9._-]+$/.test(value)
      if (allowed) expect(expand('spiffe://e/{c}', { c: value })).toBe(`spiffe://e/${value}`)
      else expect(() => expand('spiffe://e/{c}', { c: value })).toThrow()
    }
  })

  it('refuses dots that only fixed text around them completes', () => {
    expect(() => expand('spiffe://example.org/.{c}', { c: '.' })).toThrow()
  })

  it('attack 37: refuses a missing claim, by its name', () => {
    expect(() => expand('spiffe://example.org/{a}/{b}', { a: 'x' })).toThrow(
      expect.objectContaining({ code: 'template-claim-missing', message: expect.stringContaining(' b') }),
    )
  })

  it('attack 36: never gives one ID to two tuples of claims', () => {
    const value = fc.stringMatching(/^[A-Za-z0-9._-]{1,4}$/)
    const text = fc.stringMatching(/^[a-c.-]{0,2}$/)
    const shape = fc.array(fc.tuple(text, text), { minLength: 1, maxLength: 3 })
    fc.assert(
      fc.property(shape, fc.array(value, { minLength: 6, maxLength: 6 }), (segments, values) => {
        const names = segments.map((_, index) => `c${index}`)
        const template = `spiffe://example.org/${segments.map(([a, b], i) => `${a}{c${i}}${b}`).join('/')}`
        const tuple = (offset: number) =>
          Object.fromEntries(names.map((n, i) => [n, values[offset + i] ?? 'x']))
        const [one, two] = [tuple(0), tuple(3)]
        let ids: string[]
        try {
          ids = [expand(template, one), expand(template, two)]
        } catch {
          return
        }
        expect(ids[0] === ids[1]).toBe(JSON.stringify(one) === JSON.stringify(two))
      }),
      { numRuns: 2000 },
    )
  })
})
