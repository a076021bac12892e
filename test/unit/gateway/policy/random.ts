// Random policies and questions that meet each other often: few names, many forms.
import * as fc from 'fast-check'
import type { Known } from '../../../../gateway/policy/compile.ts'
import type { Question } from '../../../../gateway/policy/types.ts'
import { parseSpiffeId } from '../../../../spiffe/id.ts'

const WORKLOADS = [
  'spiffe://example.org/a',
  'spiffe://example.org/a/b',
  'spiffe://example.org/ab',
  'spiffe://cluster.local/a',
]
const PATHS = ['spiffe://example.org', 'spiffe://example.org/a', 'spiffe://cluster.local']
const DESTINATIONS = [
  { name: 'one', tags: ['pci', 'eu'] },
  { name: 'two', tags: ['eu'] },
  { name: 'three', tags: [] },
]
export const RANDOM_KNOWN: Known = {
  destinations: DESTINATIONS,
  networks: ['n1', 'n2'],
  trustDomains: ['example.org', 'cluster.local'],
}

/** In the middle of all moments that policies name. */
const NOON = Date.parse('2026-08-01T12:00:00.000Z')
const MOMENTS = [-60_000, -1, 0, 1, 2, 1_000, 60_000].map((offset) => new Date(NOON + offset))

const pick = <T>(...values: readonly T[]) => fc.constantFrom(...values)
const text = (value: string) => JSON.stringify(value)
const moment = pick(...MOMENTS).map((date) => `datetime("${date.toISOString()}")`)
const comparison = pick('<', '<=', '>', '>=', '==', '!=')

/** One test each, in a form that can be reduced to literals. */
const reducible: fc.Arbitrary<string> = fc.oneof(
  pick(
    'resource.host == "a.example"',
    '"b.example" != resource.host',
    '["a.example", "c"].contains(resource.host)',
  ),
  pick('resource.host like "*.example"', 'resource.host like "a*e*e"', 'resource.host like "x*y"'),
  pick('resource.port == 443', 'resource.port < 1024', '[443, 80].contains(resource.port)'),
  pick('context.listener == "proxy"', 'context.listener like "m*"'),
  pick('context.serialNumber == "5f"', 'context.serialNumber != ""', 'context.serialNumber like "5*"'),
  pick(
    'context has vpcEndpoint',
    '(context has vpcEndpoint && context.vpcEndpoint == "vpce-1")',
    '!(context has vpcEndpoint && context["vpcEndpoint"] like "vpce-*")',
  ),
  pick(
    ...['10.0.0.0/8', '10.0.0.1', '::1', '2001:db8::/32', '0.0.0.0/0'].flatMap((range) => [
      `context.sourceIp.isInRange(ip("${range}"))`,
      `context.sourceIp == ip("${range}")`,
      `ip("${range}") != context.sourceIp`,
    ]),
    ...['isIpv4', 'isIpv6', 'isLoopback', 'isMulticast'].map((name) => `context.sourceIp.${name}()`),
  ),
  fc.tuple(comparison, moment).map(([operator, at]) => `context.now ${operator} ${at}`),
  fc.tuple(comparison, moment).map(([operator, at]) => `${at} ${operator} context.now`),
)

/** One test each, of who asks or for which destination. */
const ofEntities: fc.Arbitrary<string> = fc.oneof(
  pick(
    ...['principal.trustDomain == "example.org"', 'principal.path like "/a*"'],
    'principal has trustDomain && principal.trustDomain != "example.org"',
  ).map((test) => `(principal is Workload && ${test})`),
  pick(
    ...['resource in Tag::"eu"', 'resource in [Tag::"pci", Tag::"eu"]', 'resource == Destination::"two"'],
    ...['principal in Path::"spiffe://example.org/a"', 'principal == Workload::"spiffe://example.org/a"'],
    ...['principal is Network', 'resource has host', 'principal == Network::"n1"'],
  ),
)

const otherwise: fc.Arbitrary<string> = pick(
  'context.now.toTime() > duration("12h")',
  'context.now.toDate() == datetime("2026-08-01")',
  'context.now.durationSince(datetime("2026-08-01")) >= duration("12h1s")',
  '{at: context.now}.at < datetime("2026-08-01T12:00:01Z")',
  'ip("10.0.0.0/8").isInRange(context.sourceIp)',
  'context.serialNumber == context.listener',
  '[context.serialNumber].contains("5f")',
  'context == context',
  '(principal is Workload && resource.host == principal.trustDomain)',
  // An overflow for every port but 0 and 1.
  'resource.port * 9223372036854775807 > 0',
  '(if context.listener == "proxy" then context.serialNumber else resource.host) == "5f"',
)

function condition(atom: fc.Arbitrary<string>): fc.Arbitrary<string> {
  return fc.oneof(
    { weight: 4, arbitrary: atom },
    { weight: 2, arbitrary: fc.tuple(atom, pick('&&', '||'), atom).map((parts) => `(${parts.join(' ')})`) },
    { weight: 1, arbitrary: atom.map((one) => `!(${one})`) },
    {
      weight: 1,
      arbitrary: fc.tuple(atom, atom, atom).map(([a, b, c]) => `(if ${a} then ${b} else ${c})`),
    },
  )
}

function clauses(atom: fc.Arbitrary<string>): fc.Arbitrary<string> {
  const clause = fc
    .tuple(pick('when', 'unless'), condition(atom))
    .map(([kind, body]) => `${kind} { ${body} }`)
  return fc.array(clause, { maxLength: 2 }).map((list) => list.join(' '))
}

const principal = fc.oneof(
  pick('principal is Workload', 'principal is Network'),
  pick(...WORKLOADS).map((id) => `principal == Workload::${text(id)}`),
  pick(...PATHS).map((id) => `principal in Path::${text(id)}`),
  pick(...PATHS).map((id) => `principal is Workload in Path::${text(id)}`),
  pick('n1', 'n2').map((name) => `principal == Network::${text(name)}`),
)
const resource = fc.oneof(
  pick('resource', 'resource is Destination'),
  pick('one', 'two', 'three').map((name) => `resource == Destination::${text(name)}`),
  pick('one', 'two').map((name) => `resource in Destination::${text(name)}`),
  pick('pci', 'eu').map((name) => `resource in Tag::${text(name)}`),
  pick('pci', 'eu').map((name) => `resource is Destination in Tag::${text(name)}`),
)
const action = pick('action', 'action == Action::"connect"', 'action in [Action::"connect"]')

function policies(atom: fc.Arbitrary<string>): fc.Arbitrary<string> {
  const permit = fc.tuple(fc.constant('permit'), principal, action, resource, clauses(atom))
  const forbid = fc.tuple(
    fc.constant('forbid'),
    fc.oneof(principal, pick('principal')),
    action,
    resource,
    clauses(atom),
  )
  return fc
    .array(fc.oneof({ weight: 3, arbitrary: permit }, { weight: 1, arbitrary: forbid }), { maxLength: 8 })
    .map((list) =>
      list
        .map(
          ([effect, who, what, where, when], at) =>
            `@id("p${at}") ${effect}(${who}, ${what}, ${where}) ${when};`,
        )
        .join('\n'),
    )
}

const anyReducible = fc.oneof({ weight: 4, arbitrary: reducible }, { weight: 1, arbitrary: ofEntities })

/** Text of policies that compare with literals alone, of such that ask for nothing but who and where, and in any form. */
export const reduciblePolicies = policies(anyReducible)
export const entityPolicies = policies(ofEntities)
export const anyPolicies = policies(
  fc.oneof({ weight: 4, arbitrary: anyReducible }, { weight: 1, arbitrary: otherwise }),
)

export const randomQuestion: fc.Arbitrary<Question> = fc.record({
  principal: fc.oneof(
    pick(...WORKLOADS).map((id) => ({ kind: 'workload' as const, id: parseSpiffeId(id) })),
    pick('n1', 'n2').map((name) => ({ kind: 'network' as const, name })),
  ),
  destination: pick(...DESTINATIONS),
  host: pick('a.example', 'b.example', 'ae', 'example.org', '*', 'ab.example.e', 'x'),
  port: pick(0, 1, 443, 8443),
  context: fc
    .record({
      now: pick(...MOMENTS, new Date(Number.NaN)),
      sourceIp: pick(
        '10.0.0.1',
        '11.0.0.1',
        '::ffff:10.2.0.1',
        '::1',
        '2001:db8::1',
        '224.0.0.1',
        'ff02::1',
        'none',
      ),
      listener: pick('proxy', 'mesh', '5f'),
      serialNumber: pick('', '5f', '5f0a'),
      vpcEndpoint: pick('vpce-1', 'x', undefined),
    })
    .map(({ vpcEndpoint, ...rest }) => (vpcEndpoint === undefined ? rest : { ...rest, vpcEndpoint })),
})

/** A question and some that differ from it in one or two things, so that what a key leaves out shows. */
export const relatedQuestions: fc.Arbitrary<readonly Question[]> = fc
  .tuple(
    randomQuestion,
    fc.array(fc.tuple(randomQuestion, fc.nat({ max: 8 }), fc.nat({ max: 8 })), {
      minLength: 6,
      maxLength: 24,
    }),
  )
  .map(([base, others]) => [
    base,
    ...others.map(([other, ...fields]) =>
      fields.reduce((question, at) => withField(question, other, at), base),
    ),
  ])

/** One question of everybody for every destination, in any order. */
export const questionsOfAll: fc.Arbitrary<readonly Question[]> = randomQuestion.chain((base) => {
  const who = [
    ...WORKLOADS.map((id) => ({ kind: 'workload' as const, id: parseSpiffeId(id) })),
    ...['n1', 'n2'].map((name) => ({ kind: 'network' as const, name })),
  ]
  const all = who.flatMap((one) =>
    DESTINATIONS.map((destination) => ({ ...base, principal: one, destination })),
  )
  return fc.shuffledSubarray(all, { minLength: all.length })
})

function withField(question: Question, other: Question, at: number): Question {
  const { context } = question
  const { vpcEndpoint, ...rest } = context
  const replaced: readonly Question[] = [
    { ...question, principal: other.principal },
    { ...question, destination: other.destination },
    { ...question, host: other.host },
    { ...question, port: other.port },
    { ...question, context: { ...context, now: other.context.now } },
    { ...question, context: { ...context, sourceIp: other.context.sourceIp } },
    { ...question, context: { ...context, listener: other.context.listener } },
    { ...question, context: { ...context, serialNumber: other.context.serialNumber } },
    { ...question, context: vpcEndpoint === undefined ? { ...rest, vpcEndpoint: 'vpce-1' } : rest },
  ]
  return replaced[at] ?? question
}
