// How many requests with a proof one source may send, by a token bucket in memory. Approximate on purpose: each instance
// has its own, so behind Lambda the true limit is this one times the instances. It keeps one source from using up an
// instance's CPU; what may be issued is limited by the counter of the registration.
import ipaddr from 'ipaddr.js'

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

/** The name of a bucket: an IPv6 address counts by its /64, which one host has as a whole; a mapped one as IPv4. */
function bucketName(source: string): string {
  if (!ipaddr.isValid(source)) return ''
  const address = ipaddr.process(source)
  if (!(address instanceof ipaddr.IPv6)) return address.toString()
  return address.parts
    .slice(0, 4)
    .map((part) => part.toString(16))
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
      // A clock that is set back gives nothing, and nothing twice when it comes forward again.
      const at = Math.max(bucket.at, now)
      bucket.tokens = Math.min(perMinute, bucket.tokens + ((at - bucket.at) / MINUTE_MS) * perMinute)
      bucket.at = at
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
