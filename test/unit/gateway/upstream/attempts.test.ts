import { Socket } from 'node:net'
import * as fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { ReasonCode } from '../../../../gateway/audit/reasons.ts'
import { ATTEMPT_DELAY_MS, dialRacing, PAUSE_MS } from '../../../../gateway/upstream/attempts.ts'
import { openBudget } from '../../../../gateway/upstream/budget.ts'
import { createEndpoints } from '../../../../gateway/upstream/endpoints.ts'
import { createProgress } from '../../../../gateway/upstream/progress.ts'
import { type AttemptResult, type Dial, UpstreamError } from '../../../../gateway/upstream/types.ts'

type Answer = 'up' | 'silent' | ReasonCode

/** Never connected: it stands for a connection in what has no need of one. */
function fakeSocket(): Socket {
  return new Socket()
}

function trap(answers: Readonly<Record<string, readonly Answer[]>>) {
  const dialled: string[] = []
  const sockets: Socket[] = []
  const seen = new Map<string, number>()
  const dial: Dial = (endpoint) => {
    const turn = seen.get(endpoint.address) ?? 0
    seen.set(endpoint.address, turn + 1)
    dialled.push(endpoint.address)
    const answer = answers[endpoint.address]?.[turn] ?? 'connect-refused'
    if (answer === 'silent') return new Promise(() => {})
    if (answer !== 'up') return Promise.reject(new UpstreamError(answer, 'as told'))
    const socket = fakeSocket()
    sockets.push(socket)
    return Promise.resolve(socket)
  }
  return { dial, dialled, sockets }
}

const now = (): number => Date.now()

function run(
  dial: Dial,
  addresses: readonly string[],
  {
    attempts = 3,
    timeoutMs = 9_000,
    signal = new AbortController().signal,
    endpoints = createEndpoints({ now, random: () => 0 }),
  } = {},
) {
  const budget = openBudget(timeoutMs, signal, now)
  const progress = createProgress(now)
  const results: AttemptResult[] = []
  const onAttempt = (result: AttemptResult) => void results.push(result)
  const options = { addresses, attempts, dial, budget, now, progress, endpoints, onAttempt }
  const result = dialRacing({ ...options, port: 443 })
  return { result, progress, results, endpoints }
}

/** Waits for the rejection from the first tick on, so that it is never an unhandled one. */
async function failureOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => null,
    (error: unknown) => error,
  )
}

describe('dialRacing', () => {
  beforeEach(() => {
    vi.useFakeTimers()
  })
  afterEach(() => {
    vi.useRealTimers()
  })

  test('the first address that comes up', async () => {
    const { dial, dialled, sockets } = trap({ '192.0.2.1': ['connect-refused'], '192.0.2.2': ['up'] })
    const { result, progress } = run(dial, ['192.0.2.1', '192.0.2.2', '192.0.2.3'])
    expect(await result).toBe(sockets[0])
    expect(dialled).toEqual(['192.0.2.1', '192.0.2.2'])
    expect(progress.facts).toMatchObject({ attempts: 2, address: '192.0.2.2:443' })
  })

  test('no more attempts in total than allowed, however many addresses', async () => {
    const { dial, dialled } = trap({})
    const addresses = ['192.0.2.1', '192.0.2.2', '192.0.2.3', '192.0.2.4']
    const { result } = run(dial, addresses, { attempts: 2 })
    await expect(result).rejects.toMatchObject({ code: 'connect-refused' })
    expect(dialled).toEqual(['192.0.2.1', '192.0.2.2'])
  })

  test('a single address is tried again after a pause', async () => {
    const { dial, dialled } = trap({ '192.0.2.1': ['connect-reset', 'connect-refused', 'up'] })
    const { result, progress } = run(dial, ['192.0.2.1'])
    await vi.advanceTimersByTimeAsync(0)
    expect(dialled).toHaveLength(1)
    await vi.advanceTimersByTimeAsync(200)
    await result
    expect(progress.facts.attempts).toBe(3)
  })

  test('the error of the last attempt is the one reported', async () => {
    const { dial } = trap({ '192.0.2.1': ['connect-reset'], '192.0.2.2': ['connect-unreachable'] })
    const { result } = run(dial, ['192.0.2.1', '192.0.2.2'], { attempts: 2 })
    await expect(result).rejects.toMatchObject({ code: 'connect-unreachable' })
  })

  test('what is not a connect failure is not tried again', async () => {
    const { dial, dialled } = trap({ '192.0.2.1': ['upstream-tls-closed'], '192.0.2.2': ['up'] })
    const { result } = run(dial, ['192.0.2.1', '192.0.2.2'])
    await expect(result).rejects.toMatchObject({ code: 'upstream-tls-closed' })
    expect(dialled).toEqual(['192.0.2.1'])
  })

  test('a silent address holds nobody up: the next is dialled beside it', async () => {
    const { dial, dialled, sockets } = trap({
      '192.0.2.1': ['silent'],
      '192.0.2.2': ['silent'],
      '192.0.2.3': ['up'],
    })
    const { result, progress, results } = run(dial, ['192.0.2.1', '192.0.2.2', '192.0.2.3'])
    await vi.advanceTimersByTimeAsync(249)
    expect(dialled).toHaveLength(1)
    await vi.advanceTimersByTimeAsync(1)
    expect(dialled).toHaveLength(2)
    await vi.advanceTimersByTimeAsync(250)
    expect(await result).toBe(sockets[0])
    expect(progress.facts).toMatchObject({ attempts: 3, address: '192.0.2.3:443' })
    expect(results).toEqual(['up', 'lost', 'lost'])
    expect(progress.trace.attempts).toEqual([
      { endpoint: '192.0.2.3:443', result: 'up', ms: 0 },
      { endpoint: '192.0.2.1:443', result: 'lost', ms: 500 },
      { endpoint: '192.0.2.2:443', result: 'lost', ms: 250 },
    ])
  })

  test('the next is dialled at once where one fails', async () => {
    const { dial, dialled } = trap({ '192.0.2.1': ['silent'], '192.0.2.2': ['connect-refused'] })
    run(dial, ['192.0.2.1', '192.0.2.2', '192.0.2.3']).result.catch(() => {})
    await vi.advanceTimersByTimeAsync(ATTEMPT_DELAY_MS)
    expect(dialled).toEqual(['192.0.2.1', '192.0.2.2', '192.0.2.3'])
  })

  test('the first to come up wins, though it was dialled later, and the others are reset', async () => {
    const late = fakeSocket()
    const slow = Promise.withResolvers<Socket>()
    const signals: AbortSignal[] = []
    const winner = fakeSocket()
    const { result, progress } = run(
      ({ address }, signal) => {
        signals.push(signal)
        return address === '192.0.2.1' ? slow.promise : Promise.resolve(winner)
      },
      ['192.0.2.1', '192.0.2.2'],
    )
    await vi.advanceTimersByTimeAsync(250)
    expect(await result).toBe(winner)
    expect(signals[0]?.aborted).toBe(true)
    slow.resolve(late)
    await vi.advanceTimersByTimeAsync(0)
    expect([late.destroyed, winner.destroyed]).toEqual([true, false])
    expect(progress.facts.address).toBe('192.0.2.2:443')
  })

  test('of two that come up in the same turn one is kept', async () => {
    const sockets = [fakeSocket(), fakeSocket()]
    const waiting: PromiseWithResolvers<Socket>[] = []
    const { result, results } = run(() => {
      const dialling = Promise.withResolvers<Socket>()
      waiting.push(dialling)
      return dialling.promise
    }, ['192.0.2.1', '192.0.2.2'])
    await vi.advanceTimersByTimeAsync(250)
    for (const [index, socket] of sockets.entries()) waiting[index]?.resolve(socket)
    expect(await result).toBe(sockets[0])
    expect(sockets.map(({ destroyed }) => destroyed)).toEqual([false, true])
    expect(results).toEqual(['up', 'lost'])
  })

  test('the address in the facts is the winner’s, though another was dialled after it', async () => {
    const first = Promise.withResolvers<Socket>()
    const { result, progress } = run(
      ({ address }) => (address === '192.0.2.1' ? first.promise : new Promise<Socket>(() => {})),
      ['192.0.2.1', '192.0.2.2'],
    )
    await vi.advanceTimersByTimeAsync(300)
    first.resolve(fakeSocket())
    await result
    expect(progress.facts).toMatchObject({ attempts: 2, address: '192.0.2.1:443' })
  })

  test('one address is never dialled twice at the same time, and its silence leaves time for another try', async () => {
    const { dial, dialled, sockets } = trap({ '192.0.2.1': ['silent', 'silent', 'up'] })
    const { result } = run(dial, ['192.0.2.1'])
    await vi.advanceTimersByTimeAsync(2_999)
    expect(dialled).toHaveLength(1)
    await vi.advanceTimersByTimeAsync(1 + PAUSE_MS)
    expect(dialled).toHaveLength(2)
    await vi.advanceTimersByTimeAsync(3_000 + PAUSE_MS)
    expect(await result).toBe(sockets[0])
  })

  test('silence everywhere is a time-out within the budget', async () => {
    const { dial } = trap({ '192.0.2.1': ['silent', 'silent', 'silent'] })
    const { result } = run(dial, ['192.0.2.1'])
    const failed = failureOf(result)
    await vi.advanceTimersByTimeAsync(9_000)
    expect(await failed).toMatchObject({ code: 'connect-timeout' })
  })

  test('a client that goes away ends it at once', async () => {
    const client = new AbortController()
    const { dial, dialled } = trap({ '192.0.2.1': ['silent'], '192.0.2.2': ['up'] })
    const { result } = run(dial, ['192.0.2.1', '192.0.2.2'], { signal: client.signal })
    client.abort(new UpstreamError('session-drained', 'the gateway stops'))
    await expect(result).rejects.toMatchObject({ code: 'session-drained' })
    expect(dialled).toEqual(['192.0.2.1'])
  })

  test('a connection that comes up too late is destroyed', async () => {
    const client = new AbortController()
    const late = fakeSocket()
    const { promise, resolve } = Promise.withResolvers<Socket>()
    const { result } = run(() => promise, ['192.0.2.1'], { signal: client.signal })
    client.abort()
    await expect(result).rejects.toMatchObject({ code: 'relay-client-reset' })
    resolve(late)
    await vi.advanceTimersByTimeAsync(0)
    expect(late.destroyed).toBe(true)
  })

  test('leaves no timer behind', async () => {
    const { dial } = trap({ '192.0.2.1': ['silent'], '192.0.2.2': ['up'] })
    const client = new AbortController()
    const { result } = run(dial, ['192.0.2.1', '192.0.2.2'], { signal: client.signal })
    await vi.advanceTimersByTimeAsync(250)
    await result
    // The budget's own, which its owner disposes of.
    expect(vi.getTimerCount()).toBe(1)
  })
})

describe('dialRacing and what is known of endpoints', () => {
  beforeEach(() => {
    vi.useFakeTimers()
  })
  afterEach(() => {
    vi.useRealTimers()
  })

  const A = { address: '192.0.2.1', port: 443 }

  function broken(endpoint = A) {
    const endpoints = createEndpoints({ now, random: () => 0 })
    for (let failure = 0; failure < 5; failure += 1) endpoints.begin(endpoint)?.failed('connect-refused')
    return endpoints
  }

  test('one probe at a time of an endpoint that failed again and again; the others are refused at once', async () => {
    const endpoints = broken()
    const { dial, dialled } = trap({ '192.0.2.1': ['silent'] })
    const probe = failureOf(run(dial, ['192.0.2.1'], { endpoints, attempts: 1 }).result)
    const refused = run(dial, ['192.0.2.1'], { endpoints })
    expect(await failureOf(refused.result)).toMatchObject({ code: 'connect-breaker-open' })
    expect(refused.progress.facts).toMatchObject({ attempts: 0, address: null })
    expect(dialled).toEqual(['192.0.2.1'])
    await vi.advanceTimersByTimeAsync(9_000)
    expect(await probe).toMatchObject({ code: 'connect-timeout' })
    const next = trap({ '192.0.2.1': ['up'] })
    await run(next.dial, ['192.0.2.1'], { endpoints }).result
    expect(endpoints.aside).toBe(0)
  })

  test('the first connection that comes up lets all through', async () => {
    const endpoints = broken()
    const { dial, dialled } = trap({ '192.0.2.1': ['up', 'silent', 'silent'] })
    await run(dial, ['192.0.2.1'], { endpoints }).result
    for (const _ of [1, 2]) void failureOf(run(dial, ['192.0.2.1'], { endpoints }).result)
    expect(dialled).toHaveLength(3)
  })

  test('an endpoint that is being probed is left to the one who probes; the rest of the host is dialled', async () => {
    const endpoints = broken()
    endpoints.begin(A)
    const { dial, dialled, sockets } = trap({ '192.0.2.2': ['connect-refused', 'up'] })
    const { result } = run(dial, ['192.0.2.1', '192.0.2.2'], { endpoints })
    await vi.advanceTimersByTimeAsync(PAUSE_MS)
    expect(await result).toBe(sockets[0])
    expect(dialled).toEqual(['192.0.2.2', '192.0.2.2'])
  })

  test('a client that goes away gives the probe back and is no failure', async () => {
    const endpoints = broken()
    const client = new AbortController()
    const { dial } = trap({ '192.0.2.1': ['silent', 'up'] })
    const gone = failureOf(run(dial, ['192.0.2.1'], { endpoints, signal: client.signal }).result)
    client.abort()
    expect(await gone).toMatchObject({ code: 'relay-client-reset' })
    await run(dial, ['192.0.2.1'], { endpoints }).result
  })

  test('silence to the end of the budget is a failure; the little time that resolving left is none', async () => {
    for (const [timeoutMs, aside] of [
      [249, 0],
      [250, 1],
    ] as const) {
      const { dial } = trap({ '192.0.2.1': ['silent'] })
      const { result, endpoints } = run(dial, ['192.0.2.1'], { timeoutMs, attempts: 1 })
      const failed = failureOf(result)
      await vi.advanceTimersByTimeAsync(timeoutMs)
      expect(await failed).toMatchObject({ code: 'connect-timeout' })
      expect(endpoints.aside).toBe(aside)
    }
  })

  test('an address that was silent while another came up is set aside', async () => {
    const { dial } = trap({ '192.0.2.1': ['silent'], '192.0.2.2': ['up'] })
    const { result, endpoints } = run(dial, ['192.0.2.1', '192.0.2.2'])
    await vi.advanceTimersByTimeAsync(250)
    await result
    expect(endpoints.order('h', 443, ['192.0.2.1', '192.0.2.2'])).toEqual(['192.0.2.2', '192.0.2.1'])
  })
})

interface Behaviour {
  readonly up: boolean
  readonly afterMs: number
}

/**
 * The rules of docs/dns-and-dial.md, a millisecond at a time. What comes up, and who was dialled when; null where two
 * things happen in one millisecond, whose order is nobody's promise.
 */
function model(
  addresses: readonly string[],
  attempts: number,
  behave: (address: string, turn: number) => Behaviour,
) {
  const log: string[] = []
  const tries = new Map(addresses.map((address) => [address, 0]))
  const readyAt = new Map(addresses.map((address) => [address, 0]))
  const flying = new Map<string, { endAt: number; up: boolean }>()
  let startAt = 0
  for (let at = 0; at <= 20_000; at += 1) {
    const ends = [...flying.values()].filter(({ endAt }) => endAt === at).length
    const timers = [startAt, ...readyAt.values()].includes(at) ? 1 : 0
    if (at > 0 && ends > 0 && ends + timers > 1) return null
    let looked = false
    while (!looked) {
      looked = true
      for (const [address, { endAt, up }] of flying) {
        if (endAt > at) continue
        if (up) return { log, winner: address }
        flying.delete(address)
        readyAt.set(address, at + PAUSE_MS)
        startAt = at
      }
      const idle = addresses.filter((address) => !flying.has(address))
      const least = Math.min(...idle.map((address) => tries.get(address) ?? 0))
      const next = idle.find((address) => tries.get(address) === least)
      if (next === undefined || log.length >= attempts || at < startAt || at < (readyAt.get(next) ?? 0))
        continue
      const turn = tries.get(next) ?? 0
      tries.set(next, turn + 1)
      log.push(`${at} ${next}`)
      const { up, afterMs } = behave(next, turn)
      flying.set(next, { endAt: at + afterMs, up })
      startAt = at + ATTEMPT_DELAY_MS
      looked = false
    }
    if (flying.size === 0 && log.length >= attempts) return { log, winner: null }
  }
  return { log, winner: null }
}

describe('the order of attempts', () => {
  test('is the model’s', async () => {
    vi.useFakeTimers()
    const addresses = ['192.0.2.1', '2001:db8::1', '192.0.2.2', '2001:db8::2']
    const behaviours = fc.array(
      fc.record({
        up: fc.boolean(),
        afterMs: fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 900 })),
      }),
      { minLength: 40, maxLength: 40 },
    )
    try {
      await fc.assert(
        fc.asyncProperty(
          fc.integer({ min: 1, max: 4 }),
          fc.integer({ min: 1, max: 10 }),
          behaviours,
          async (count, attempts, all) => {
            const some = addresses.slice(0, count)
            const behave = (address: string, turn: number): Behaviour =>
              all[turn * 4 + addresses.indexOf(address)] ?? { up: false, afterMs: 1 }
            const expected = model(some, attempts, behave)
            if (expected === null) return
            const startedAt = Date.now()
            const log: string[] = []
            const seen = new Map<string, number>()
            const dial: Dial = async ({ address }) => {
              log.push(`${Date.now() - startedAt} ${address}`)
              const turn = seen.get(address) ?? 0
              seen.set(address, turn + 1)
              const { up, afterMs } = behave(address, turn)
              await new Promise((resolve) => setTimeout(resolve, afterMs))
              if (!up) throw new UpstreamError('connect-refused', 'as told')
              return fakeSocket()
            }
            const { result, progress } = run(dial, some, { attempts, timeoutMs: 10_000_000 })
            const outcome = result.then(
              () => progress.facts.address,
              () => null,
            )
            await vi.advanceTimersByTimeAsync(20_000)
            expect(log).toEqual(expected.log)
            const winner = (await outcome)?.replace(/:443$/, '').replace(/^\[|\]$/g, '') ?? null
            expect(winner).toBe(expected.winner)
            expect(progress.facts.attempts).toBe(log.length)
          },
        ),
      )
    } finally {
      vi.useRealTimers()
    }
  })
})
