// How many requests with a proof one source may send, by a token bucket in memory. Approximate on purpose: each instance
// has its own, so behind Lambda the true limit is this one times the instances. It keeps one source from using up an
// instance's CPU; what may be issued is limited by the counter of the registration.
import { isIPv6 } from 'node:net'

/** A source that is forgotten begins with a full bucket: with this many, an attacker has a botnet anyway. */
const MAX_SOURCES = 10_000
const MINUTE_MS = 60_000

export interface SourceLimiter {
  /** False where the source has to wait. */
  take(source: string | null): boolean
}

interface Bucket {
  tokens: number
  at: number
}

/** The name of a bucket: an IPv6 address counts by its /64, which one host has as a whole. */
function bucketName(source: string): string {
  if (!isIPv6(source)) return source
  const bare = source.replace(/%.*$/, '').toLowerCase()
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/.exec(bare)
  if (mapped?.[1] !== undefined) return mapped[1]
  const [head = '', tail] = bare.split('::')
  const before = head === '' ? [] : head.split(':')
  const after = tail === undefined || tail === '' ? [] : tail.split(':')
  const zeros = tail === undefined ? 0 : 8 - before.length - after.length
  const groups = [...before, ...Array.from({ length: Math.max(0, zeros) }, () => '0'), ...after]
  return groups
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, ''))
    .join(':')
}

export interface SourceLimiterOptions {
  readonly perMinute: number
  readonly clock: () => Date
}

/** A limiter whose buckets hold a minute's worth. A request without a source shares one bucket with its like. */
export function createSourceLimiter({ perMinute, clock }: SourceLimiterOptions): SourceLimiter {
  // A Map keeps the order of writing, so its first key is the one that was used longest ago.
  const buckets = new Map<string, Bucket>()
  return {
    take(source) {
      const now = clock().getTime()
      const name = bucketName(source ?? '')
      const bucket = buckets.get(name) ?? { tokens: perMinute, at: now }
      // A clock that went back gives nothing and takes nothing.
      const passed = Math.max(0, now - bucket.at)
      bucket.tokens = Math.min(perMinute, bucket.tokens + (passed / MINUTE_MS) * perMinute)
      bucket.at = now
      buckets.delete(name)
      buckets.set(name, bucket)
      const [oldest] = buckets.keys()
      if (buckets.size > MAX_SOURCES && oldest !== undefined) buckets.delete(oldest)
      if (bucket.tokens < 1) return false
      bucket.tokens -= 1
      return true
    },
  }
}
