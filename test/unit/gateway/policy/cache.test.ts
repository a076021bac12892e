// What is one question to the cache, and what is not; how long an answer holds; and what keeps answers from being kept.
import { describe, expect, test } from 'vitest'
import { compilePolicy } from '../../../../gateway/policy/compile.ts'
import { KNOWN, policyOf, question } from './known.ts'

type Changes = Parameters<typeof question>[0]

const when = (condition: string) =>
  `@id("a") permit(principal is Workload, action, resource) when { ${condition} };`

describe('a second question that differs in this alone', () => {
  const cases: Record<string, readonly [condition: string, changes: Changes, cached: boolean]> = {
    'in nothing': ['true', {}, true],
    'in host, port, address, serial number and time that no policy reads': [
      'true',
      {
        host: 'x',
        port: 1,
        context: {
          sourceIp: '::1',
          serialNumber: '01',
          listener: 'mesh',
          vpcEndpoint: 'v',
          now: new Date(0),
        },
      },
      true,
    ],
    'in workload and destination that no condition reads': [
      'true',
      { workload: 'spiffe://example.org/other', destination: { name: 'orders-db', tags: ['pci'] } },
      true,
    ],
    'in the destination, where conditions read the workload alone': [
      'principal.path like "*"',
      { destination: { name: 'orders-db', tags: [] } },
      true,
    ],
    'in the workload, where one of its attributes is read': [
      'principal.path like "*"',
      { workload: 'spiffe://example.org/other' },
      false,
    ],
    'in the workload, where a condition asks what it is in': [
      'principal in Path::"spiffe://example.org"',
      { workload: 'spiffe://example.org/other' },
      false,
    ],
    'in the workload, where conditions read the destination alone': [
      'resource != Destination::"orders-db"',
      { workload: 'spiffe://example.org/other' },
      true,
    ],
    'in the destination, where a condition names one': [
      'resource != Destination::"orders-db"',
      { destination: { name: 'orders-db', tags: [] } },
      false,
    ],
    'in the tags of the destination, where a condition asks for one': [
      'resource in Tag::"pci"',
      { destination: { name: 'partner-bank', tags: ['pci'] } },
      false,
    ],
    'in host and port, of which the host is read': ['resource.host like "*"', { port: 1 }, true],
    'in a serial number that meets no literal either': [
      'context.serialNumber != "01"',
      { context: { serialNumber: 'ff' } },
      true,
    ],
    'in a serial number that meets the literal': [
      'context.serialNumber != "01"',
      { context: { serialNumber: '01' } },
      false,
    ],
    'in an address in the same range': [
      'context.sourceIp.isInRange(ip("10.0.0.0/8"))',
      { context: { sourceIp: '10.255.0.1' } },
      true,
    ],
    'in an address in another range': [
      'context.sourceIp.isInRange(ip("10.0.0.0/8"))',
      { context: { sourceIp: '11.0.0.1' } },
      false,
    ],
    'in a host of the same pattern': [
      'resource.host like "*.bank.example"',
      { host: 'b.bank.example' },
      true,
    ],
    'in a host of no pattern': ['resource.host like "*.bank.example"', { host: 'b.example' }, false],
    'in a host that is compared with more than literals': [
      'resource.host == principal.trustDomain',
      { host: 'other.example' },
      false,
    ],
    'in a port that is read': ['resource.port < 1024', { port: 444 }, false],
    'in a listener that is compared with neither': [
      'context.listener == "x"',
      { context: { listener: 'mesh' } },
      true,
    ],
    'in a VPC endpoint that is there': ['context has vpcEndpoint', { context: { vpcEndpoint: 'v' } }, false],
    'in time, on the same side of the moment': [
      'context.now < datetime("2026-08-01T10:00:01Z")',
      { context: { now: new Date('2026-08-01T10:00:00.999Z') } },
      true,
    ],
    'in time, past the moment': [
      'context.now < datetime("2026-08-01T10:00:01Z")',
      { context: { now: new Date('2026-08-01T10:00:01Z') } },
      false,
    ],
    'in nothing, where the time of day is read': ['context.now.toTime() > duration("1h")', {}, false],
    'in nothing, where an address is read otherwise': [
      'ip("10.0.0.0/8").isInRange(context.sourceIp)',
      {},
      false,
    ],
    'in nothing, where a policy fails': ['resource.port * 9223372036854775807 > 0', {}, false],
  }
  test.each(Object.entries(cases))('%s', (_, [condition, changes, cached]) => {
    const policy = policyOf(when(condition))
    expect(policy.decide(question()).cached).toBe(false)
    expect(policy.decide(question(changes)).cached).toBe(cached)
  })

  test('only what can apply counts: a policy of another destination keeps nothing from being kept', () => {
    const policy = policyOf(
      `${when('true')}@id("b") forbid(principal, action, resource == Destination::"orders-db") when { context.now.toTime() > duration("1h") };`,
    )
    policy.decide(question())
    expect(policy.decide(question())).toMatchObject({ cached: true, recheckAt: null })
    const orders = question({ destination: { name: 'orders-db', tags: [] } })
    policy.decide(orders)
    expect(policy.decide(orders).cached).toBe(false)
  })

  test('who is in the scope of another policy has an answer of its own', () => {
    const policy = policyOf(
      `${when('true')}@id("b") forbid(principal in Path::"spiffe://example.org/other", action, resource);`,
    )
    expect(policy.decide(question())).toMatchObject({ result: 'allow', cached: false })
    const other = question({ workload: 'spiffe://example.org/other/a' })
    expect(policy.decide(other)).toMatchObject({ result: 'deny', policies: ['b'], cached: false })
    const third = question({ workload: 'spiffe://example.org/other/b' })
    expect(policy.decide(third)).toMatchObject({ result: 'deny', policies: ['b'], cached: true })
    expect(policy.decide(question())).toMatchObject({ result: 'allow', policies: ['a'], cached: true })
  })

  test('a new revision begins with nothing', () => {
    const text = when('true')
    policyOf(text).decide(question())
    expect(policyOf(text).decide(question()).cached).toBe(false)
  })
})

describe('recheckAt', () => {
  const T = '2026-08-01T10:00:05.000Z'
  const cases: Record<string, readonly [condition: string, expected: string | null]> = {
    'no time is read': ['true', null],
    'before a moment': [`context.now < datetime("${T}")`, T],
    'up to a moment: one millisecond later': [`context.now <= datetime("${T}")`, '2026-08-01T10:00:05.001Z'],
    'from a moment on': [`context.now >= datetime("${T}")`, T],
    'after a moment': [`context.now > datetime("${T}")`, '2026-08-01T10:00:05.001Z'],
    'with the operands changed': [`datetime("${T}") < context.now`, '2026-08-01T10:00:05.001Z'],
    'at a moment': [`context.now == datetime("${T}")`, T],
    'the first of several': [
      `context.now > datetime("2026-07-01") && context.now < datetime("2026-08-01T12:00:10+0200") && context.now < datetime("${T}")`,
      T,
    ],
    'all moments are past': ['context.now > datetime("2026-07-01")', null],
    'any other use: in a second': ['context.now.toTime() > duration("8h")', '2026-08-01T10:00:01.000Z'],
    'a moment that is computed: in a second': [
      'context.now < datetime("2027-01-01").offset(duration("1h"))',
      '2026-08-01T10:00:01.000Z',
    ],
  }
  test.each(Object.entries(cases))('%s', (_, [condition, expected]) => {
    const policy = policyOf(when(condition))
    const decide = () => policy.decide(question()).recheckAt?.toISOString() ?? null
    expect(decide()).toBe(expected)
    // Kept or not.
    expect(decide()).toBe(expected)
  })
})

test('whatever keeps answers from being kept is a warning with its line', () => {
  const text = `${when('true')}\n${when('context.now.toTime() > duration("1h")').replace('"a"', '"hours"')}`
  expect(compilePolicy([{ name: 'policy.cedar', text }], KNOWN)).toMatchObject({
    ok: true,
    warnings: [
      { line: 2, message: expect.stringMatching(/^policy "hours": reads context\.now in another form/) },
    ],
  })
})

describe('each value after each other, for every form that is reduced', () => {
  const plain = (text: string) => policyOf(text, KNOWN, { index: false, cache: false })
  const ranges = [
    '10.0.0.0/8',
    '10.2.0.0/15',
    '10.0.0.1',
    '10.0.0.1/32',
    '::1',
    '2001:db8::/32',
    '::/0',
    '0.0.0.0/0',
  ]
  const conditions = [
    ...ranges.flatMap((range) => [
      `context.sourceIp.isInRange(ip("${range}"))`,
      `context.sourceIp == ip("${range}")`,
      `ip("${range}") != context.sourceIp`,
    ]),
    ...['isIpv4', 'isIpv6', 'isLoopback', 'isMulticast'].map((name) => `context.sourceIp.${name}()`),
    'context has vpcEndpoint',
    'context has vpcEndpoint && context.vpcEndpoint == "vpce-1"',
    'context has vpcEndpoint && context.vpcEndpoint like "vpce*1*"',
    'context.serialNumber == "5f"',
    '["5f", "01"].contains(context.serialNumber)',
    'context.serialNumber like "5*"',
    'context.listener like "*"',
    'resource.host like "a*b*"',
  ]
  const contexts: readonly NonNullable<Changes>['context'][] = [
    ...[
      '10.0.0.1',
      '10.2.255.255',
      '10.4.0.0',
      '127.9.9.9',
      '::ffff:127.0.0.1',
      '224.0.0.1',
      '::1',
      '::2',
      'ff02::1',
    ].map((sourceIp) => ({ sourceIp })),
    ...['2001:db8::1', '2001:db9::1', '255.255.255.255'].map((sourceIp) => ({ sourceIp })),
    ...['vpce-1', 'vpce-12', 'vpce', ''].map((vpcEndpoint) => ({ vpcEndpoint })),
    ...['', '5f', '01', '5e'].map((serialNumber) => ({ serialNumber })),
  ]
  const hosts = ['ab', 'a.b', 'axbx', 'ba', 'a', ''].map((host) => ({ host }))
  const asked: readonly Changes[] = [...contexts.map((context) => ({ context: context ?? {} })), ...hosts]

  test.each(conditions)('%s', (condition) => {
    const kept = policyOf(when(condition))
    const fresh = plain(when(condition))
    const results = asked.map((changes) => kept.decide(question(changes)))
    expect(results.some(({ cached }) => cached)).toBe(true)
    expect(results.map(({ result }) => result)).toEqual(
      asked.map((changes) => fresh.decide(question(changes)).result),
    )
  })
})
