import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Question } from '../../../../gateway/policy/types.ts'
import { policyOf, question } from './known.ts'

const ALL = '@id("all") permit(principal is Workload, action, resource);'
/** Valid by the schema, and an overflow at run time. */
const FAILS = 'resource.port * 9223372036854775807 > 0'

describe('the result', () => {
  const cases: Record<string, readonly [text: string, expected: object]> = {
    'nothing permits': ['', { result: 'deny', code: 'policy-denied', policies: [], error: null }],
    'a permit': [
      `@id("b") permit(principal is Workload, action, resource);@id("a") permit(principal in Path::"spiffe://example.org", action, resource);`,
      { result: 'allow', code: null, policies: ['a', 'b'], mode: 'enforce', cached: false, error: null },
    ],
    'a forbid beats a permit': [
      `${ALL}@id("no") forbid(principal, action, resource in Tag::"pci");`,
      { result: 'deny', code: 'policy-denied', policies: ['no'], error: null },
    ],
    'a permit for networks is none for a workload': [
      '@id("net") permit(principal is Network, action, resource);',
      { result: 'deny', code: 'policy-denied', policies: [] },
    ],
    'the port really asked for': [
      '@id("a") permit(principal is Workload, action, resource) when { resource.port == 443 && resource.host == "api.bank.example" };',
      { result: 'allow' },
    ],
    'time, listener, address and serial number': [
      `@id("a") permit(principal is Workload, action, resource) when { context.now < datetime("2026-08-01T10:00:00.001Z")
        && context.now >= datetime("2026-08-01T10:00:00Z") && context.listener == "proxy"
        && context.sourceIp.isInRange(ip("10.0.0.0/16")) && context.serialNumber == "5f0a" && !(context has vpcEndpoint) };`,
      { result: 'allow' },
    ],
    'trust domain and path of the workload': [
      '@id("a") permit(principal is Workload, action, resource) when { principal.trustDomain == "example.org" && principal.path == "/payments/api" };',
      { result: 'allow' },
    ],
  }
  test.each(Object.entries(cases))('%s', (_, [text, expected]) => {
    expect(policyOf(text).decide(question())).toMatchObject(expected)
  })

  test('a VPC endpoint where there is one', () => {
    const policy = policyOf(
      '@id("a") permit(principal is Workload, action, resource) when { context has vpcEndpoint && context.vpcEndpoint == "vpce-1" };',
    )
    expect(policy.decide(question({ context: { vpcEndpoint: 'vpce-1' } })).result).toBe('allow')
    expect(policy.decide(question({ context: { vpcEndpoint: 'vpce-2' } })).result).toBe('deny')
    expect(policy.decide(question()).result).toBe('deny')
  })
})

describe('a policy that fails at run time', () => {
  test('a forbid that fails denies, where Cedar alone would allow', () => {
    const decision = policyOf(
      `${ALL}@id("broken") forbid(principal, action, resource) when { ${FAILS} };`,
    ).decide(question())
    expect(decision).toMatchObject({ result: 'deny', code: 'policy-error', policies: ['broken'] })
    expect(decision.error).toMatch(/^policy "broken": integer overflow/)
  })

  test('a permit that fails denies too, although another one permits', () => {
    const decision = policyOf(
      `${ALL}@id("z") permit(principal is Workload, action, resource) when { ${FAILS} };@id("b") permit(principal is Workload, action, resource) when { ${FAILS} };`,
    ).decide(question())
    expect(decision).toMatchObject({ result: 'deny', code: 'policy-error', policies: ['b', 'z'] })
    expect(decision.error).toMatch(/^policy "b": .*; policy "z": /)
  })

  test('one whose scope does not apply does no harm', () => {
    const policy = policyOf(
      `${ALL}@id("broken") forbid(principal, action, resource == Destination::"orders-db") when { ${FAILS} };`,
    )
    expect(policy.decide(question()).result).toBe('allow')
  })
})

describe('a question that Cedar cannot take is a denial, never an exception', () => {
  const cases: Record<string, Parameters<typeof question>[0]> = {
    'an address that is none': { context: { sourceIp: 'localhost' } },
    'an address range': { context: { sourceIp: '10.0.0.0/8' } },
    'no address': { context: { sourceIp: '' } },
    'a time that is none': { context: { now: new Date(Number.NaN) } },
    'a time beyond what Cedar writes': { context: { now: new Date(8.64e15) } },
    'a port that is no integer': { port: 1.5 },
    'a port that is no number': { port: Number.NaN },
    'a host with a lone surrogate': { host: 'a\ud800' },
    'a tag with a lone surrogate': { destination: { name: 'partner-bank', tags: ['\udfff'] } },
  }
  test.each(Object.entries(cases))('%s', (_, changes) => {
    const decision = policyOf(ALL).decide(question(changes))
    expect(decision).toMatchObject({ result: 'deny', code: 'policy-error', policies: [] })
    expect(decision.error).not.toBe('')
  })

  test('and the next good question is answered', () => {
    const policy = policyOf(ALL)
    for (const changes of Object.values(cases)) policy.decide(question(changes))
    expect(policy.decide(question()).result).toBe('allow')
  })
})

test('IPv4-mapped and zoned addresses are judged as what they are', () => {
  const policy = policyOf(
    '@id("a") permit(principal is Workload, action, resource) when { context.sourceIp.isInRange(ip("10.0.0.0/8")) || context.sourceIp.isInRange(ip("fe80::/10")) };',
  )
  for (const sourceIp of ['::ffff:10.0.0.1', '::FFFF:0a00:0001', 'fe80::1%eth0', 'fe80::1']) {
    expect(policy.decide(question({ context: { sourceIp } })).result).toBe('allow')
  }
  expect(policy.decide(question({ context: { sourceIp: '::ffff:11.0.0.1' } })).code).toBe('policy-denied')
})

describe('Path', () => {
  const scope = (id: string) => policyOf(`@id("a") permit(principal in Path::"${id}", action, resource);`)
  const table: Record<string, readonly [path: string, workload: string, result: 'allow' | 'deny']> = {
    'the trust domain': ['spiffe://example.org', 'spiffe://example.org/payments/api', 'allow'],
    'a prefix of segments': ['spiffe://example.org/payments', 'spiffe://example.org/payments/a/b/c', 'allow'],
    'the ID itself is not in itself': [
      'spiffe://example.org/payments/api',
      'spiffe://example.org/payments/api',
      'deny',
    ],
    'half a segment is no prefix': ['spiffe://example.org/pay', 'spiffe://example.org/payments/api', 'deny'],
    'another trust domain': ['spiffe://cluster.local', 'spiffe://example.org/payments/api', 'deny'],
    'a trust domain as a prefix of another': [
      'spiffe://example.org',
      'spiffe://example.org.evil/payments',
      'deny',
    ],
    'a deeper path': ['spiffe://example.org/payments/api/v1', 'spiffe://example.org/payments/api', 'deny'],
  }
  test.each(Object.entries(table))('%s', (_, [path, workload, result]) => {
    expect(scope(path).decide(question({ workload })).result).toBe(result)
  })

  test('an ID with a thousand segments is judged like any other', () => {
    const workload = `spiffe://example.org/payments${'/a'.repeat(1000)}`
    expect(scope('spiffe://example.org/payments').decide(question({ workload })).result).toBe('allow')
  })
})

describe('hostile hosts', () => {
  test('whatever is asked for, only the host that the policy names is permitted', () => {
    const policy = policyOf(
      '@id("a") permit(principal is Workload, action, resource) when { resource.host == "api.bank.example" };@id("b") permit(principal is Workload, action, resource) when { resource.host like "*.partner.example" };',
    )
    const host = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 40 }),
      fc.constantFrom(
        'api.bank.example',
        'API.bank.example',
        'api.bank.example\u0000',
        'api.bank.example.',
        'x.partner.example',
        '*.partner.example',
        'partner.example',
        '"} || true || {"',
        '__entity',
        '\\u0061pi.bank.example',
      ),
    )
    fc.assert(
      fc.property(host, (host) => {
        const expected = host === 'api.bank.example' || host.endsWith('.partner.example')
        expect(policy.decide(question({ host })).result).toBe(expected ? 'allow' : 'deny')
      }),
    )
  })
})

describe('against a naive reading of the scopes', () => {
  const WORKLOADS = [
    'spiffe://example.org/a',
    'spiffe://example.org/a/b',
    'spiffe://example.org/ab',
    'spiffe://cluster.local/a',
  ]
  const PATHS = [
    'spiffe://example.org',
    'spiffe://example.org/a',
    'spiffe://cluster.local',
    'spiffe://cluster.local/a',
  ]
  const DESTINATIONS: readonly Question['destination'][] = [
    { name: 'partner-bank', tags: ['pci', 'eu'] },
    { name: 'orders-db', tags: [] },
  ]
  interface Rule {
    readonly effect: 'permit' | 'forbid'
    readonly principal: readonly [kind: 'any' | 'is' | '==' | 'in', id: string]
    readonly resource: readonly [kind: 'any' | '==' | 'in', id: string]
  }
  const rule: fc.Arbitrary<Rule> = fc.record({
    effect: fc.constantFrom('permit', 'forbid'),
    principal: fc.oneof(
      fc.constant(['is', ''] as const),
      fc.tuple(fc.constant('==' as const), fc.constantFrom(...WORKLOADS)),
      fc.tuple(fc.constant('in' as const), fc.constantFrom(...PATHS)),
    ),
    resource: fc.oneof(
      fc.constant(['any', ''] as const),
      fc.tuple(fc.constant('==' as const), fc.constantFrom('partner-bank', 'orders-db')),
      fc.tuple(fc.constant('in' as const), fc.constantFrom('pci', 'eu')),
    ),
  })
  const PRINCIPAL = { any: '', is: ' is Workload', '==': ' == Workload::', in: ' in Path::' }
  const RESOURCE = { any: '', '==': ' == Destination::', in: ' in Tag::' }
  const write = ({ effect, principal, resource }: Rule, index: number): string =>
    `@id("r${index}") ${effect}(principal${PRINCIPAL[principal[0]]}${principal[1] && JSON.stringify(principal[1])}, action, resource${
      RESOURCE[resource[0]]
    }${resource[1] && JSON.stringify(resource[1])});`
  const applies = (
    { principal, resource }: Rule,
    workload: string,
    destination: Question['destination'],
  ): boolean => {
    const who =
      principal[0] === 'is' ||
      (principal[0] === '==' ? workload === principal[1] : workload.startsWith(`${principal[1]}/`))
    const where =
      resource[0] === 'any' ||
      (resource[0] === '==' ? destination.name === resource[1] : destination.tags.includes(resource[1]))
    return who && where
  }

  test('every decision and its policies agree', () => {
    fc.assert(
      fc.property(fc.array(rule, { maxLength: 6 }), (rules) => {
        const policy = policyOf(rules.map(write).join('\n'))
        for (const workload of WORKLOADS) {
          for (const destination of DESTINATIONS) {
            const matching = rules
              .map((one, index) => ({ ...one, id: `r${index}` }))
              .filter((one) => applies(one, workload, destination))
            const forbids = matching.filter(({ effect }) => effect === 'forbid')
            const allowed = forbids.length === 0 && matching.length > 0
            expect(policy.decide(question({ workload, destination }))).toEqual({
              result: allowed ? 'allow' : 'deny',
              code: allowed ? null : 'policy-denied',
              mode: 'enforce',
              policies: (allowed ? matching : forbids).map(({ id }) => id).sort(),
              // Of another workload or destination, for which the same rules count.
              cached: expect.any(Boolean),
              error: null,
              recheckAt: null,
            })
          }
        }
      }),
      { numRuns: 60 },
    )
  })
})

test('policies that are alive at the same time each answer for themselves, over 100 reloads', () => {
  const make = (index: number) =>
    policyOf(
      `@id("p${index}") permit(principal is Workload, action, resource) when { resource.port == ${index} && principal.path like "*" };`,
    )
  const first = make(0)
  const policies = Array.from({ length: 100 }, (_, index) => make(index + 1))
  for (const [index, policy] of policies.entries()) {
    expect(policy.decide(question({ port: index + 1 }))).toMatchObject({
      result: 'allow',
      policies: [`p${index + 1}`],
    })
    expect(first.decide(question({ port: 0 }))).toMatchObject({ result: 'allow', policies: ['p0'] })
    expect(first.decide(question({ port: index + 1 }))).toMatchObject({ result: 'deny' })
  }
  // Another asks, so that nothing is kept; by now the engine has lost the sets of the first.
  const workload = 'spiffe://example.org/other'
  for (const [index, policy] of policies.entries()) {
    expect(policy.decide(question({ workload, port: index + 1 }))).toMatchObject({
      ...{ result: 'allow', cached: false },
      policies: [`p${index + 1}`],
    })
  }
})
