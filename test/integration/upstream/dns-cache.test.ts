// The resolver with its cache, against a DNS server that changes its mind; time is told, never waited for.
import { describe, expect, test } from 'vitest'
import type { DnsLimits } from '../../../gateway/config/types.ts'
import type { ResolveResult } from '../../../gateway/upstream/resolve.ts'
import {
  ask,
  bytes4,
  LIMITS,
  NO_SUCH_NAME,
  NONE,
  resolverOf,
  SERVER_FAILURE,
  v4,
  v6,
  withTtl,
} from './dns-answers.ts'
import { type DnsAnswer, fakeDns } from './fake-dns.ts'

const HOST = 'api.bank.example'
const FIRST = '192.0.2.1'
const SECOND = '192.0.2.2'

/** A resolver, its clock, and a server whose answer to A (and AAAA) can be replaced. */
async function scene(a: DnsAnswer, limits: Partial<DnsLimits> = {}) {
  const answers = { a, aaaa: NONE }
  const clock = { at: 1_000_000, now: () => clock.at }
  const results: ResolveResult[] = []
  const sampled: { hosts: () => number } = { hosts: () => -1 }
  const dns = await fakeDns((type) => (type === 'A' ? answers.a : answers.aaaa))
  const resolve = resolverOf(dns, {
    clock,
    limits: { ...LIMITS, ...limits },
    metrics: {
      resolved: (result) => results.push(result),
      sampleDnsCache: (hosts) => {
        sampled.hosts = hosts
      },
    },
  })
  return {
    ...{ answers, dns, results, resolve },
    hosts: () => sampled.hosts(),
    ask: (host = HOST) => ask(resolve, host),
    /** How often A was asked for. */
    asked: () => dns.queries.filter((query) => query.startsWith('A ')).length,
    pass: (ms: number) => {
      clock.at += ms
    },
    [Symbol.asyncDispose]: () => dns[Symbol.asyncDispose](),
  }
}

describe('an answer counts for its TTL', () => {
  test('within limits, whole, and is asked for again after', async () => {
    await using at = await scene({
      records: [
        { data: bytes4(FIRST), ttl: 60 },
        { data: bytes4(SECOND), ttl: 30 },
      ],
    })
    expect(await at.ask()).toEqual({
      result: [FIRST, SECOND],
      noted: { addresses: [FIRST, SECOND], source: 'asked', ttlMs: 30_000 },
    })
    at.answers.a = v4('192.0.2.3')
    at.pass(29_999)
    expect(await at.ask()).toEqual({
      result: [FIRST, SECOND],
      noted: { addresses: [FIRST, SECOND], source: 'cached', ttlMs: 1 },
    })
    at.pass(1)
    expect((await at.ask()).result).toEqual(['192.0.2.3'])
    expect(at.asked()).toBe(2)
    expect(at.results).toEqual(['asked', 'cached', 'asked'])
    expect(at.hosts()).toBe(1)
  })

  const TIMES: Record<string, { a: DnsAnswer; aaaa?: DnsAnswer; limits?: Partial<DnsLimits>; ms: number }> = {
    'TTL 0 for the minimum': { a: withTtl(FIRST, 0), ms: 1_000 },
    'TTL 1 day for the maximum': { a: withTtl(FIRST, 86_400), ms: 300_000 },
    'the greatest TTL for the maximum': { a: withTtl(FIRST, 2 ** 31 - 1), ms: 300_000 },
    'a TTL of 2^31 as none (RFC 2181 §8)': { a: withTtl(FIRST, 2 ** 31), ms: 1_000 },
    'a TTL of 2^32-1 as none': { a: withTtl(FIRST, 2 ** 32 - 1), ms: 1_000 },
    'as the configuration has it': {
      a: withTtl(FIRST, 5),
      limits: { minTtlMs: 10_000, maxTtlMs: 10_000 },
      ms: 10_000,
    },
    'the shortest of both families': {
      a: withTtl(FIRST, 200),
      aaaa: { records: [{ data: new Uint8Array(16).fill(32), ttl: 20 }] },
      ms: 20_000,
    },
    'the TTL of the CNAME where it is the shorter': {
      a: {
        records: [
          { type: 'CNAME', data: 'edge.example', ttl: 7 },
          { owner: 'edge.example', data: bytes4(FIRST), ttl: 60 },
        ],
      },
      ms: 7_000,
    },
    'the TTL of the address where that is the shorter': {
      a: {
        records: [
          { type: 'CNAME', data: 'edge.example', ttl: 60 },
          { owner: 'edge.example', data: bytes4(FIRST), ttl: 7 },
        ],
      },
      ms: 7_000,
    },
    'the minimum where A failed and IPv6 alone is known': {
      a: SERVER_FAILURE,
      aaaa: v6('2001:0db8:0000:0000:0000:0000:0000:0001'),
      ms: 1_000,
    },
  }
  for (const [name, { a, aaaa = NONE, limits = {}, ms }] of Object.entries(TIMES)) {
    test(name, async () => {
      await using at = await scene(a, limits)
      at.answers.aaaa = aaaa
      await at.ask()
      at.pass(ms - 1)
      await at.ask()
      expect(at.asked()).toBe(1)
      at.pass(1)
      await at.ask()
      expect(at.asked()).toBe(2)
    })
  }

  test('with no minimum a TTL of 0 is asked for each time', async () => {
    await using at = await scene(withTtl(FIRST, 0), { minTtlMs: 0 })
    for (const _ of [1, 2, 3]) expect((await at.ask()).result).toEqual([FIRST])
    expect(at.asked()).toBe(3)
  })
})

describe('a failure counts too', () => {
  test.each([
    ['no such name', NO_SUCH_NAME],
    ['a name without addresses', NONE],
  ])('%s: for negativeTtl', async (_, answer) => {
    await using at = await scene(answer)
    expect((await at.ask()).result).toBe('dns-not-found')
    at.answers.a = v4(FIRST)
    at.pass(4_999)
    expect((await at.ask()).result).toBe('dns-not-found')
    at.pass(1)
    expect((await at.ask()).result).toEqual([FIRST])
    expect(at.results).toEqual(['dns-not-found', 'dns-not-found', 'asked'])
  })

  test('not at all with negativeTtl 0', async () => {
    await using at = await scene(NO_SUCH_NAME, { negativeTtlMs: 0 })
    await at.ask()
    await at.ask()
    expect(at.asked()).toBe(2)
  })

  test('of the resolver: for a second (RFC 9520)', async () => {
    await using at = await scene(SERVER_FAILURE)
    at.answers.aaaa = SERVER_FAILURE
    expect((await at.ask()).result).toBe('dns-failed')
    at.pass(999)
    expect((await at.ask()).result).toBe('dns-failed')
    expect(at.asked()).toBe(1)
    at.pass(1)
    at.answers.a = v4(FIRST)
    expect((await at.ask()).result).toEqual([FIRST])
  })
})

describe('a stale answer', () => {
  const DOWN: Record<string, DnsAnswer> = {
    fails: SERVER_FAILURE,
    'is silent': 'silence',
    'talks rubbish': 'garbage',
  }
  for (const [name, down] of Object.entries(DOWN)) {
    test(`stands in while the resolver ${name}, and no longer than staleTtl`, async () => {
      await using at = await scene(withTtl(FIRST, 60))
      await at.ask()
      at.answers.a = down
      at.answers.aaaa = down
      at.pass(60_000)
      const { result, noted } = await at.ask()
      expect(result).toEqual([FIRST])
      expect(noted).toMatchObject({ source: 'stale', ttlMs: 0 })
      at.pass(3_600_000 - 1)
      expect((await at.ask()).result).toEqual([FIRST])
      at.pass(1)
      expect((await at.ask()).result).toMatch(/^dns-(?:failed|timeout)$/)
    })
  }

  test('the resolver is asked again after five seconds alone', async () => {
    await using at = await scene(withTtl(FIRST, 60))
    await at.ask()
    at.answers.a = SERVER_FAILURE
    at.answers.aaaa = SERVER_FAILURE
    at.pass(60_000)
    await at.ask()
    at.answers.a = v4(SECOND)
    at.pass(4_999)
    expect((await at.ask()).result).toEqual([FIRST])
    expect(at.asked()).toBe(2)
    at.pass(1)
    expect((await at.ask()).result).toEqual([SECOND])
  })

  test.each([
    ['does not exist any more', NO_SUCH_NAME],
    ['has no address any more', NONE],
  ])('is never used for a name that %s, nor when the resolver fails after that', async (_, gone) => {
    await using at = await scene(withTtl(FIRST, 60))
    await at.ask()
    at.answers.a = gone
    at.pass(60_000)
    expect((await at.ask()).result).toBe('dns-not-found')
    at.answers.a = SERVER_FAILURE
    at.pass(5_000)
    expect((await at.ask()).result).toBe('dns-failed')
  })

  test('is never used with staleTtl 0', async () => {
    await using at = await scene(withTtl(FIRST, 60), { staleTtlMs: 0 })
    await at.ask()
    at.answers.a = SERVER_FAILURE
    at.pass(60_000)
    expect((await at.ask()).result).toBe('dns-failed')
  })
})

describe('look-ups of one host at the same time', () => {
  test('are one', async () => {
    await using at = await scene(v4(FIRST))
    const all = await Promise.all(Array.from({ length: 50 }, () => at.ask()))
    expect(all.map(({ result }) => result)).toEqual(Array.from({ length: 50 }, () => [FIRST]))
    expect([...at.dns.queries].sort()).toEqual([`A ${HOST}`, `AAAA ${HOST}`])
  })

  test('one who goes away takes nobody with him', async () => {
    const released = Promise.withResolvers<DnsAnswer>()
    await using dns = await fakeDns((type) => (type === 'A' ? released.promise : NONE))
    const resolve = resolverOf(dns, { timeoutMs: 30_000 })
    const leaving = new AbortController()
    const gone = resolve(HOST, leaving.signal)
    const staying = ask(resolve, HOST)
    await expect.poll(() => dns.queries.length).toBe(2)
    leaving.abort()
    await expect(gone).rejects.toMatchObject({ code: 'relay-client-reset' })
    released.resolve(v4(FIRST))
    expect((await staying).result).toEqual([FIRST])
    expect(dns.queries).toHaveLength(2)
  })

  test('fail together, and other hosts are not concerned', async () => {
    await using dns = await fakeDns((_type, name) => (name === HOST ? NO_SUCH_NAME : v4(SECOND)))
    const resolve = resolverOf(dns)
    const [one, two, other] = await Promise.all([
      ask(resolve, HOST),
      ask(resolve, HOST),
      ask(resolve, 'b.example'),
    ])
    expect([one.result, two.result]).toEqual(['dns-not-found', 'dns-not-found'])
    expect(other.result).toContain(SECOND)
  })
})
