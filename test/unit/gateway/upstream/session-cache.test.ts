import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { SessionCache, type StoredSession } from '../../../../gateway/upstream/session-cache.ts'

const stored = (text: string, more: Partial<StoredSession> & { endsAt?: number } = {}): StoredSession => ({
  session: Buffer.from(text),
  origin: {
    certificateSha256: null,
    proof: null,
    shares: 'all',
    asked: false,
    clientCertificateSha256: null,
    endsAt: more.endsAt ?? 1_000,
  },
  singleUse: more.singleUse ?? true,
})
const textOf = (session: StoredSession | null) => session?.session.toString() ?? null

function cache(options: { maxBytes?: number } = {}) {
  const clock = { now: 0 }
  return { clock, sessions: new SessionCache({ now: () => clock.now, ...options }) }
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
})
afterEach(() => {
  vi.useRealTimers()
})

describe('take', () => {
  test('a ticket of TLS 1.3 once, the newest first', () => {
    const { sessions } = cache()
    sessions.put('a', stored('1'))
    sessions.put('a', stored('2'))
    expect([1, 2, 3].map(() => textOf(sessions.take('a')))).toEqual(['2', '1', null])
    expect(sessions.bytes).toBe(0)
  })

  test('a session of TLS 1.2 as often as wanted', () => {
    const { sessions } = cache()
    sessions.put('a', stored('1', { singleUse: false }))
    expect([1, 2, 3].map(() => textOf(sessions.take('a')))).toEqual(['1', '1', '1'])
  })

  test('nothing of another key', () => {
    const { sessions } = cache()
    sessions.put('a', stored('1'))
    expect(sessions.take('b')).toBeNull()
  })

  test('nothing that has ended', () => {
    const { sessions, clock } = cache()
    sessions.put('a', stored('1', { endsAt: 10 }))
    sessions.put('a', stored('2', { endsAt: 5 }))
    clock.now = 5
    expect(textOf(sessions.take('a'))).toBe('1')
    sessions.put('a', stored('3', { endsAt: 10 }))
    clock.now = 10
    expect(sessions.take('a')).toBeNull()
    expect(sessions.bytes).toBe(0)
  })
})

describe('put', () => {
  test('keeps the sixteen newest of a key', () => {
    const { sessions } = cache()
    for (let number = 1; number <= 20; number += 1) sessions.put('a', stored(`${number}`))
    const newest = Array.from({ length: 16 }, (_, at) => `${20 - at}`)
    expect(Array.from({ length: 17 }, () => textOf(sessions.take('a')))).toEqual([...newest, null])
  })

  test('a session of TLS 1.2 stands alone', () => {
    const { sessions } = cache()
    sessions.put('a', stored('1'))
    sessions.put('a', stored('2', { singleUse: false }))
    expect(sessions.bytes).toBe(1)
    sessions.put('a', stored('3'))
    expect([1, 2].map(() => textOf(sessions.take('a')))).toEqual(['3', null])
  })

  test('takes nothing that has ended, and nothing that is too large', () => {
    const { sessions } = cache()
    sessions.put('a', stored('1', { endsAt: 0 }))
    sessions.put('a', stored('x'.repeat(16 * 1024 + 1)))
    expect(sessions.bytes).toBe(0)
  })

  test('drops the key that was least recently used', () => {
    const { sessions } = cache({ maxBytes: 3 })
    for (const key of 'abc') sessions.put(key, stored(key, { singleUse: false }))
    sessions.take('a')
    sessions.put('d', stored('d'))
    expect(['a', 'b', 'c', 'd'].map((key) => textOf(sessions.take(key)))).toEqual(['a', null, 'c', 'd'])
  })
})

test('forget drops all of a key', () => {
  const { sessions } = cache()
  for (const text of '12') sessions.put('a', stored(text))
  sessions.put('b', stored('3'))
  sessions.forget('a')
  expect([sessions.take('a'), textOf(sessions.take('b'))]).toEqual([null, '3'])
})

describe('keys of a destination as it was before', () => {
  const before = { destination: 'bank', generation: 1 }
  const after = { destination: 'bank', generation: 2 }

  test('go with the first of it as it is now, and those of others stay', () => {
    const { sessions } = cache()
    for (const key of 'ab') sessions.put(key, stored(key), before)
    sessions.put('c', stored('c'), { destination: 'other', generation: 1 })
    sessions.put('d', stored('d'))
    sessions.put('e', stored('e'), after)
    expect(sessions.bytes).toBe(3)
    expect(['a', 'b', 'c', 'd', 'e'].map((key) => textOf(sessions.take(key)))).toEqual([
      null,
      null,
      'c',
      'd',
      'e',
    ])
  })

  test('are kept no more from then on', () => {
    const { sessions } = cache()
    sessions.put('a', stored('a'), after)
    sessions.put('b', stored('b'), before)
    expect(textOf(sessions.take('b'))).toBe(null)
    sessions.put('a', stored('2'), after)
    expect(sessions.bytes).toBe(2)
  })
})

test('what has ended goes though nobody asks for it or brings another', () => {
  const { sessions, clock } = cache()
  sessions.put('a', stored('1', { endsAt: 10 }))
  sessions.put('b', stored('2', { endsAt: 10 }))
  sessions.put('b', stored('3', { endsAt: 100_000 }))
  const minute = (at: number) => {
    clock.now = at
    vi.advanceTimersByTime(60_000)
    return sessions.bytes
  }
  expect(minute(60_000)).toBe(1)
  expect(textOf(sessions.take('b'))).toBe('3')
  sessions.put('c', stored('4', { endsAt: 100_000 }), { destination: 'd', generation: 1 })
  expect(minute(100_000)).toBe(0)
  // Nothing is left to wait for.
  expect(vi.getTimerCount()).toBe(0)
  sessions.put('d', stored('5', { endsAt: 200_000 }))
  expect(minute(200_000)).toBe(0)
})

test('whatever is done, it stays within its bytes, and no single-use session comes twice', () => {
  const action = fc.record({
    key: fc.constantFrom('a', 'b', 'c'),
    act: fc.constantFrom('put', 'put', 'take', 'forget'),
    size: fc.integer({ min: 1, max: 40 }),
    endsAt: fc.integer({ min: 0, max: 30 }),
    owner: fc.option(
      fc.record({ destination: fc.constantFrom('x', 'y'), generation: fc.integer({ min: 1, max: 3 }) }),
      { nil: undefined },
    ),
    wait: fc.constantFrom(1, 1, 1, 60_000),
  })
  fc.assert(
    fc.property(fc.array(action, { maxLength: 60 }), (actions) => {
      const { sessions, clock } = cache({ maxBytes: 100 })
      const given = new Set<StoredSession>()
      for (const { key, act, size, endsAt, owner, wait } of actions) {
        clock.now += wait
        vi.advanceTimersByTime(wait)
        if (act === 'put') sessions.put(key, stored('x'.repeat(size), { endsAt: clock.now + endsAt }), owner)
        else if (act === 'forget') sessions.forget(key)
        else {
          const taken = sessions.take(key)
          if (taken === null) continue
          expect(given.has(taken)).toBe(false)
          expect(taken.origin.endsAt).toBeGreaterThan(clock.now)
          given.add(taken)
        }
        expect(sessions.bytes).toBeLessThanOrEqual(100)
        expect(sessions.bytes).toBeGreaterThanOrEqual(0)
      }
      for (const key of 'abc') sessions.forget(key)
      expect(sessions.bytes).toBe(0)
    }),
  )
})
