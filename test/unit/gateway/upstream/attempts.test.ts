import { Socket } from 'node:net'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { ReasonCode } from '../../../../gateway/audit/reasons.ts'
import { dialInTurn } from '../../../../gateway/upstream/attempts.ts'
import { openBudget } from '../../../../gateway/upstream/budget.ts'
import { createProgress } from '../../../../gateway/upstream/progress.ts'
import { type Dial, UpstreamError } from '../../../../gateway/upstream/types.ts'

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
  { attempts = 3, timeoutMs = 9_000, signal = new AbortController().signal } = {},
) {
  const budget = openBudget(timeoutMs, signal, now)
  const progress = createProgress(now)
  const result = dialInTurn({ addresses, port: 443, attempts, dial, budget, now, progress })
  return { result, progress }
}

/** Waits for the rejection from the first tick on, so that it is never an unhandled one. */
async function failureOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => null,
    (error: unknown) => error,
  )
}

describe('dialInTurn', () => {
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

  test('a silent address leaves the others their share of the time', async () => {
    const { dial, dialled } = trap({ '192.0.2.1': ['silent'], '192.0.2.2': ['silent'], '192.0.2.3': ['up'] })
    const { result } = run(dial, ['192.0.2.1', '192.0.2.2', '192.0.2.3'])
    await vi.advanceTimersByTimeAsync(2_999)
    expect(dialled).toHaveLength(1)
    await vi.advanceTimersByTimeAsync(1)
    expect(dialled).toHaveLength(2)
    await vi.advanceTimersByTimeAsync(3_000)
    await result
    expect(dialled).toHaveLength(3)
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
})
