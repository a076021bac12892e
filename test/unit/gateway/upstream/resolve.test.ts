import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { DnsAnswer } from '../../../../gateway/upstream/dns-query.ts'
import { createResolve } from '../../../../gateway/upstream/resolve.ts'
import { UpstreamError } from '../../../../gateway/upstream/types.ts'

const HOST = 'api.bank.example'
const LIMITS = { minTtlMs: 1_000, maxTtlMs: 300_000, negativeTtlMs: 5_000, staleTtlMs: 3_600_000 }
const ANSWER: DnsAnswer = { addresses: ['192.0.2.1'], ttlMs: 60_000 }
const NEWER: DnsAnswer = { addresses: ['192.0.2.2'], ttlMs: 60_000 }
const GONE = new UpstreamError('dns-not-found', 'gone')

/** A resolver whose look-ups wait for the test. */
function scene() {
  const asked: string[] = []
  const waiting: PromiseWithResolvers<DnsAnswer>[] = []
  const resolve = createResolve({
    limits: LIMITS,
    clock: { now: () => Date.now() },
    ask(host) {
      asked.push(host)
      const look = Promise.withResolvers<DnsAnswer>()
      waiting.push(look)
      return look.promise
    },
  })
  return {
    asked,
    ask: (host = HOST, signal = new AbortController().signal) =>
      resolve(host, signal).catch((error: unknown) => (error instanceof UpstreamError ? error.code : error)),
    answer: (answer: DnsAnswer | Error) => {
      const look = waiting.shift()
      if (answer instanceof Error) look?.reject(answer)
      else look?.resolve(answer)
    },
  }
}

async function withStale() {
  const at = scene()
  const first = at.ask()
  at.answer(ANSWER)
  await first
  await vi.advanceTimersByTimeAsync(60_000)
  return at
}

describe('createResolve', () => {
  beforeEach(() => {
    vi.useFakeTimers()
  })
  afterEach(() => {
    vi.useRealTimers()
  })

  test('a look-up ends after five seconds, whatever the servers’ time-outs add up to', async () => {
    const at = scene()
    const asking = at.ask()
    await vi.advanceTimersByTimeAsync(5_000)
    expect(await asking).toBe('dns-timeout')
    expect(vi.getTimerCount()).toBe(0)
  })

  test('a stale answer is given after 1.8 s of silence, and the newer one when it comes', async () => {
    const at = await withStale()
    const asking = at.ask()
    await vi.advanceTimersByTimeAsync(1_799)
    expect(await Promise.race([asking, Promise.resolve('waits')])).toBe('waits')
    await vi.advanceTimersByTimeAsync(1)
    expect(await asking).toEqual(ANSWER.addresses)
    at.answer(NEWER)
    await vi.advanceTimersByTimeAsync(0)
    expect(await at.ask()).toEqual(NEWER.addresses)
    expect(at.asked).toHaveLength(2)
  })

  test('that the name is gone, heard within that time, is the answer', async () => {
    const at = await withStale()
    const asking = at.ask()
    at.answer(GONE)
    expect(await asking).toBe('dns-not-found')
    expect(await at.ask()).toBe('dns-not-found')
  })

  test('that the name is gone, heard later, ends the use of the stale answer', async () => {
    const at = await withStale()
    const asking = at.ask()
    await vi.advanceTimersByTimeAsync(1_800)
    await asking
    at.answer(GONE)
    await vi.advanceTimersByTimeAsync(0)
    expect(await at.ask()).toBe('dns-not-found')
  })

  test('while the resolvers are silent, those who come later do not wait for them each time', async () => {
    const at = await withStale()
    void at.ask()
    await vi.advanceTimersByTimeAsync(5_000)
    expect(await Promise.race([at.ask(), vi.advanceTimersByTimeAsync(0).then(() => 'waits')])).toEqual(
      ANSWER.addresses,
    )
    expect(at.asked).toHaveLength(2)
  })

  test('a client that goes away leaves the look-up to the others', async () => {
    const at = scene()
    const leaving = new AbortController()
    const gone = at.ask(HOST, leaving.signal)
    const staying = at.ask()
    leaving.abort(new UpstreamError('session-drained', 'the gateway stops'))
    expect(await gone).toBe('session-drained')
    at.answer(ANSWER)
    expect(await staying).toEqual(ANSWER.addresses)
    expect(at.asked).toEqual([HOST])
  })

  test('one that is gone already asks for nothing', async () => {
    const at = scene()
    expect(await at.ask(HOST, AbortSignal.abort())).toBe('relay-client-reset')
    expect(at.asked).toEqual([])
  })

  test('look-ups under way are bounded', async () => {
    const at = scene()
    const clients = new AbortController()
    const asking = Array.from({ length: 4_096 }, (_, index) => at.ask(`h${index}.example`, clients.signal))
    clients.abort()
    await Promise.all(asking)
    expect(await at.ask()).toBe('dns-failed')
    expect(at.asked).toHaveLength(4_096)
    await vi.advanceTimersByTimeAsync(5_000)
    const again = at.ask()
    expect(at.asked).toHaveLength(4_097)
    await vi.advanceTimersByTimeAsync(5_000)
    expect(await again).toBe('dns-timeout')
  })

  test('a fault of the resolver is not taken for an answer', async () => {
    const at = scene()
    const asking = at.ask()
    at.answer(new TypeError('x is not a function'))
    expect(await asking).toBeInstanceOf(TypeError)
    const again = at.ask()
    at.answer(ANSWER)
    at.answer(ANSWER)
    expect(await again).toEqual(ANSWER.addresses)
  })
})
