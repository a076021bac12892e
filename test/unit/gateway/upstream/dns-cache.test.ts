// The cache against a model that keeps everything that was ever said, and looks for what counts.
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { DnsCache, type Known } from '../../../../gateway/upstream/dns-cache.ts'
import { UpstreamError } from '../../../../gateway/upstream/types.ts'

const LIMITS = { minTtlMs: 10, maxTtlMs: 100, negativeTtlMs: 20, staleTtlMs: 200_000 }
/** As dns-cache.ts has them. */
const [FAILURE_MS, RECHECK_MS] = [1_000, 5_000]

type Said =
  | { readonly at: number; readonly addresses: readonly string[]; readonly ttlMs: number }
  | { readonly at: number; readonly error: UpstreamError }

/** By the rules as docs/dns-and-dial.md tells them, from the whole history. */
function model(history: readonly Said[], now: number): Known | null {
  const last = history.at(-1)
  if (last === undefined) return null
  const gone = history.findLastIndex((said) => 'error' in said && said.error.code === 'dns-not-found')
  const answer = history.slice(gone + 1).findLast((said) => 'addresses' in said)
  const end = answer === undefined ? 0 : answer.at + Math.min(100, Math.max(10, answer.ttlMs))
  const staleEnd = end + LIMITS.staleTtlMs
  const failing = 'error' in last ? last : null
  const keptThrough = (said: Said): boolean => said.at < staleEnd
  // An answer whose time as a stale one was over when something failed was forgotten then.
  const alive = answer !== undefined && history.slice(history.indexOf(answer)).every(keptThrough)
  if (alive && now < end) return { kind: 'fresh', addresses: answer.addresses, ttlMs: end - now }
  if (alive && now < staleEnd) {
    const ask = failing === null || now >= failing.at + RECHECK_MS
    return { kind: 'stale', addresses: answer.addresses, ask }
  }
  if (failing === null) return null
  const length =
    failing.error.code === 'dns-not-found' ? LIMITS.negativeTtlMs : alive ? RECHECK_MS : FAILURE_MS
  return now < failing.at + length ? { kind: 'failed', error: failing.error } : null
}

const GONE = new UpstreamError('dns-not-found', 'gone')
const DOWN = new UpstreamError('dns-timeout', 'down')

const step = fc.record({
  host: fc.constantFrom('a.example', 'b.example'),
  waitMs: fc.oneof(fc.nat(30), fc.constantFrom(1_000, 4_999, 5_000, 100_000, 200_000)),
  what: fc.oneof(
    fc.constantFrom('look', 'gone', 'down'),
    fc.record({ address: fc.constantFrom('192.0.2.1', '192.0.2.2'), ttlMs: fc.nat(200) }),
  ),
})

describe('DnsCache', () => {
  test('says what the model says, at every moment', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        let now = 5
        const cache = new DnsCache({ limits: LIMITS, now: () => now })
        const histories = new Map<string, Said[]>([
          ['a.example', []],
          ['b.example', []],
        ])
        for (const { host, waitMs, what } of steps) {
          now += waitMs
          const history = histories.get(host) ?? []
          if (what === 'gone' || what === 'down') {
            const error = what === 'gone' ? GONE : DOWN
            cache.failed(host, error)
            history.push({ at: now, error })
          } else if (what !== 'look') {
            const answer = { addresses: [what.address], ttlMs: what.ttlMs }
            cache.answered(host, answer)
            history.push({ at: now, ...answer })
          }
          for (const [name, said] of histories) expect(cache.get(name)).toEqual(model(said, now))
        }
      }),
    )
  })

  test('holds no more hosts than it may, and keeps those that are used', () => {
    const cache = new DnsCache({ limits: LIMITS, now: () => 0, maxHosts: 3 })
    const answer = { addresses: ['192.0.2.1'], ttlMs: 100 }
    for (const host of ['a', 'b', 'c']) cache.answered(host, answer)
    cache.get('a')
    cache.answered('d', answer)
    cache.failed('e', GONE)
    expect(cache.size).toBe(3)
    expect(['a', 'b', 'c', 'd', 'e'].map((host) => cache.get(host)?.kind ?? null)).toEqual([
      'fresh',
      null,
      null,
      'fresh',
      'failed',
    ])
  })

  test('forgets what counts no longer when it is asked for it', () => {
    let now = 0
    const cache = new DnsCache({ limits: { ...LIMITS, staleTtlMs: 0 }, now: () => now })
    cache.answered('a', { addresses: ['192.0.2.1'], ttlMs: 100 })
    now = 100
    expect(cache.get('a')).toBeNull()
    expect(cache.size).toBe(0)
  })
})
