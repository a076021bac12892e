import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { countPolicies, readPolicy } from '../../../../gateway/policy/cedar.ts'
import { lineOfByte, MAX_NESTING, MAX_OPERATORS, readStatements } from '../../../../gateway/policy/source.ts'

const texts = (text: string) => readStatements('f', text).map((one) => one.text)

describe('readStatements', () => {
  const cases: Record<string, readonly [text: string, expected: readonly string[]]> = {
    nothing: ['', []],
    'comments alone': ['// a;\n  // b', []],
    'a semicolon in a string': ['a "x;y" b;c;', ['a "x;y" b;', 'c;']],
    'an escaped quote in a string': ['a "x\\";y";c;', ['a "x\\";y";', 'c;']],
    'an escaped backslash at the end of a string': ['a "x\\\\";c;', ['a "x\\\\";', 'c;']],
    'a comment mark in a string': ['a "//";c;', ['a "//";', 'c;']],
    'a quote in a comment': ['a // "\n;c;', ['a // "\n;', 'c;']],
    'a comment that a carriage return ends': ['// a\rb;', ['b;']],
    'a comment that a line separator does not end': ['// a\u2028b;', []],
    'a rest without a semicolon is kept': ['a;b', ['a;', 'b']],
    'an unterminated string is kept': ['a;b "c;', ['a;', 'b "c;']],
    'a lone semicolon is a statement': [';', [';']],
  }
  test.each(Object.entries(cases))('%s', (_, [text, expected]) => {
    expect(texts(text)).toEqual(expected)
  })

  test('counts lines, nesting and operators, and keeps the strings', () => {
    const [, second] = readStatements('f', '// 1\na;\n\n  ([{"b"}])\n&& "c" . d when -1 + if;')
    expect(second).toMatchObject({
      line: 4,
      nesting: 3,
      operators: 6,
      strings: [
        { raw: 'b', line: 4 },
        { raw: 'c', line: 5 },
      ],
    })
  })

  test('finds the policies that Cedar finds, whatever stands in comments and strings', () => {
    const noise = fc.stringMatching(/^[;"'\\/{}()@a é\t\u2028]{0,8}$/)
    const policy = fc.tuple(noise, noise, noise).map(([comment, text, gap]) => {
      const id = JSON.stringify(text).replaceAll('\\t', '\\t')
      return `// ${comment}\n@id(${id}) // ${gap}\npermit(principal is Workload, action, resource)\nwhen { context.listener != ${id} };`
    })
    fc.assert(
      fc.property(fc.array(policy, { maxLength: 13 }), (policies) => {
        const text = policies.join('\n')
        const answer = countPolicies(text)
        const statements = readStatements('f', text)
        expect(answer.type).toBe('success')
        if (answer.type === 'success') expect(statements).toHaveLength(answer.policies.length)
        for (const [index, statement] of statements.entries()) {
          expect(statement.line).toBe(index * 4 + 2)
          expect(readPolicy(statement.text).kind).toBe('policy')
        }
      }),
      { numRuns: 100 },
    )
  })

  test('is fast on a text of nothing but quotes and backslashes', () => {
    expect(readStatements('f', `"${'\\"'.repeat(500_000)}`)).toHaveLength(1)
  })
})

test('lineOfByte counts bytes and not characters', () => {
  expect(lineOfByte('ééé\nb', 6)).toBe(1)
  expect(lineOfByte('ééé\nb', 7, 10)).toBe(11)
})

describe('what the limits let through does not overflow the engine', () => {
  const nest = (open: string, inner: string, close: string) =>
    open.repeat(MAX_NESTING - 1) + inner + close.repeat(MAX_NESTING - 1)
  // `when` counts too.
  const chain = (operand: string, operator: string) =>
    operand + `${operator}${operand}`.repeat(MAX_OPERATORS - 1)
  const shapes: Record<string, string> = {
    brackets: nest('(', 'true', ')'),
    sets: `${nest('[', 'true', ']')} == [true]`,
    records: `${nest('{a:', 'true', '}')} == {a: true}`,
    'a chain': chain('true', ' && '),
    'a chain of sums': `${chain('1', ' + ').slice(0, -4)} > 0`,
    conditions: `${'if true then true else '.repeat(MAX_OPERATORS - 1)}true`,
    'conditions in conditions': `${'if '.repeat(MAX_OPERATORS - 1)}true${' then true else true'.repeat(MAX_OPERATORS - 1)}`,
    members: `context${'.a'.repeat(MAX_OPERATORS - 1)}`,
    'brackets below a chain, the worst of all': `${'('.repeat(MAX_NESTING - 1)}${chain('true', ' || ')}${')'.repeat(MAX_NESTING - 1)}`,
  }
  test.each(Object.entries(shapes))('%s', (_, expression) => {
    const text = `@id("a") permit(principal is Workload, action, resource) when { ${expression} };`
    const [statement] = readStatements('f', text)
    expect(statement?.nesting).toBeLessThanOrEqual(MAX_NESTING)
    expect(statement?.operators).toBeLessThanOrEqual(MAX_OPERATORS)
    expect(countPolicies(text).type).toBe('success')
    expect(readPolicy(text).kind).toBe('policy')
  })
})
