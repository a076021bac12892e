import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { ReasonCode } from '../../../../gateway/audit/reasons.ts'
import { BREAK_AFTER, createEndpoints, type Lease } from '../../../../gateway/upstream/endpoints.ts'

const A = '192.0.2.1'
const B = '192.0.2.2'
const C = '192.0.2.3'
const PORT = 443

function scene(random: () => number = () => 0) {
  const clock = { at: 10_000 }
  const endpoints = createEndpoints({ now: () => clock.at, random })
  const begin = (address: string): Lease => {
    const lease = endpoints.begin({ address, port: PORT })
    if (lease === null) throw new Error(`${address} is being probed`)
    return lease
  }
  return {
    endpoints,
    begin,
    fail: (address: string, code: ReasonCode = 'connect-refused') => begin(address).failed(code),
    order: (...addresses: string[]) => endpoints.order('api.bank.example', PORT, addresses),
    pass: (ms: number) => {
      clock.at += ms
    },
  }
}

describe('setting aside', () => {
  test('for a second, then for twice as long each time, a minute at most', () => {
    const at = scene()
    for (const ms of [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]) {
      at.fail(A)
      at.pass(ms - 1)
      expect(at.endpoints.aside).toBe(1)
      at.pass(1)
      expect(at.endpoints.aside).toBe(0)
    }
  })

  test('chance shortens it to half at most', () => {
    const at = scene(() => 1 - Number.EPSILON)
    at.fail(A)
    at.pass(499)
    expect(at.endpoints.aside).toBe(1)
    at.pass(2)
    expect(at.endpoints.aside).toBe(0)
  })

  test('sessions that learn of one failure together count as one', () => {
    const at = scene()
    const leases = Array.from({ length: 1_000 }, () => at.begin(A))
    at.pass(3_000)
    for (const lease of leases) lease.failed('connect-timeout')
    at.pass(999)
    expect(at.endpoints.aside).toBe(1)
    at.pass(1)
    expect(at.endpoints.aside).toBe(0)
  })

  test('ends with the first connection that comes up, and begins small again', () => {
    const at = scene()
    for (const _ of [1, 2, 3]) {
      at.fail(A)
      at.pass(10_000)
    }
    at.begin(A).up()
    at.fail(A)
    at.pass(1_000)
    expect(at.endpoints.aside).toBe(0)
  })

  test('is forgotten after ten minutes', () => {
    const at = scene()
    for (const _ of [1, 2, 3, 4]) at.fail(A)
    at.pass(600_000)
    at.fail(A)
    at.pass(1_000)
    expect(at.endpoints.aside).toBe(0)
  })

  const REASONS: Record<string, { end: (lease: Lease) => void; aside: number }> = {
    'connect-refused sets aside': { end: (lease) => lease.failed('connect-refused'), aside: 1 },
    'connect-timeout sets aside': { end: (lease) => lease.failed('connect-timeout'), aside: 1 },
    'connect-reset sets aside': { end: (lease) => lease.failed('connect-reset'), aside: 1 },
    'connect-unreachable sets aside': { end: (lease) => lease.failed('connect-unreachable'), aside: 1 },
    'connect-failed, which is the gateway’s own fault, does not': {
      end: (lease) => lease.failed('connect-failed'),
      aside: 0,
    },
    'another address that came up after 250 ms of silence sets aside': {
      end: (lease) => lease.lost(250),
      aside: 1,
    },
    'one that came up sooner does not': { end: (lease) => lease.lost(249), aside: 0 },
    'a client that went away does not': { end: (lease) => lease.abandoned(), aside: 0 },
    'a connection does not': { end: (lease) => lease.up(), aside: 0 },
  }
  for (const [name, { end, aside }] of Object.entries(REASONS)) {
    test(name, () => {
      const at = scene()
      end(at.begin(A))
      expect(at.endpoints.aside).toBe(aside)
    })
  }

  test('is by address and port', () => {
    const at = scene()
    at.fail(A)
    expect(at.endpoints.order('h', 80, [A, B])[0]).toBe(A)
  })

  test('what is remembered is bounded', () => {
    const endpoints = createEndpoints({ now: () => 0, random: () => 0, max: 10 })
    for (let port = 1; port <= 100; port += 1)
      endpoints.begin({ address: A, port })?.failed('connect-refused')
    expect(endpoints.aside).toBe(10)
  })
})

describe('the breaker', () => {
  const open = (at: ReturnType<typeof scene>) => {
    for (let failure = 0; failure < BREAK_AFTER; failure += 1) at.fail(A)
  }

  test('lets everything through until five failures in a row', () => {
    const at = scene()
    for (let failure = 1; failure < BREAK_AFTER; failure += 1) at.fail(A)
    const leases = [at.begin(A), at.begin(A)]
    for (const lease of leases) lease.abandoned()
    at.fail(A)
    at.begin(A)
    expect(at.endpoints.begin({ address: A, port: PORT })).toBeNull()
  })

  test('lets one probe through at a time, at once and for as long as it takes', () => {
    const at = scene()
    open(at)
    const probe = at.begin(A)
    at.pass(100_000)
    expect(at.endpoints.begin({ address: A, port: PORT })).toBeNull()
    probe.failed('connect-refused')
    at.begin(A).abandoned()
    at.begin(A).lost(1_000)
    expect(at.endpoints.begin({ address: A, port: PORT })).not.toBeNull()
  })

  test('closes with the first that comes up', () => {
    const at = scene()
    open(at)
    at.begin(A).up()
    at.begin(A)
    at.begin(A)
  })

  test('closes too where one that was begun before it opened comes up', () => {
    const at = scene()
    const old = at.begin(A)
    open(at)
    at.begin(A)
    old.up()
    at.begin(A)
    at.begin(A)
  })

  test('does not count lost races', () => {
    const at = scene()
    for (let failure = 1; failure < BREAK_AFTER; failure += 1) at.fail(A)
    for (let loss = 0; loss < 20; loss += 1) at.begin(A).lost(300)
    at.begin(A)
    at.begin(A)
  })

  test('is one endpoint’s', () => {
    const at = scene()
    open(at)
    at.begin(A)
    at.begin(B)
    at.begin(B)
    expect(at.endpoints.begin({ address: A, port: 80 })).not.toBeNull()
  })

  test('matches a model that counts failures in a row and probes', () => {
    type Step = { what: 'begin' } | { what: 'end'; index: number; how: 'up' | 'failed' | 'abandoned' }
    const steps = fc.array(
      fc.oneof(
        fc.constant<Step>({ what: 'begin' }),
        fc.record({
          what: fc.constant('end' as const),
          index: fc.nat(5),
          how: fc.constantFrom('up', 'failed', 'failed', 'failed', 'abandoned'),
        }),
      ),
      { maxLength: 80 },
    )
    fc.assert(
      fc.property(steps, (all) => {
        const at = scene()
        const leases: { lease: Lease; probe: boolean }[] = []
        let failures = 0
        let probing = false
        for (const step of all) {
          if (step.what === 'begin') {
            const lease = at.endpoints.begin({ address: A, port: PORT })
            const probe = failures >= BREAK_AFTER
            expect(lease === null).toBe(probe && probing)
            if (lease === null) continue
            probing ||= probe
            leases.push({ lease, probe })
            continue
          }
          const [ended] = leases.splice(step.index, 1)
          if (ended === undefined) continue
          if (step.how === 'failed') ended.lease.failed('connect-refused')
          else ended.lease[step.how]()
          // A connection clears everything, and with it the probe that others still have.
          if (step.how === 'up') for (const other of leases) other.probe = false
          if (ended.probe || step.how === 'up') probing = false
          failures = step.how === 'up' ? 0 : failures + (step.how === 'failed' ? 1 : 0)
        }
      }),
    )
  })
})

describe('the order of endpoints', () => {
  test('begins one further on each time, at a place of chance', () => {
    const at = scene(() => 1 / 2 ** 16)
    expect([1, 2, 3, 4].map(() => at.order(A, B, C)[0])).toEqual([B, C, A, B])
  })

  test('is each host’s own', () => {
    const at = scene()
    const first = (host: string) => at.endpoints.order(host, PORT, [A, B])[0]
    expect([first('a'), first('b'), first('a'), first('b')]).toEqual([A, A, B, B])
  })

  test('shares sessions evenly among those that are not set aside', () => {
    const at = scene()
    at.fail(B)
    const counts = new Map<string, number>()
    for (let session = 0; session < 90; session += 1) {
      const [first = ''] = at.order(A, B, C)
      counts.set(first, (counts.get(first) ?? 0) + 1)
    }
    expect(counts).toEqual(
      new Map([
        [A, 45],
        [C, 45],
      ]),
    )
  })

  test('alternates families from IPv4', () => {
    const at = scene()
    at.order(A, B, '2001:db8::1', '2001:db8::2')
    expect(at.order(A, B, '2001:db8::1', '2001:db8::2')).toEqual([B, '2001:db8::2', A, '2001:db8::1'])
  })

  test('has those set aside last, the soonest back first, and leaves none out', () => {
    const at = scene()
    at.fail(A)
    at.fail(A)
    at.fail(B)
    expect(at.order(A, B, C)).toEqual([C, B, A])
    at.fail(C)
    expect(new Set(at.order(A, B, C))).toEqual(new Set([A, B, C]))
    expect(at.order(A)).toEqual([A])
  })

  test('has every address once, whatever failed', () => {
    const address = fc.constantFrom(A, B, C, '2001:db8::1', '2001:db8::2', '2001:db8::3')
    fc.assert(
      fc.property(fc.uniqueArray(address), fc.array(address), fc.nat(70_000), (addresses, failed, ms) => {
        const at = scene()
        for (const one of failed) at.endpoints.begin({ address: one, port: PORT })?.failed('connect-timeout')
        at.pass(ms)
        const order = at.order(...addresses)
        expect([...order].sort()).toEqual([...addresses].sort())
      }),
    )
  })
})
