import { readFile } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import {
  ask,
  LIMITS,
  NO_SUCH_NAME,
  NONE,
  REFUSED,
  resolverOf,
  SERVER_FAILURE,
  v4,
  v6,
} from './dns-answers.ts'
import { type DnsAnswer, fakeDns } from './fake-dns.ts'
import { runUnderEnvironment } from './resolve-apart.ts'

const ONE_V6 = '2001:0db8:0000:0000:0000:0000:0000:0001'
const MAPPED_METADATA = '0000:0000:0000:0000:0000:ffff:a9fe:a9fe'
const COMPATIBLE = '0000:0000:0000:0000:0000:0000:0808:0808'

async function askOnce(a: DnsAnswer, aaaa: DnsAnswer, host = 'api.bank.example') {
  await using dns = await fakeDns((type) => (type === 'A' ? a : aaaa))
  const { result } = await ask(resolverOf(dns), host)
  return { result, queries: dns.queries }
}

const CASES: Record<string, { a: DnsAnswer; aaaa: DnsAnswer; result: string | readonly string[] }> = {
  'both families, in turn, IPv4 first': {
    a: v4('192.0.2.1', '192.0.2.2'),
    aaaa: v6(ONE_V6),
    result: ['192.0.2.1', '2001:db8::1', '192.0.2.2'],
  },
  'IPv4 alone': { a: v4('192.0.2.1'), aaaa: NONE, result: ['192.0.2.1'] },
  'IPv6 alone': { a: NONE, aaaa: v6(ONE_V6), result: ['2001:db8::1'] },
  'IPv4 answers and IPv6 fails': { a: v4('192.0.2.1'), aaaa: SERVER_FAILURE, result: ['192.0.2.1'] },
  'IPv4 answers and IPv6 is silent': { a: v4('192.0.2.1'), aaaa: 'silence', result: ['192.0.2.1'] },
  'IPv6 answers and IPv4 is silent': { a: 'silence', aaaa: v6(ONE_V6), result: ['2001:db8::1'] },
  'no such name': { a: NO_SUCH_NAME, aaaa: NO_SUCH_NAME, result: 'dns-not-found' },
  'a name without addresses': { a: NONE, aaaa: NONE, result: 'dns-not-found' },
  'one family empty, the other silent': { a: NONE, aaaa: 'silence', result: 'dns-timeout' },
  silence: { a: 'silence', aaaa: 'silence', result: 'dns-timeout' },
  'a failing server': { a: SERVER_FAILURE, aaaa: SERVER_FAILURE, result: 'dns-failed' },
  'a server that refuses us': { a: REFUSED, aaaa: REFUSED, result: 'dns-failed' },
  'one family fails, the other is empty': { a: NONE, aaaa: SERVER_FAILURE, result: 'dns-failed' },
  'an answer that is no answer': { a: 'garbage', aaaa: 'garbage', result: 'dns-failed' },
  'a mapped address is the IPv4 address that it is': {
    a: NONE,
    aaaa: v6(MAPPED_METADATA),
    result: ['169.254.169.254'],
  },
  'an IPv4-compatible address is not the IPv4 address': {
    a: NONE,
    aaaa: v6(COMPATIBLE),
    result: ['::808:808'],
  },
}

describe('createResolve', () => {
  for (const [name, { a, aaaa, result }] of Object.entries(CASES)) {
    test(name, async () => {
      expect((await askOnce(a, aaaa)).result).toEqual(result)
    })
  }

  test('reads no hosts file: every name in /etc/hosts is asked for like any other', async () => {
    await using dns = await fakeDns((type) => (type === 'A' ? v4('192.0.2.1') : NONE))
    const resolve = resolverOf(dns)
    const lines = (await readFile('/etc/hosts', 'utf8')).split('\n').map((line) => line.replace(/#.*/, ''))
    const names = lines.flatMap((line) => line.trim().toLowerCase().split(/\s+/).slice(1))
    const foreign = [...new Set(names)].filter((name) => !/(?:^|\.)localhost$/.test(name))
    for (const name of foreign) expect(await ask(resolve, name)).toMatchObject({ result: ['192.0.2.1'] })
    expect(dns.queries).toHaveLength(foreign.length * 2)
  })

  test('asks for exactly the name, whatever suffixes, aliases and hosts file the environment names', async () => {
    await using dns = await fakeDns((type, name) =>
      type === 'A' && name === 'bank' ? v4('192.0.2.1') : NO_SUCH_NAME,
    )
    expect(await runUnderEnvironment(dns.address, ['bank', 'teller'])).toEqual([
      ['192.0.2.1'],
      'dns-not-found',
    ])
    expect([...dns.queries].sort()).toEqual(['A bank', 'A teller', 'AAAA bank', 'AAAA teller'])
  })

  test.each([
    ['192.0.2.1', ['192.0.2.1']],
    ['2001:db8::1', ['2001:db8::1']],
    ['localhost', ['127.0.0.1', '::1']],
    ['a.localhost', ['127.0.0.1', '::1']],
  ])('%s without a query', async (host, expected) => {
    const { result, queries } = await askOnce(v4('203.0.113.9'), NONE, host)
    expect(result).toEqual(expected)
    expect(queries).toEqual([])
  })

  test.each(['', '.', 'a..b', 'a.example.', 'a\0.example', 'a b', 'ａ.example', 'x'.repeat(64), 'A.example'])(
    'never asks for %j',
    async (host) => {
      const { result, queries } = await askOnce(v4('203.0.113.9'), NONE, host)
      expect(result).toBe('dns-failed')
      expect(queries).toEqual([])
    },
  )

  test('looks at a bounded number of addresses', async () => {
    const many = Array.from({ length: 60 }, (_, index) => `192.0.2.${index}`)
    const { result } = await askOnce(v4(...many), NONE)
    expect(result).toEqual(many.slice(0, 32))
  })

  test('nobody at the server’s port', async () => {
    const dns = await fakeDns(() => 'silence')
    await dns[Symbol.asyncDispose]()
    expect((await ask(resolverOf(dns), 'a.example')).result).toMatch(/^dns-(?:failed|timeout)$/)
  })

  test('an abort ends the wait', async () => {
    await using dns = await fakeDns(() => 'silence')
    const client = new AbortController()
    const asking = resolverOf(dns, { timeoutMs: 60_000, limits: LIMITS })('a.example', client.signal)
    await expect.poll(() => dns.queries.length).toBe(2)
    client.abort()
    await expect(asking).rejects.toMatchObject({ code: 'relay-client-reset' })
  })
})
