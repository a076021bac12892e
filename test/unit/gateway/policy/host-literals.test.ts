// Hosts in a policy that can never match are faults, in every form of comparison.
import { describe, expect, test } from 'vitest'
import { compilePolicy } from '../../../../gateway/policy/compile.ts'

const KNOWN = { trustDomains: ['example.org'], networks: [], destinations: [{ name: 'bank', tags: [] }] }

function faultsOf(condition: string): readonly string[] {
  const text = `@id("a")\nforbid (principal, action, resource)\nwhen { ${condition} };`
  const result = compilePolicy([{ name: 'a.cedar', text }], KNOWN)
  return result.ok ? [] : result.faults.map(({ line, message, remedy }) => `${line}: ${message} (${remedy})`)
}

describe('a host that is compared', () => {
  test.each([
    'resource.host == "api.bank.example"',
    '"xn--bcher-kva.example" != resource.host',
    '["10.20.0.5", "2001:db8::5"].contains(resource.host)',
    'resource.host like "*.bank.example"',
    'resource.host like "10.20.*"',
    'context.listener == "Proxy"',
  ])('%s can match', (condition) => {
    expect(faultsOf(condition)).toEqual([])
  })

  test.each<[string, string]>([
    [
      'resource.host == "API.bank.example"',
      '"API.bank.example" would never match (write "api.bank.example")',
    ],
    [
      '"api.bank.example." == resource.host',
      '"api.bank.example." would never match (write "api.bank.example")',
    ],
    [
      '["a.example", "B.example"].contains(resource.host)',
      '"B.example" would never match (write "b.example")',
    ],
    ['resource.host == "2001:DB8::5"', '"2001:DB8::5" would never match (write "2001:db8::5")'],
    ['resource.host == "[2001:db8::5]"', '"[2001:db8::5]" would never match (write "2001:db8::5")'],
    ['resource.host == "::ffff:10.0.0.1"', '"::ffff:10.0.0.1" would never match (write "10.0.0.1")'],
    [
      'resource.host == "127.1"',
      '"127.1" would never match: the host is a number or ends in one, and is not an IPv4 address of four decimal octets (write a name in lower case, or an IP address without brackets)',
    ],
    [
      'resource.host == "bücher.example"',
      '"bücher.example" would never match: the host has a character that is not ASCII: write xn--bcher-kva.example (write a name in lower case, or an IP address without brackets)',
    ],
    [
      'resource.host == "*.bank.example"',
      '"*.bank.example" would never match: the host has a character that is not a letter, digit, hyphen or dot (a pattern is compared with like: resource.host like "*.bank.example")',
    ],
    [
      'resource.host like "*.Bank.example"',
      'pattern ".Bank.example" would never match (write ".bank.example")',
    ],
    [
      'resource.host like "*bank_1*"',
      'pattern "bank_1" would never match (hosts are lower-case letters, digits, hyphens and dots; Unicode names are in Punycode)',
    ],
  ])('%s is a fault', (condition, fault) => {
    // A part of a pattern is no literal of its own, so the fault is at the policy's first line.
    const line = fault.startsWith('pattern') ? 1 : 3
    expect(faultsOf(condition)).toEqual([`${line}: policy "a": the host ${fault}`])
  })
})
