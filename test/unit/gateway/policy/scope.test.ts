// Which policies the index names, by their scope. That none is missing, random policies show (equivalence.test.ts).
import { expect, test } from 'vitest'
import { readPolicy } from '../../../../gateway/policy/cedar.ts'
import { indexByScope, scopeOf } from '../../../../gateway/policy/scope.ts'
import { question } from './known.ts'

const SCOPES: Readonly<Record<string, string>> = {
  everything: 'principal, action, resource',
  'all workloads': 'principal is Workload, action, resource is Destination',
  'all networks': 'principal is Network, action, resource',
  'this workload': 'principal == Workload::"spiffe://example.org/payments/api", action, resource',
  'another workload': 'principal == Workload::"spiffe://example.org/payments/api2", action, resource',
  'its path': 'principal in Path::"spiffe://example.org/payments", action, resource',
  'its path, said twice': 'principal is Workload in Path::"spiffe://example.org", action, resource',
  'another path': 'principal in Path::"spiffe://example.org/pay", action, resource',
  'this destination': 'principal, action, resource == Destination::"partner-bank"',
  'this destination, said otherwise': 'principal, action, resource in Destination::"partner-bank"',
  'another destination': 'principal, action, resource == Destination::"orders-db"',
  'its tag': 'principal, action, resource in Tag::"pci"',
  'its other tag': 'principal, action, resource is Destination in Tag::"eu"',
  'another tag': 'principal, action, resource in Tag::"us"',
  'both sides': 'principal in Path::"spiffe://example.org", action, resource in Tag::"eu"',
  'one side of two': 'principal in Path::"spiffe://example.org", action, resource in Tag::"us"',
}
const names = Object.keys(SCOPES)
const index = indexByScope(
  Object.values(SCOPES).map((scope) => {
    const read = readPolicy(`@id("x") forbid(${scope});`)
    if (read.kind !== 'policy') throw new Error(scope)
    return scopeOf(read.json)
  }),
  new Set(['spiffe://example.org', 'spiffe://example.org/payments', 'spiffe://example.org/pay']),
)

test('those that can apply to a workload, and no other', () => {
  const { principal, destination } = question()
  expect(index.candidates(principal, destination).map((at) => names[at])).toEqual([
    'everything',
    'all workloads',
    'this workload',
    'its path',
    'its path, said twice',
    'this destination',
    'this destination, said otherwise',
    'its tag',
    'its other tag',
    'both sides',
  ])
  expect(index.pathsOf(principal)).toEqual(['spiffe://example.org/payments', 'spiffe://example.org'])
})

test('those that can apply to a network at a destination without tags', () => {
  const principal = { kind: 'network', name: 'legacy-batch' } as const
  const found = index.candidates(principal, { name: 'orders-db', tags: [] })
  expect(found.map((at) => names[at])).toEqual(['everything', 'all networks', 'another destination'])
})

test('a tag that stands twice names a policy once', () => {
  const found = index.candidates(question().principal, { name: 'x', tags: ['us', 'us'] })
  expect(found.filter((at) => names[at] === 'another tag')).toHaveLength(1)
})
