import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import * as z from 'zod'
import { formatFault } from '../../../common/fault.ts'
import { loadYamlFile, MAX_YAML_LENGTH } from '../../../common/yaml-file.ts'

const SCHEMA = z.strictObject({
  name: z.string(),
  count: z.int().min(1).max(9).optional(),
  mode: z.enum(['fast', 'slow']).default('fast'),
  items: z.array(z.strictObject({ tls: z.string(), ports: z.array(z.int()).min(1) })).default([]),
  labels: z.record(z.string(), z.string()).optional(),
  roots: z.union([z.literal('system'), z.strictObject({ file: z.string() })]).optional(),
  proof: z
    .discriminatedUnion('kind', [
      z.strictObject({ kind: z.literal('oidc'), issuer: z.string() }),
      z.strictObject({ kind: z.literal('aws') }),
    ])
    .optional(),
  key: z.string().startsWith('file:', 'expected file:<path>').optional(),
  even: z
    .number()
    .refine((value) => value % 2 === 0, { error: 'is odd', params: { remedy: 'add one' } })
    .optional(),
})

/** The lines that an operator would see. */
function faults(text: string, schema: z.ZodType = SCHEMA): readonly string[] {
  const result = loadYamlFile({ file: 'a.yaml', text }, schema)
  return result.ok ? [] : result.faults.map(formatFault)
}

describe('a file that fits the schema', () => {
  const text =
    'name: a\n\nitems:\n  - tls: x\n    ports: [1,\n      2]\n  - &b {tls: y, ports: [3]}\n  - *b\nlabels: {a.b: c}\n'
  const result = loadYamlFile({ file: 'a.yaml', text }, SCHEMA)
  if (!result.ok) throw new Error(result.faults.map(formatFault).join('\n'))

  test('gives the value with the defaults of the schema', () => {
    expect(result.value).toMatchObject({ name: 'a', mode: 'fast', labels: { 'a.b': 'c' } })
    expect(result.value.items[2]).toEqual({ tls: 'y', ports: [3] })
  })

  test.each([
    [['name'], 1],
    [['items'], 3],
    [['items', 0], 4],
    [['items', 0, 'ports', 1], 6],
    [['items', 2, 'ports'], 7],
    [['labels', 'a.b'], 9],
    [['items', 0, 'absent'], 4],
    [['items', 9], 3],
    [['absent'], null],
    [[], null],
  ])('lineOf(%j) is %j', (path, line) => {
    expect(result.lineOf(path)).toBe(line)
  })
})

const FAULTS: Record<string, { text: string; lines: readonly string[] }> = {
  'an unknown key names the nearest one': {
    text: 'name: a\ncuont: 1',
    lines: ['a.yaml:2: cuont: unknown key "cuont" (did you mean "count"?)'],
  },
  'an unknown key that is near to none lists all': {
    text: 'name: a\nroots: {elephant: 1, file: a}',
    lines: [
      'a.yaml:2: roots.elephant: unknown key "elephant" (the nearest known key is "file"; known here: file)',
    ],
  },
  'an unknown key below a list': {
    text: 'name: a\nitems:\n  - tls: a\n    port: [1]\n    ports: [1]',
    lines: ['a.yaml:4: items[0].port: unknown key "port" (did you mean "ports"?)'],
  },
  'all faults come at once, by line': {
    text: 'labels: {a: 1}\ncount: 0\nmode: medium\nname: a\nitems: [{tls: true, ports: []}]',
    lines: [
      'a.yaml:1: labels.a: expected text, found 1 (put it in quotes)',
      'a.yaml:2: count: expected at least 1, found 0',
      'a.yaml:3: mode: expected fast or slow, found "medium"',
      'a.yaml:5: items[0].tls: expected text, found true (put it in quotes)',
      'a.yaml:5: items[0].ports: expected at least 1 entry, found an empty list',
    ],
  },
  'a missing key has the line of the mapping that lacks it': {
    text: 'name: a\nitems:\n  - ports: [1]',
    lines: ['a.yaml:3: items[0].tls: missing; expected text (add it)'],
  },
  'an empty file': { text: '', lines: ['a.yaml: expected a mapping, found nothing'] },
  'a list where a mapping belongs': { text: '- a', lines: ['a.yaml: expected a mapping, found a list'] },
  'text where a list belongs is one fault, not two': {
    text: 'name: a\nitems: [{tls: a, ports: ""}]',
    lines: ['a.yaml:2: items[0].ports: expected a list, found "" (put it in square brackets)'],
  },
  'a number in quotes': {
    text: 'name: a\ncount: "3"',
    lines: ['a.yaml:2: count: expected a number, found "3" (leave out the quotes)'],
  },
  'no branch of a union': {
    text: 'name: a\nroots: 7',
    lines: ['a.yaml:2: roots: expected system, or a mapping, found 7'],
  },
  'the one branch of a union whose type fits': {
    text: 'name: a\nroots: {file: 7}',
    lines: ['a.yaml:2: roots.file: expected text, found 7 (put it in quotes)'],
  },
  'an unknown discriminator': {
    text: 'name: a\nproof: {kind: saml}',
    lines: ['a.yaml:2: proof.kind: expected oidc or aws, found "saml"'],
  },
  'a remedy from the schema': { text: 'name: a\neven: 3', lines: ['a.yaml:2: even: is odd (add one)'] },
  'a key with a dot': {
    text: 'name: a\nlabels: {"a.b": 1}',
    lines: ['a.yaml:2: labels["a.b"]: expected text, found 1 (put it in quotes)'],
  },
  '__proto__ is an unknown key and no prototype': {
    text: 'name: a\n__proto__: {count: 1}',
    lines: [expect.stringContaining('a.yaml:2: __proto__: unknown key "__proto__"')],
  },
  'a value that would break the line': {
    text: 'name: a\nmode: "x\\nb.yaml:1: forged"',
    lines: ['a.yaml:2: mode: expected fast or slow, found "x\\nb.yaml:1: forged"'],
  },
  'a key twice': {
    text: 'name: a\ncount: 1\nname: b',
    lines: ['a.yaml:3: name: this key stands twice in one mapping (remove one of them)'],
  },
  'a tab': { text: 'items:\n\t- a', lines: ['a.yaml:2: a tab in the indentation (indent with spaces)'] },
  'two documents': {
    text: 'name: a\n---\nname: b',
    lines: ['a.yaml:2: more than one document (one file is one document: remove the line ---)'],
  },
  'a tag': {
    text: 'name: !env HOME',
    lines: ['a.yaml:1: an unknown tag (remove it: tags are not used here)'],
  },
  'a key that is a list': {
    text: '? [name]\n: a',
    lines: ['a.yaml:1: a key that is no text (a key is one word or a text in quotes)'],
  },
  'a bracket that is not closed': {
    text: 'name: a\nitems: [',
    lines: [expect.stringMatching(/^a\.yaml:2: not YAML: .*\]/)],
  },
  'an alias without its anchor': { text: 'name: *a', lines: [expect.stringContaining('Unresolved alias')] },
  'a merge key is a key like others': {
    text: 'name: a\nitems: [{<<: {tls: a}, tls: b, ports: [1]}]',
    lines: [expect.stringContaining('unknown key "<<"')],
  },
}

describe('faults', () => {
  test.each(Object.entries(FAULTS))('%s', (_name, { text, lines }) => {
    expect(faults(text)).toEqual(lines)
  })

  test('YAML 1.2: yes and no are text, also where the file asks for 1.1', () => {
    const text = '%YAML 1.1\n---\nname: no\nlabels: {a: yes, 011: on}'
    const result = loadYamlFile({ file: 'a.yaml', text }, SCHEMA)
    expect(result).toMatchObject({ ok: true, value: { name: 'no', labels: { a: 'yes', '011': 'on' } } })
  })
})

describe('limits', () => {
  test('the size', () => {
    expect(faults(`name: a\n#${'x'.repeat(MAX_YAML_LENGTH)}`)).toEqual([
      `a.yaml: longer than ${MAX_YAML_LENGTH} characters`,
    ])
  })

  test('the depth', () => {
    expect(faults('['.repeat(200_000))).toEqual(['a.yaml: nested too deeply'])
  })

  test('aliases that multiply', () => {
    const bomb = [
      'a: &a [x,x,x,x,x,x,x,x]',
      'b: &b [*a,*a,*a,*a,*a,*a,*a,*a]',
      'c: [*b,*b,*b,*b,*b,*b,*b,*b]',
    ]
    expect(faults(bomb.join('\n'))).toEqual([expect.stringContaining('Excessive alias count')])
  })

  test('an alias of itself', () => {
    expect(faults('name: a\nitems: &a [*a]')).not.toEqual([])
  })
})

const SECRET = 'hunter2-correct-horse'

describe('a value that may be a secret is not shown', () => {
  const loose = z.strictObject({
    key: z.string().startsWith('file:', 'expected file:<path>').optional(),
    apiToken: z.int().optional(),
    file: z.enum(['a']).optional(),
    nested: z.strictObject({ password: z.strictObject({ first: z.enum(['a']) }) }).optional(),
    signingKey: z
      .string()
      .transform((value, context) => {
        context.addIssue({ code: 'custom', message: `expected something else, found ${value}` })
        return z.NEVER
      })
      .optional(),
  })

  test.each([
    ['under key', `key: ${SECRET}`],
    ['under a name that ends in token', `apiToken: ${SECRET}`],
    ['below password', `nested: {password: {first: ${SECRET}}}`],
    ['where the schema quotes it', `signingKey: ${SECRET}`],
    ['a PEM block anywhere', `file: "-----BEGIN PRIVATE KEY-----${SECRET}"`],
    ['a URL with a password', `file: https://user:${SECRET}@host/`],
    ['a line that is not YAML', `key: @${SECRET}\nfile: {`],
    ['a block header', `key: |${SECRET}\n  x`],
    ['an escape', `key: "\\q${SECRET}"`],
    ['text after a quote', `key: "a" ${SECRET}`],
  ])('%s', (_name, text) => {
    const lines = faults(text, loose)
    expect(lines).not.toEqual([])
    expect(lines.join('\n')).not.toContain(SECRET)
  })

  test('a number under such a key', () => {
    expect(faults('key: 7319', loose).join('\n')).toMatch(/^a\.yaml:1: key: expected text, found a number/)
  })
})

describe('properties', () => {
  test('no text makes it throw, and every fault is one line', () => {
    const yamlish = fc.string({
      unit: fc.constantFrom(...Array.from('ab:-[]{}&*!|>\'"%@#?,\n \t0$')),
      maxLength: 60,
    })
    fc.assert(
      fc.property(fc.oneof(yamlish, fc.string()), (text) => {
        for (const line of faults(text)) expect(line).toMatch(/^a\.yaml(:\d+)?: [^\r\n]*$/)
      }),
      { numRuns: 500 },
    )
  })

  test('what fits the schema comes back as it was, whatever the strings', () => {
    const value = fc.record({
      name: fc.string(),
      labels: fc.dictionary(
        fc.string({ minLength: 1 }).filter((key) => key !== '__proto__'),
        fc.string(),
      ),
    })
    fc.assert(
      fc.property(value, (value) => {
        // JSON is YAML 1.2.
        const result = loadYamlFile({ file: 'a.yaml', text: JSON.stringify(value) }, SCHEMA)
        expect(result).toMatchObject({ ok: true, value: { name: value.name } })
        if (result.ok) expect({ ...result.value.labels }).toEqual({ ...value.labels })
      }),
    )
  })
})
