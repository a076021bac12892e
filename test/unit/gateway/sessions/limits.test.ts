import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { DestinationLimits } from '../../../../gateway/config/types.ts'
import { type Lease, SessionLimits } from '../../../../gateway/sessions/limits.ts'

const NONE: DestinationLimits = {
  ...{ sessions: null, sessionsPerWorkload: null, newPerSecond: null, newPerSecondPerWorkload: null },
  ...{ bytesPerSecond: null, bytesPerSecondPerWorkload: null },
}

function start(maxSessions = 1_000_000) {
  let now = 0
  const limits = new SessionLimits({ maxSessions, now: () => now })
  return {
    limits,
    pass: (ms: number) => {
      now += ms
    },
    /** A lease, or the code of the refusal. */
    admit(given: Partial<DestinationLimits> | null, workload = 'a', name = 'one'): Lease | string {
      const asked = { name, limits: given === null ? null : { ...NONE, ...given } }
      const result = limits.admit(asked, workload)
      return 'code' in result ? result.code : result
    },
  }
}

const release = (lease: Lease | string | undefined) => {
  if (typeof lease === 'object') lease.release()
}

describe('live sessions', () => {
  test.for<[string, Partial<DestinationLimits>, string]>([
    ['of a destination', { sessions: 2 }, 'limit-sessions'],
    ['of a workload at it', { sessionsPerWorkload: 2 }, 'limit-sessions-per-workload'],
  ])('%s are as many as allowed, and one more when one has ended', ([, given, code]) => {
    const s = start()
    const first = s.admit(given)
    expect(typeof s.admit(given)).toBe('object')
    expect(s.admit(given)).toBe(code)
    // Elsewhere there is room.
    expect(typeof s.admit(given, 'a', 'two')).toBe('object')
    expect(typeof s.admit(given, 'b')).toBe(code === 'limit-sessions' ? 'string' : 'object')
    release(first)
    expect(typeof s.admit(given)).toBe('object')
    expect(s.admit(given)).toBe(code)
  })

  test('of the process are as many as it can afford, whatever destinations allow', () => {
    const s = start(2)
    s.admit(null)
    const second = s.admit(null, 'b', 'two')
    expect(s.admit(null, 'c', 'three')).toBe('limit-process-sessions')
    release(second)
    expect(typeof s.admit(null, 'c', 'three')).toBe('object')
  })
})

test('what was cut makes room at once at the destination and for the workload, and in the process when it is cleared away', () => {
  const s = start(2)
  const given = { sessions: 1, sessionsPerWorkload: 1 }
  const cut = s.admit(given)
  if (typeof cut === 'string') throw new Error(cut)
  cut.leave()
  cut.leave()
  const second = s.admit(given)
  expect(typeof second).toBe('object')
  expect(s.admit(given)).toBe('limit-process-sessions')
  cut.release()
  expect(s.limits.live).toBe(1)
  expect(s.admit(given)).toBe('limit-sessions')
  release(second)
  expect([s.limits.live, typeof s.admit(given)]).toEqual([0, 'object'])
})

describe('new sessions', () => {
  test.for<[string, Partial<DestinationLimits>, string]>([
    ['of a destination', { newPerSecond: 2 }, 'limit-new-sessions'],
    ['of a workload at it', { newPerSecondPerWorkload: 2 }, 'limit-new-sessions-per-workload'],
  ])('%s come at the rate that is allowed, ended or not', ([, given, code]) => {
    const s = start()
    release(s.admit(given))
    release(s.admit(given))
    expect(s.admit(given)).toBe(code)
    s.pass(500)
    expect(typeof s.admit(given)).toBe('object')
    expect(s.admit(given)).toBe(code)
    s.pass(3_600_000)
    expect([s.admit(given), s.admit(given), s.admit(given)].map((one) => typeof one)).toEqual([
      'object',
      'object',
      'string',
    ])
  })

  test('that are refused cost nobody else a place', () => {
    const s = start()
    const given = { newPerSecond: 3, newPerSecondPerWorkload: 1 }
    s.admit(given)
    for (let n = 0; n < 10; n += 1) expect(s.admit(given)).toBe('limit-new-sessions-per-workload')
    expect(typeof s.admit(given, 'b')).toBe('object')
    expect(typeof s.admit(given, 'c')).toBe('object')
    expect(s.admit(given, 'd')).toBe('limit-new-sessions')
  })
})

test('limits that change count for what lives: a lower one refuses, a higher one admits', () => {
  const s = start()
  s.admit({ sessions: 2 })
  s.admit({ sessions: 2 })
  s.limits.configure([{ name: 'one', limits: { ...NONE, sessions: 3 } }])
  expect(typeof s.admit({ sessions: 3 })).toBe('object')
  s.limits.configure([{ name: 'one', limits: { ...NONE, sessions: 1 } }])
  expect(s.admit({ sessions: 1 })).toBe('limit-sessions')
  s.limits.configure([{ name: 'one', limits: null }])
  expect(typeof s.admit(null)).toBe('object')
})

test('no more workloads are remembered than live, and asked within the last second', () => {
  const s = start()
  const kept = s.admit({ newPerSecondPerWorkload: 1 }, 'kept')
  for (let n = 0; n < 10_000; n += 1) {
    release(s.admit({ newPerSecondPerWorkload: 1 }, `w${n}`))
    s.pass(1)
  }
  expect(s.limits.remembered).toBeLessThanOrEqual(1_002)
  s.pass(1_000)
  release(s.admit({ newPerSecondPerWorkload: 1 }, 'last'))
  expect(s.limits.remembered).toBe(2)
  release(kept)
  expect(s.limits.live).toBe(0)
})

test('who owes bytes is not forgotten by ending and beginning anew', () => {
  const s = start()
  const lease = s.admit({ bytesPerSecondPerWorkload: 1024 })
  if (typeof lease === 'string') throw new Error(lease)
  expect(lease.pace.sent.spend(64 * 1024)).toBe(false)
  lease.release()
  s.pass(2_000)
  release(s.admit({ bytesPerSecondPerWorkload: 1024 }, 'b'))
  const again = s.admit({ bytesPerSecondPerWorkload: 1024 })
  if (typeof again === 'string') throw new Error(again)
  expect(again.pace.sent.spend(1)).toBe(false)
  expect(again.pace.received.spend(1)).toBe(true)
})

test('never more live than allowed, and exactly as many as were admitted and not released', () => {
  const act = fc.oneof(
    fc.record({ admit: fc.constantFrom('a', 'b', 'c'), at: fc.constantFrom('one', 'two') }),
    fc.record({ release: fc.nat(50) }),
  )
  fc.assert(
    fc.property(fc.array(act, { maxLength: 120 }), (acts) => {
      const s = start(7)
      const live: { readonly lease: Lease; readonly workload: string; readonly at: string }[] = []
      for (const one of acts) {
        if ('release' in one) {
          const [gone] = live.splice(one.release % Math.max(1, live.length), 1)
          gone?.lease.release()
          continue
        }
        const { admit: workload, at } = one
        const there = live.filter((other) => other.at === at)
        const his = there.filter((other) => other.workload === workload)
        const full = live.length >= 7 || there.length >= 4 || his.length >= 2
        const result = s.admit({ sessions: 4, sessionsPerWorkload: 2 }, workload, at)
        expect(typeof result).toBe(full ? 'string' : 'object')
        if (typeof result === 'object') live.push({ lease: result, workload, at })
        expect(s.limits.live).toBe(live.length)
      }
    }),
  )
})
