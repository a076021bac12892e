import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { openBudget, within } from '../../../../gateway/upstream/budget.ts'
import { UpstreamError } from '../../../../gateway/upstream/types.ts'

const never = (): Promise<never> => new Promise(() => {})
const now = (): number => Date.now()

/** Waits for the rejection from the first tick on, so that it is never an unhandled one. */
async function failureOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => null,
    (error: unknown) => error,
  )
}

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

describe('within', () => {
  test('the code of the stage where time is over', async () => {
    using budget = openBudget(100, new AbortController().signal, now)
    const failed = failureOf(within(budget.signal, 'dns-timeout', never))
    await vi.advanceTimersByTimeAsync(100)
    expect(await failed).toMatchObject({
      code: 'dns-timeout',
      message: 'not done within 100 ms',
    })
  })

  test('a reason code given with the abort is kept', async () => {
    const client = new AbortController()
    const failed = failureOf(within(client.signal, 'dns-timeout', never))
    client.abort(new UpstreamError('session-draining', 'drain'))
    expect(await failed).toMatchObject({
      code: 'session-draining',
    })
  })

  test('any other abort is the client that went away', async () => {
    const client = new AbortController()
    const failed = failureOf(within(client.signal, 'dns-timeout', never))
    client.abort()
    expect(await failed).toMatchObject({
      code: 'relay-client-reset',
    })
  })

  test('nothing is begun after the abort', async () => {
    const work = vi.fn<() => Promise<never>>(never)
    await expect(within(AbortSignal.abort(), 'dns-timeout', work)).rejects.toBeInstanceOf(UpstreamError)
    expect(work).not.toHaveBeenCalled()
  })

  test('a value that comes late is discarded, a late error swallowed', async () => {
    const client = new AbortController()
    const value = Promise.withResolvers<string>()
    const error = Promise.withResolvers<string>()
    const discard = vi.fn<(late: string) => void>()
    const both = Promise.allSettled([
      within(client.signal, 'dns-timeout', () => value.promise, discard),
      within(client.signal, 'dns-timeout', () => error.promise, discard),
    ])
    client.abort()
    expect((await both).map(({ status }) => status)).toEqual(['rejected', 'rejected'])
    value.resolve('late')
    error.reject(new Error('late'))
    await vi.advanceTimersByTimeAsync(0)
    expect(discard.mock.calls).toEqual([['late']])
  })
})

describe('openBudget', () => {
  test('counts down and never below zero', async () => {
    using budget = openBudget(100, new AbortController().signal, now)
    await vi.advanceTimersByTimeAsync(40)
    expect(budget.remainingMs()).toBe(60)
    await vi.advanceTimersByTimeAsync(100)
    expect(budget.remainingMs()).toBe(0)
  })

  test('leaves neither timer nor listener behind', () => {
    const parent = new AbortController().signal
    const add = vi.spyOn(parent, 'addEventListener')
    const remove = vi.spyOn(parent, 'removeEventListener')
    const budget = openBudget(100, parent, now)
    budget[Symbol.dispose]()
    expect(vi.getTimerCount()).toBe(0)
    expect(remove.mock.calls[0]?.[1]).toBe(add.mock.calls[0]?.[1])
  })

  test('a parent that is aborted already aborts it', () => {
    const reason = new Error('gone')
    using budget = openBudget(100, AbortSignal.abort(reason), now)
    expect(budget.signal.reason).toBe(reason)
  })
})
