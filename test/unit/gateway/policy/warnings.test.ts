// Policies that nobody can have meant, each with the word of why, and the ones beside them that are as meant.
import { describe, expect, test } from 'vitest'
import { compilePolicy, type Known } from '../../../../gateway/policy/compile.ts'

const KNOWN: Known = {
  destinations: [
    {
      name: 'bank',
      tags: ['pci'],
      hosts: [
        { kind: 'exact', host: 'api.bank.example' },
        { kind: 'suffix', suffix: 'eu.bank.example' },
      ],
      ports: [443],
    },
    { name: 'orders', tags: [], hosts: [{ kind: 'address', address: '10.0.0.5' }], ports: [5432, 5433] },
  ],
  networks: ['legacy'],
  trustDomains: ['example.org', 'cluster.local'],
  listeners: [
    { name: 'proxy', admits: 'workload', trustDomains: ['example.org'] },
    { name: 'mesh', admits: 'workload', trustDomains: null },
    { name: 'raw', admits: 'network', trustDomains: null },
  ],
}
const now = () => new Date('2026-11-26T00:00:00Z')

function warningsOf(text: string): readonly string[] {
  const compiled = compilePolicy([{ name: 'policy.cedar', text }], KNOWN, { now })
  if (!compiled.ok) throw new Error(compiled.faults.map(({ message }) => message).join('\n'))
  return compiled.warnings.map(({ line, message }) => `${line}: ${message}`)
}

const permit = (scope: string, rest = '') => `@id("a")\npermit(${scope})${rest};`
const WORKLOADS = 'principal is Workload, action, resource'
const NEVER =
  '1: policy "a": never applies: no destination, caller and listener of this configuration can meet its conditions'
const PAST = '1: policy "a": never applies any more: its time is past'

describe('a policy that never applies', () => {
  const cases: Record<string, readonly [text: string, warning: string]> = {
    'its destination has no such tag': [
      permit(
        'principal is Workload, action, resource == Destination::"orders"',
        ' when { resource in Tag::"pci" }',
      ),
      NEVER,
    ],
    'it says another destination than its scope': [
      permit(
        'principal is Workload, action, resource in Tag::"pci"',
        ' when { resource == Destination::"orders" }',
      ),
      NEVER,
    ],
    'no destination has the host': [
      permit(WORKLOADS, ' when { resource.host == "api.bank.exmaple" }'),
      NEVER,
    ],
    'its destination does not have the host': [
      permit(
        'principal is Workload, action, resource == Destination::"orders"',
        ' when { ["api.bank.example", "10.0.0.6"].contains(resource.host) }',
      ),
      NEVER,
    ],
    'no pattern fits': [
      permit(
        'principal is Workload, action, resource == Destination::"orders"',
        ' when { resource.host like "*.x" }',
      ),
      NEVER,
    ],
    'no destination has the port': [
      permit(WORKLOADS, ' when { resource.port == 80 || resource.port > 9000 }'),
      NEVER,
    ],
    'there is no such listener': [permit(WORKLOADS, ' when { context.listener == "prxy" }'), NEVER],
    'the listener takes no networks': [
      permit('principal == Network::"legacy", action, resource', ' when { context.listener == "proxy" }'),
      NEVER,
    ],
    'the listener takes none of that trust domain': [
      permit(
        'principal in Path::"spiffe://cluster.local/ns", action, resource',
        ' when { context.listener == "proxy" }',
      ),
      NEVER,
    ],
    'the path has no workload of that trust domain': [
      permit(
        'principal in Path::"spiffe://example.org/a", action, resource',
        ' when { principal.trustDomain == "cluster.local" }',
      ),
      NEVER,
    ],
    'the two paths have nothing in common': [
      permit(
        'principal in Path::"spiffe://example.org/a", action, resource',
        ' when { principal in Path::"spiffe://example.org/b" }',
      ),
      NEVER,
    ],
    'an unless that is always met': [permit(WORKLOADS, ' unless { resource.port < 6000 }'), NEVER],
    'its time is past': [permit(WORKLOADS, ' when { context.now < datetime("2026-11-26") }'), PAST],
    'its time is past, said the other way': [
      permit(WORKLOADS, ' unless { datetime("2026-11-01") <= context.now }'),
      PAST,
    ],
    'a forbid that applies wherever it does': [
      `${permit('principal == Workload::"spiffe://example.org/a/b", action, resource == Destination::"bank"')}\n@id("no") forbid(principal in Path::"spiffe://example.org/a", action, resource in Tag::"pci");`,
      '1: policy "a": never permits anything: the forbid "no" at policy.cedar:3 applies wherever it does',
    ],
    'a forbid for everybody': [
      `${permit(WORKLOADS, ' when { context.listener == "proxy" }')}\n@id("no") forbid(principal, action, resource);`,
      '1: policy "a": never permits anything: the forbid "no" at policy.cedar:3 applies wherever it does',
    ],
  }
  test.each(Object.entries(cases))('%s', (_, [text, warning]) => {
    expect(warningsOf(text)).toEqual([warning])
  })
})

describe('a policy that can apply', () => {
  const cases: Record<string, string> = {
    'to one destination of several': permit(WORKLOADS, ' when { resource in Tag::"pci" }'),
    'to a host of a suffix': permit(WORKLOADS, ' when { resource.host == "x.eu.bank.example" }'),
    'to one port': permit(WORKLOADS, ' when { resource.port == 5433 }'),
    'until some day': permit(WORKLOADS, ' when { context.now < datetime("2026-11-27") }'),
    'from some day on': permit(WORKLOADS, ' when { context.now > datetime("2030-01-01") }'),
    'on a listener': permit(WORKLOADS, ' when { context.listener == "proxy" }'),
    'from a network': permit(
      'principal == Network::"legacy", action, resource',
      ' when { context.listener == "raw" }',
    ),
    'at a VPC endpoint': permit(
      WORKLOADS,
      ' when { context has vpcEndpoint && context.vpcEndpoint == "vpce-1" }',
    ),
    'beside a forbid of a part of it': `${permit(WORKLOADS)}@id("no") forbid(principal, action, resource in Tag::"pci");`,
    'beside a forbid with a condition': `${permit(WORKLOADS)}@id("no") forbid(principal, action, resource) when { context.listener == "mesh" };`,
    'beside a forbid of another path': `${permit('principal in Path::"spiffe://example.org/a", action, resource')}@id("no") forbid(principal in Path::"spiffe://example.org/a/b", action, resource);`,
    'as a forbid for everybody': `${permit('principal is Workload, action, resource == Destination::"bank"')}@id("no") forbid(principal is Network, action, resource);`,
  }
  test.each(Object.entries(cases))('%s', (_, text) => {
    expect(warningsOf(text)).toEqual([])
  })
})

test('what Cedar itself calls impossible is said once', () => {
  expect(warningsOf(permit(WORKLOADS, ' when { false }'))).toEqual([
    expect.stringContaining('policy "a": policy is impossible'),
  ])
})
