// Which destination a request belongs to, against a slow oracle that scores every pattern.
import fc from 'fast-check'
import { isIP } from 'node:net'
import { describe, expect, test } from 'vitest'
import type { HostPattern } from '../../../../gateway/config/types.ts'
import { compileDestinations, targetOf } from '../../../../gateway/destinations/match.ts'

interface Entry {
  readonly name: string
  readonly hosts: readonly HostPattern[]
  readonly ports: readonly number[]
  readonly requestedAs?: readonly { readonly host: string; readonly port: number }[]
}

const exact = (host: string): HostPattern => ({ kind: 'exact', host })
const suffix = (text: string): HostPattern => ({ kind: 'suffix', suffix: text })
const any: HostPattern = { kind: 'any' }
const address = (text: string): HostPattern => ({ kind: 'address', address: text })

const LIST: readonly Entry[] = [
  { name: 'wide', hosts: [any], ports: [443] },
  { name: 'example', hosts: [suffix('example')], ports: [443] },
  { name: 'bank', hosts: [suffix('bank.example')], ports: [443, 8443] },
  { name: 'api', hosts: [exact('api.bank.example')], ports: [443] },
  { name: 'metadata', hosts: [address('169.254.169.254'), address('2001:db8::1')], ports: [80] },
]

describe('a request', () => {
  const matcher = compileDestinations(LIST)
  test.each<[string, string, number, string | null]>([
    ['an exact name beats its suffixes', 'api.bank.example', 443, 'api'],
    ['on another port the suffix has it', 'api.bank.example', 8443, 'bank'],
    ['the longer suffix beats the shorter', 'www.bank.example', 443, 'bank'],
    ['a suffix covers any depth', 'a.b.c.bank.example', 443, 'bank'],
    ['a suffix never covers its apex', 'bank.example', 443, 'example'],
    ['a suffix is whole labels', 'evilbank.example', 443, 'example'],
    ['* takes the rest', 'other.test', 443, 'wide'],
    ['* takes no other port', 'other.test', 80, null],
    ['an address by its own entry', '169.254.169.254', 80, 'metadata'],
    ['an IPv6 address by its own entry', '2001:db8::1', 80, 'metadata'],
    ['no pattern covers an address', '203.0.113.9', 443, null],
    ['nor an IPv6 address', '2001:db8::2', 443, null],
  ])('%s', (_name, host, port, expected) => {
    expect(matcher.match(host, port)?.name ?? null).toBe(expected)
  })
})

test('two entries that claim the same host and port are an error, whatever their order', () => {
  const twice = [
    { name: 'a', hosts: [exact('x.example')], ports: [1, 2] },
    { name: 'b', hosts: [exact('x.example')], ports: [2] },
  ]
  expect(() => compileDestinations(twice)).toThrow('x.example:2')
  expect(() => compileDestinations(twice.toReversed())).toThrow('x.example:2')
})

const label = fc.constantFrom('a', 'b', 'bank')
const host = fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => labels.join('.'))
const pattern: fc.Arbitrary<HostPattern> = fc.oneof(host.map(exact), host.map(suffix), fc.constant(any))

function score(of: HostPattern, asked: string): number {
  if (of.kind === 'exact') return of.host === asked ? 1000 : -1
  if (of.kind === 'suffix') return asked.endsWith(`.${of.suffix}`) ? of.suffix.split('.').length : -1
  return of.kind === 'any' ? 0 : -1
}

test('the closest pattern wins, and the order of the configuration never matters', () => {
  const patterns = fc.uniqueArray(pattern, { maxLength: 6, selector: (of) => JSON.stringify(of) })
  fc.assert(
    fc.property(patterns, host, (hosts, asked) => {
      const list = hosts.map((of, index) => ({ name: String(index), hosts: [of], ports: [443] }))
      const best = list
        .map((entry) => ({ entry, points: score(entry.hosts[0] ?? any, asked) }))
        .filter(({ points }) => points >= 0)
        .sort((a, b) => b.points - a.points)[0]?.entry
      for (const order of [list, list.toReversed()])
        expect(compileDestinations(order).match(asked, 443)?.name).toBe(best?.name)
    }),
  )
})

describe('a destination that a mesh asks for by addresses', () => {
  const asked = {
    name: 'asked',
    hosts: [exact('api.bank.example')],
    ports: [443],
    requestedAs: [
      { host: '240.240.0.7', port: 443 },
      { host: '2001:2::7', port: 8443 },
    ],
  }
  const byAddress = {
    name: 'by-address',
    hosts: [address('203.0.113.9')],
    ports: [443],
    requestedAs: [{ host: '240.240.0.8', port: 1 }],
  }
  const matcher = compileDestinations([...LIST.filter(({ name }) => name !== 'api'), asked, byAddress])

  test.each<[string, number, string | null, { host: string; port: number }]>([
    ['240.240.0.7', 443, 'asked', { host: 'api.bank.example', port: 443 }],
    ['2001:2::7', 8443, 'asked', { host: 'api.bank.example', port: 443 }],
    // Its own name is asked for as ever.
    ['api.bank.example', 443, 'asked', { host: 'api.bank.example', port: 443 }],
    ['240.240.0.8', 1, 'by-address', { host: '203.0.113.9', port: 443 }],
    ['240.240.0.7', 8443, null, { host: '240.240.0.7', port: 8443 }],
    ['240.240.0.9', 443, null, { host: '240.240.0.9', port: 443 }],
  ])('%s on %d is of %s', (host, port, name, target) => {
    const found = matcher.match(host, port)
    expect(found?.name ?? null).toBe(name)
    // What nobody has is dialled by nobody; of what another has, the request itself is the target.
    expect(targetOf({ ...asked, ...found, requestedAs: found?.requestedAs ?? [] }, { host, port })).toEqual(
      target,
    )
  })

  test('an address of another destination is refused', () => {
    const tie = {
      name: 'tie',
      hosts: [exact('other.example')],
      ports: [443],
      requestedAs: [{ host: '203.0.113.9', port: 443 }],
    }
    expect(() => compileDestinations<Entry>([byAddress, tie])).toThrow('203.0.113.9:443')
  })
})

/** A request is settled by these alone, one pattern and one port at a time; nothing of the matcher's table is in it. */
const model = {
  covers(of: HostPattern, asked: string): boolean {
    if (of.kind === 'address') return of.address === asked
    // A literal address is no name, whatever a pattern says.
    if (isIP(asked) !== 0) return false
    if (of.kind === 'exact') return of.host === asked
    if (of.kind === 'any') return true
    const [labels, wanted] = [asked.split('.'), of.suffix.split('.')]
    return labels.length > wanted.length && labels.slice(-wanted.length).join('.') === of.suffix
  },
  /** Exact and address, then suffixes by their labels, then `*`. */
  closeness(of: HostPattern): number {
    if (of.kind === 'suffix') return of.suffix.split('.').length
    return of.kind === 'any' ? 0 : 1000
  },
  same(a: HostPattern, b: HostPattern): boolean {
    return JSON.stringify(a) === JSON.stringify(b)
  },
  /** Each entry of hosts and requestedAs, with each of its ports. */
  claims(entry: Entry): readonly { readonly of: HostPattern; readonly port: number }[] {
    const hosts = entry.hosts.flatMap((of) => entry.ports.map((port) => ({ of, port })))
    return [...hosts, ...(entry.requestedAs ?? []).map((at) => ({ of: address(at.host), port: at.port }))]
  },
  ties(list: readonly Entry[]): boolean {
    const all = list.flatMap((entry) => model.claims(entry))
    return all.some((one, index) =>
      all.slice(index + 1).some((other) => one.port === other.port && model.same(one.of, other.of)),
    )
  },
  match(list: readonly Entry[], asked: string, port: number): string | null {
    const all = list.flatMap((entry) => model.claims(entry).map((claim) => ({ ...claim, name: entry.name })))
    const fit = all.filter((claim) => claim.port === port && model.covers(claim.of, asked))
    return fit.toSorted((a, b) => model.closeness(b.of) - model.closeness(a.of))[0]?.name ?? null
  },
}

describe('whatever the destinations', () => {
  const literal = fc.constantFrom('203.0.113.9', '203.0.113.10', '2001:db8::9')
  const port = fc.constantFrom(443, 8443, 22)
  const entry = fc.record({
    hosts: fc.array(fc.oneof(pattern, pattern, literal.map(address)), { minLength: 1, maxLength: 3 }),
    ports: fc.uniqueArray(port, { minLength: 1, maxLength: 3 }),
    requestedAs: fc.array(fc.record({ host: literal, port }), { maxLength: 1 }),
  })
  const list = fc
    .array(entry, { maxLength: 5 })
    .map((entries) => entries.map((one, index) => ({ ...one, name: String(index) })))

  test('two equal claims are an error, and nothing else is', () => {
    fc.assert(
      fc.property(list, (destinations) => {
        const compile = () => compileDestinations<Entry>(destinations)
        if (model.ties(destinations)) expect(compile).toThrow('two destinations claim')
        else expect(compile).not.toThrow()
      }),
      { numRuns: 1_000 },
    )
  })

  test('a request is of the one with the closest pattern on its port, in whatever order they stand', () => {
    fc.assert(
      fc.property(list, fc.oneof(host, host, literal), port, (destinations, asked, on) => {
        fc.pre(!model.ties(destinations))
        const expected = model.match(destinations, asked, on)
        for (const order of [destinations, destinations.toReversed()]) {
          expect(compileDestinations<Entry>(order).match(asked, on)?.name ?? null).toBe(expected)
        }
      }),
      { numRuns: 1_000 },
    )
  })
})
