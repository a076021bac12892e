import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Fault } from '../../../../common/fault.ts'
import { compilePolicy } from '../../../../gateway/policy/compile.ts'
import { KNOWN } from './known.ts'

const compile = (text: string) => compilePolicy([{ name: 'policy.cedar', text }], KNOWN)
const faultsOf = (text: string): readonly Fault[] => {
  const result = compile(text)
  return result.ok ? [] : result.faults
}

const GOOD = `@id("payments-to-bank") @owner("payments") @ticket("SEC-123")
permit (principal in Path::"spiffe://example.org/payments", action == Action::"connect", resource == Destination::"partner-bank")
when { context.now < datetime("2027-06-30T00:00:00Z") };
`

describe('a good policy', () => {
  test('compiles, and its revision is the digest of the file', () => {
    const result = compile(GOOD)
    const digest = createHash('sha256').update(GOOD).digest('hex')
    expect(result).toMatchObject({ ok: true, policy: { revision: `sha256:${digest}` }, warnings: [] })
  })

  const good: Record<string, string> = {
    'two policies on one line':
      '@id("a") permit(principal is Workload, action, resource);@id("b") forbid(principal, action, resource);',
    'a byte order mark': `\uFEFF${GOOD}`,
    'Windows line ends': GOOD.replaceAll('\n', '\r\n'),
    'comments and strings with semicolons and quotes':
      '// a; "b\n@id("a;//b\\"") permit(principal is Workload, action, resource) // ; "\n when { context.listener != "//;\\"" };',
    'an @id that is a name of JavaScript':
      '@id("__proto__") permit(principal is Workload, action, resource);@id("constructor") forbid(principal is Network, action, resource);',
    'a forbid for any principal': '@id("a") forbid(principal, action, resource in Tag::"pci");',
    'a known network and workload':
      '@id("a") permit(principal == Network::"legacy-batch", action, resource);\n@id("b") permit(principal == Workload::"spiffe://cluster.local/ns/a/sa/b", action, resource);',
    'a trust domain as Path':
      '@id("a") permit(principal in Path::"spiffe://cluster.local", action, resource);',
    'serial numbers in the right form':
      '@id("a") forbid(principal, action, resource) when { context.serialNumber == "0a5f" || ["", "5f"].contains(context.serialNumber) || context.serialNumber like "5f0*a" };',
    'a known trust domain compared':
      '@id("a") permit(principal is Workload, action, resource) when { principal.trustDomain == "example.org" };',
    'an upper-case literal that is compared with something else':
      '@id("a") permit(principal is Workload, action, resource) when { context.listener == "AB:CD" && context.serialNumber != "" };',
  }
  test.each(Object.entries(good))('%s', (_, text) => {
    expect(faultsOf(text)).toEqual([])
  })

  test('the example configuration', async () => {
    const text = await readFile(
      path.join(import.meta.dirname, '../../../../examples/local/policy.cedar'),
      'utf8',
    )
    expect(faultsOf(text).filter(({ message }) => !message.includes('unknown '))).toEqual([])
  })
})

interface Bad {
  readonly text: string
  readonly line: number | null
  readonly message: RegExp
  readonly remedy?: RegExp
}

const SCOPE = 'principal is Workload, action, resource'
const bad: Record<string, Bad> = {
  'a missing @id': { text: `\n\npermit(${SCOPE});`, line: 3, message: /missing/, remedy: /unique @id/ },
  'an empty @id': { text: `@id("")\npermit(${SCOPE});`, line: 1, message: /empty/ },
  'an @id without a value': { text: `@id permit(${SCOPE});`, line: 1, message: /empty/ },
  'an @id with a line feed': {
    text: `@id("a\nb") permit(${SCOPE});`,
    line: 1,
    message: /control characters/,
  },
  'an @id beyond all measure': {
    text: `@id("${'a'.repeat(129)}") permit(${SCOPE});`,
    line: 1,
    message: /longer than 128/,
  },
  'an @id used twice': {
    text: `@id("a") permit(${SCOPE});\n// "\n@id("a")\nforbid(${SCOPE});`,
    line: 3,
    message: /"a" is also used at policy\.cedar:1/,
  },
  'a template': {
    text: `@id("a") permit(${SCOPE});\n@id("b") permit(principal == ?principal, action, resource);`,
    line: 2,
    message: /a template/,
  },
  'a syntax error, at its line although a comment before it has two-byte characters': {
    text: `// ${'é'.repeat(30)}\n@id("a")\npermit(${SCOPE})\nwhen { context.listener = "x" };\n`,
    line: 4,
    message: /not a valid operator/,
    remedy: /'=='/,
  },
  'a missing semicolon': { text: `@id("a") permit(${SCOPE})\n`, line: 1, message: /unexpected end of input/ },
  'an unterminated string': { text: `@id("a) permit(${SCOPE});`, line: 1, message: /invalid token/ },
  'an unknown attribute, at its line': {
    text: `@id("a")\npermit(${SCOPE})\nwhen { true &&\ncontext.listner == "x" };`,
    line: 4,
    message: /^policy "a": attribute `listner`.*not found/,
    remedy: /did you mean `listener`/,
  },
  'a comparison of two types': {
    text: `@id("a") permit(${SCOPE})\nwhen { resource.port == "443" };`,
    line: 2,
    message: /not compatible/,
  },
  'an optional attribute without has': {
    text: `@id("a") permit(${SCOPE}) when { context.vpcEndpoint == "vpce-1" };`,
    line: 1,
    message: /optional attribute/,
    remedy: /context has vpcEndpoint/,
  },
  'an unknown action': {
    text: `@id("a") permit(principal is Workload, action == Action::"read", resource);`,
    line: 1,
    message: /unrecognized action/,
  },
  'an unknown entity type': {
    text: `@id("a") permit(principal is Robot, action, resource);`,
    line: 1,
    message: /unrecognized entity type/,
  },
  'an unknown destination in the scope': {
    text: `@id("a")\npermit(principal is Workload, action,\nresource == Destination::"partner-bnak");`,
    line: 3,
    message: /^policy "a": unknown destination "partner-bnak"/,
    remedy: /known: orders-db, partner-bank/,
  },
  'an unknown destination in a condition': {
    text: `@id("a") permit(${SCOPE})\nunless { [Destination::"orders-db",\nDestination::"x"].contains(resource) };`,
    line: 3,
    message: /unknown destination "x"/,
  },
  'an unknown tag': {
    text: `@id("a") permit(principal is Workload, action, resource in Tag::"pcl");`,
    line: 1,
    message: /unknown tag "pcl"/,
    remedy: /known: eu, pci/,
  },
  'an unknown network': {
    text: `@id("a") permit(principal == Network::"x", action, resource);`,
    line: 1,
    message: /unknown network "x"/,
  },
  'a workload of an unknown trust domain': {
    text: `@id("a") permit(principal == Workload::"spiffe://exmple.org/a", action, resource);`,
    line: 1,
    message: /unknown trust domain "exmple\.org"/,
  },
  'a path of an unknown trust domain, in an is-in scope': {
    text: `@id("a") permit(principal is Workload in Path::"spiffe://other/a", action, resource);`,
    line: 1,
    message: /unknown trust domain "other"/,
  },
  'a path that is no SPIFFE ID': {
    text: `@id("a") permit(principal in Path::"spiffe://example.org/a/", action, resource);`,
    line: 1,
    message: /Path::"spiffe:\/\/example\.org\/a\/" is not a SPIFFE ID/,
  },
  'a workload pattern, which is not how Cedar says it': {
    text: `@id("a") permit(principal == Workload::"spiffe://example.org/payments/**", action, resource);`,
    line: 1,
    message: /is not a SPIFFE ID/,
  },
  'a workload without a path': {
    text: `@id("a") permit(principal == Workload::"spiffe://example.org", action, resource);`,
    line: 1,
    message: /never a workload/,
    remedy: /Path::"spiffe:\/\/example\.org"/,
  },
  'an unknown trust domain compared': {
    text: `@id("a") permit(${SCOPE}) when { principal.trustDomain == "exmple.org" };`,
    line: 1,
    message: /unknown trust domain "exmple\.org"/,
  },
  'a permit for any principal': {
    text: `@id("a")\npermit(principal, action, resource == Destination::"orders-db");`,
    line: 1,
    message: /a permit for any principal/,
    remedy: /principal is Workload/,
  },
  'a permit for any principal that narrows in its condition': {
    text: `@id("a") permit(principal, action, resource) when { principal is Workload };`,
    line: 1,
    message: /a permit for any principal/,
  },
  'an upper-case serial number': {
    text: `@id("a") forbid(principal, action, resource)\nwhen { context.serialNumber == "5F0A" };`,
    line: 2,
    message: /"5F0A" would never match/,
    remedy: /write "5f0a"/,
  },
  'a serial number with colons, the literal on the left': {
    text: `@id("a") forbid(principal, action, resource) when { "5f:0a" == context.serialNumber };`,
    line: 1,
    message: /"5f:0a"/,
    remedy: /write "5f0a"/,
  },
  'a serial number with an odd number of digits': {
    text: `@id("a") forbid(principal, action, resource) when { context.serialNumber != "f0a" };`,
    line: 1,
    message: /"f0a"/,
    remedy: /write "0f0a"/,
  },
  'a serial number with the zero byte of its DER': {
    text: `@id("a") forbid(principal, action, resource) when { context.serialNumber == "00f00a" };`,
    line: 1,
    message: /"00f00a"/,
    remedy: /write "f00a"/,
  },
  'a serial number in a set': {
    text: `@id("a") forbid(principal, action, resource) when { ["aa", "0xBB"].contains(context.serialNumber) };`,
    line: 1,
    message: /"0xBB"/,
    remedy: /write "bb"/,
  },
  'a serial number in a branch': {
    text: `@id("a") forbid(principal, action, resource) when { context.serialNumber == (if resource.port == 1 then "AA" else "bb") };`,
    line: 1,
    message: /"AA"/,
  },
  'a serial number that is none': {
    text: `@id("a") forbid(principal, action, resource) when { context.serialNumber == "xyz" };`,
    line: 1,
    message: /not hexadecimal/,
  },
  'a serial number pattern in upper case': {
    text: `@id("a") forbid(principal, action, resource) when { context.serialNumber like "5F:*" };`,
    line: 1,
    message: /"5F:"/,
    remedy: /write "5f"/,
  },
  'nesting that would kill the engine': {
    text: `@id("ok") permit(${SCOPE});\n@id("a") permit(${SCOPE}) when { ${'('.repeat(5000)}true${')'.repeat(5000)} };`,
    line: 2,
    message: /brackets within each other/,
  },
  'a chain of operators that would kill the engine': {
    text: `@id("a") permit(${SCOPE}) when { true${' || true'.repeat(5000)} };`,
    line: 1,
    message: /160 operators/,
    remedy: /contains/,
  },
  'a text beyond all measure': {
    text: `// ${'a'.repeat(2 * 1024 * 1024)}`,
    line: null,
    message: /longer than 2097152 bytes/,
  },
}

describe('a fault', () => {
  test.each(Object.entries(bad))('%s', (_, { text, line, message, remedy }) => {
    const faults = faultsOf(text)
    expect(faults).toHaveLength(1)
    expect(faults[0]).toMatchObject({ file: 'policy.cedar', line, message: expect.stringMatching(message) })
    if (remedy !== undefined) expect(faults[0]?.remedy).toMatch(remedy)
  })

  test('all are found at once, in the order of the files and their lines', () => {
    const result = compilePolicy(
      [
        {
          name: 'b.cedar',
          text: `@id("1") permit(${SCOPE});\npermit(${SCOPE});\n@id("2") permit(principal, action, resource == Destination::"x") when { resource.prt == 1 };`,
        },
        { name: 'a.cedar', text: `@id("1") permit(${SCOPE});` },
      ],
      KNOWN,
    )
    const faults = result.ok ? [] : result.faults
    expect(faults.map(({ file, line, message }) => `${file}:${line}: ${message}`)).toEqual([
      'b.cedar:2: missing',
      'b.cedar:3: policy "2": a permit for any principal also permits networks, which prove no identity',
      'b.cedar:3: policy "2": unknown destination "x"',
      expect.stringMatching(/^b\.cedar:3: policy "2": attribute `prt`/),
      'a.cedar:1: "1" is also used at b.cedar:1',
    ])
  })

  test('the line is right for the twelfth policy, which Cedar sorts before the third', () => {
    const good = Array.from({ length: 11 }, (_, index) => `@id("p${index}")\npermit(${SCOPE});\n`).join('')
    expect(faultsOf(`${good}@id("last")\npermit(principal, action, resource);`)).toMatchObject([{ line: 23 }])
  })
})

describe('a warning', () => {
  test('a policy that can never apply', () => {
    const result = compile(`\n@id("a") permit(${SCOPE}) when { resource.port == 1 && false };`)
    expect(result).toMatchObject({
      ok: true,
      warnings: [
        {
          file: 'policy.cedar',
          line: 2,
          message: expect.stringMatching(/^policy "a": policy is impossible/),
        },
      ],
    })
  })

  test('no policy at all', () => {
    expect(compile('// nothing yet\n')).toMatchObject({
      ok: true,
      warnings: [{ line: null, message: 'no policy: every request is denied' }],
    })
  })
})
