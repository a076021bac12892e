// Many sessions that are hit at once: spread where a roll-over hits them, at once where a revocation or a policy does, and
// those of a revocation before any other is judged.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { ReasonCode } from '../../../../gateway/audit/reasons.ts'
import type { Destination } from '../../../../gateway/config/types.ts'
import { RevocationList } from '../../../../gateway/revocations/list.ts'
import { Living } from '../../../../gateway/sessions/living.ts'
import { SessionRegistry } from '../../../../gateway/sessions/registry.ts'
import { Renewals } from '../../../../gateway/sessions/renewals.ts'
import { parseSpiffeId } from '../../../../spiffe/id.ts'

const COUNT = 60

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

/** Sixty sessions, each of a workload of its own; those for which `verdict` has a code are refused with it. */
function scene(atExpiry: Destination['session']['atExpiry'] = 'renewed', monotonic?: () => number) {
  const registry = new SessionRegistry()
  const state: { verdict: ReasonCode | null; counted: number } = { verdict: null, counted: 0 }
  const log: string[] = []
  let drawn = 0
  const living = new Living({
    ...(monotonic === undefined ? {} : { monotonic }),
    onJudged(result) {
      if (result === 'closed') state.counted += 1
    },
    ...{ registry, renewals: new Renewals(), now: () => new Date() },
    judge: {
      fresh: () => {},
      judge({ identity: { principal } }) {
        log.push(`judged ${principal.kind === 'workload' ? principal.id.path : ''}`)
        const refusal = state.verdict === null ? null : { code: state.verdict, detail: null }
        return { refusal, recheckAt: null, destination: null }
      },
    },
    // Evenly, from 0 on.
    random: () => drawn++ / COUNT,
    onInternalError: (error) => {
      throw error
    },
  })
  const destination = { name: 'd', session: { atExpiry } } as unknown as Destination
  const at = { host: 'd.test', port: 443 }
  for (let n = 0; n < COUNT; n += 1) {
    const id = `s${n}`
    registry.add({
      ...{ id, openedAt: new Date(), bytes: { sent: 0, received: 0 }, lastActivityAt: 0, over: false },
      grounds: {
        ...{ listener: 'proxy', source: { ip: '10.0.0.1', port: 1, vpcEndpoint: null }, upstream: null },
        ...{ passthrough: false, ech: false, requested: at, target: at, destination },
        identity: {
          ...{ ok: true, principal: { kind: 'workload', id: parseSpiffeId(`spiffe://example.org/w${n}`) } },
          ...{ credential: 'certificate', serialNumber: '', tokenId: null, tokenKeyId: null },
          ...{ chain: [], expiresAt: null },
        },
      },
      close(code) {
        log.push(`closed /w${n} ${code}`)
        registry.delete(id)
      },
    })
  }
  const closed = () => log.filter((line) => line.startsWith('closed'))
  /** Judged and, where nothing is spread, closed. Among fake timers an immediate of an immediate is a millisecond away. */
  const settle = async () => {
    for (let slice = 0; living.waiting > 0 && slice < COUNT; slice += 1) await vi.advanceTimersByTimeAsync(1)
  }
  return { registry, living, state, log, closed, settle }
}

test('what was cut already is neither judged nor closed again', async () => {
  const s = scene()
  for (const session of s.registry.all()) Object.assign(session, { over: true })
  s.state.verdict = 'policy-denied'
  s.living.changed()
  s.living.end(s.registry.all(), { code: 'session-closed-by-operator', detail: null })
  await s.settle()
  expect(s.closed()).toEqual([])
  expect([s.state.counted, s.living.waiting]).toEqual([0, 0])
})

describe('a roll-over', () => {
  test.for<[ReasonCode, number]>([
    // Ten milliseconds for each, and never more than the second that a change may take.
    ['session-trust-removed', 590],
    ['session-svid-expired', 590],
  ])('%s closes them one by one', async ([code, windowMs]) => {
    const s = scene()
    s.state.verdict = code
    s.living.changed()
    await s.settle()
    // Nobody but the first, whose chance was 0.
    await vi.advanceTimersByTimeAsync(0)
    expect(s.closed().length).toBeLessThanOrEqual(1)
    await vi.advanceTimersByTimeAsync(windowMs / 2)
    expect(s.closed().length).toBeGreaterThan(COUNT / 3)
    expect(s.closed().length).toBeLessThan((COUNT * 2) / 3)
    await vi.advanceTimersByTimeAsync(windowMs / 2)
    expect(s.closed()).toHaveLength(COUNT)
    expect(new Set(s.closed().map((line) => line.split(' ').at(-1)))).toEqual(new Set([code]))
  })

  test('that comes twice while it is judged gives each one turn', async () => {
    let clock = 0
    // Each look is a slice later, so that a slice judges one.
    const s = scene('renewed', () => (clock += 8))
    s.state.verdict = 'session-trust-removed'
    s.living.changed()
    for (let slice = 0; slice < COUNT / 2; slice += 1) await vi.advanceTimersByTimeAsync(1)
    s.living.changed()
    while (s.living.waiting > 0) await vi.advanceTimersByTimeAsync(1)
    expect(vi.getTimerCount() + s.closed().length).toBeLessThanOrEqual(COUNT)
    await vi.advanceTimersByTimeAsync(10_000)
    expect(s.closed()).toHaveLength(COUNT)
    expect(s.state.counted).toBe(COUNT)
  })

  test('that is taken back closes nobody whose turn has not come', async () => {
    const s = scene()
    s.state.verdict = 'session-trust-removed'
    s.living.changed()
    await s.settle()
    await vi.advanceTimersByTimeAsync(295)
    const before = s.closed().length
    expect(before).toBeGreaterThan(0)
    s.state.verdict = null
    await vi.advanceTimersByTimeAsync(10_000)
    expect(s.closed()).toHaveLength(before)
    expect(s.registry.size).toBe(COUNT - before)
  })
})

test.for<[ReasonCode, Destination['session']['atExpiry']]>([
  ['policy-denied', 'renewed'],
  ['session-client-certificate-changed', 'renewed'],
  ['session-svid-expired', 'close'],
])('%s with atExpiry %s closes all of them at once', async ([code, atExpiry]) => {
  const s = scene(atExpiry)
  s.state.verdict = code
  s.living.changed()
  await s.settle()
  expect(s.closed()).toHaveLength(COUNT)
  expect(vi.getTimerCount()).toBe(0)
})

test('a revocation closes what it names at once, and before anybody is judged', async () => {
  const s = scene()
  s.state.verdict = 'policy-denied'
  s.living.changed()
  s.living.revoked(
    new RevocationList([
      { selector: 'workload', value: 'spiffe://example.org/w59', reason: 'INC-7', until: null },
      { selector: 'workload', value: 'spiffe://example.org/w30', reason: 'INC-7', until: null },
    ]),
  )
  await s.settle()
  expect(s.log.slice(0, 2).toSorted()).toEqual([
    'closed /w30 revoked-workload',
    'closed /w59 revoked-workload',
  ])
  expect(s.log.slice(2).filter((line) => /\/w(?:30|59)$/.test(line))).toEqual([])
  expect(s.closed()).toHaveLength(COUNT)
})
