// What a DNS server can say to lead the gateway astray, through the whole way out with a dial that only notes.
import { describe, expect, test } from 'vitest'
import { createOpenUpstream } from '../../../gateway/upstream/open.ts'
import { UpstreamError } from '../../../gateway/upstream/types.ts'
import { ask, bytes4, NONE, resolverOf, v4, withTtl } from './dns-answers.ts'
import { type DnsAnswer, fakeDns } from './fake-dns.ts'
import { HOST, refused, request } from './harness.ts'

const PUBLIC = '198.18.0.1'
const OTHER = '203.0.113.7'
/** Documentation and benchmark ranges, which are not public: excepted here, so that nobody's real address stands in a test. */
const allowAddresses = [`${PUBLIC}/32`, '203.0.113.0/24']

async function scene(answer: (type: 'A' | 'AAAA', asked: number) => DnsAnswer | Promise<DnsAnswer>) {
  const dialled: string[] = []
  let asked = 0
  const dns = await fakeDns((type) => {
    if (type === 'A') asked += 1
    return answer(type, asked)
  })
  const clock = { at: 0, now: () => clock.at }
  const resolve = resolverOf(dns, { clock })
  const open = createOpenUpstream({
    resolve,
    async dial({ address }) {
      dialled.push(address)
      throw new UpstreamError('connect-refused', 'a trap')
    },
  })
  const connect = { timeoutMs: 10_000, attempts: 1, confirmMs: null }
  return {
    ...{ dns, dialled, resolve },
    pass: (ms: number) => {
      clock.at += ms
    },
    open: (exceptions: readonly string[] = allowAddresses) =>
      refused(request(443, { connect, allowAddresses: exceptions }), open),
    [Symbol.asyncDispose]: () => dns[Symbol.asyncDispose](),
  }
}

const onlyA = (answer: DnsAnswer) => (type: 'A' | 'AAAA') => (type === 'A' ? answer : NONE)

describe('an address that is not permitted is not dialled', () => {
  const ANSWERS: Record<string, { answer: DnsAnswer; code: string }> = {
    'behind a CNAME to a private name': {
      answer: {
        records: [
          { type: 'CNAME', data: 'db.corp.internal' },
          { owner: 'db.corp.internal', data: bytes4('10.0.0.1') },
        ],
      },
      code: 'address-private',
    },
    'of a record for another name': {
      answer: { records: [{ owner: 'other.example', data: bytes4('169.254.169.254') }] },
      code: 'address-metadata',
    },
    'in a truncated answer, over TCP': {
      answer: { records: [bytes4('127.0.0.1')], truncated: true },
      code: 'address-loopback',
    },
  }
  for (const [name, { answer, code }] of Object.entries(ANSWERS)) {
    test(name, async () => {
      await using at = await scene(onlyA(answer))
      expect((await at.open()).code).toBe(code)
      expect(at.dialled).toEqual([])
    })
  }

  test('rebinding: a name that moves to a private address after its TTL', async () => {
    await using at = await scene((type, asked) => {
      if (type === 'AAAA') return NONE
      return asked === 1 ? withTtl(PUBLIC, 0) : withTtl('10.0.0.1', 0)
    })
    expect((await at.open()).code).toBe('connect-refused')
    at.pass(1_000)
    expect((await at.open()).code).toBe('address-private')
    expect(at.dialled).toEqual([PUBLIC])
  })

  test('from the cache: it was permitted for another destination', async () => {
    await using at = await scene(onlyA(v4(PUBLIC)))
    expect((await at.open()).code).toBe('connect-refused')
    const error = await at.open([])
    expect(error.code).toMatch(/^address-/)
    expect(error.trace).toMatchObject({ resolution: { source: 'cached' }, found: [PUBLIC], permitted: [] })
    expect(at.dialled).toEqual([PUBLIC])
    expect(at.dns.queries).toHaveLength(2)
  })

  test('beside permitted ones, from the wire and from the cache', async () => {
    await using at = await scene(onlyA(v4('169.254.169.254', OTHER, '10.0.0.1')))
    for (const _ of [1, 2]) await at.open()
    expect(at.dialled).toEqual([OTHER, OTHER])
  })
})

describe('an answer that is not for the question', () => {
  const forgery = [bytes4('203.0.113.66')]
  test.each(['id', 'name'] as const)('with another %s is no answer', async (wrong) => {
    await using at = await scene(onlyA({ records: [bytes4(OTHER)], forged: { wrong, records: forgery } }))
    expect((await ask(at.resolve, HOST)).result).toEqual([OTHER])
  })

  test.each(['id', 'name'] as const)('alone, with another %s, is a time-out', async (wrong) => {
    await using at = await scene(
      onlyA({ records: [], forged: { wrong, records: forgery }, forgedAlone: true }),
    )
    expect((await ask(at.resolve, HOST)).result).toBe('dns-timeout')
  })
})

describe('an answer that is long or late', () => {
  test('truncated: asked for again over TCP', async () => {
    await using at = await scene(onlyA({ records: [bytes4(OTHER)], truncated: true }))
    expect((await ask(at.resolve, HOST)).result).toEqual([OTHER])
    expect(at.dns.queries).toContain(`TCP A ${HOST}`)
  })

  test.each([false, true])('six hundred records (truncated: %s) are thirty-two', async (truncated) => {
    const many = Array.from({ length: 600 }, (_, index) => `198.51.${index >> 8}.${index & 255}`)
    await using at = await scene(onlyA({ records: many.map(bytes4), truncated }))
    expect((await ask(at.resolve, HOST)).result).toEqual(many.slice(0, 32))
  })

  test('slow: waited for', async () => {
    const released = Promise.withResolvers<DnsAnswer>()
    await using at = await scene((type) => (type === 'A' ? released.promise : NONE))
    const asking = ask(at.resolve, HOST)
    await expect.poll(() => at.dns.queries.length).toBe(2)
    released.resolve(v4(OTHER))
    expect((await asking).result).toEqual([OTHER])
  })
})
