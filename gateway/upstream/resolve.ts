// The default resolver: from the cache where it may, else one look-up that all who ask for the same host at that time
// share. Each who waits keeps a signal and a budget of its own; the look-up goes on without them, within its own time.
import type { ReasonCode } from '../audit/reasons.ts'
import type { DnsLimits } from '../config/types.ts'
import { within } from './budget.ts'
import { DnsCache, type Known } from './dns-cache.ts'
import { type Ask, type AskOptions, createAsk, type DnsAnswer } from './dns-query.ts'
import { localAddresses } from './local-names.ts'
import { type Resolve, type Resolution, UpstreamError } from './types.ts'

/** What became of one request for addresses, for metrics: a code is why there are none. */
export type ResolveResult = 'cached' | 'stale' | 'asked' | ReasonCode

export interface ResolveOptions extends AskOptions {
  readonly limits: DnsLimits
  /** In place of queries to `servers`. */
  readonly ask?: Ask
  /** Monotonic, in milliseconds; default `performance`. */
  readonly clock?: { now(): number }
  readonly metrics?: {
    resolved(result: ResolveResult): void
    /** Asked at each scrape. */
    sampleDnsCache(hosts: () => number): void
  }
}

/** c-ares would send any bytes as a name; the labels of a host are these (underscores exist in private zones). */
const HOST = /^(?=.{1,253}$)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*$/
/** One look-up over all servers and tries: past it nobody would have time left to connect. */
const LOOK_UP_MS = 5_000
/** Whoever has a stale answer waits no longer than this for a new one (RFC 8767 §5, client response timer). */
const STALE_AFTER_MS = 1_800
/** Look-ups under way, of clients that have gone away among them; c-ares has 65 536 query ids. */
const MAX_LOOK_UPS = 4_096

/**
 * Resolves a canonical host to canonical addresses, IPv4 and IPv6 in turn. IPv4 comes first because partners
 * allow-list the gateway's fixed IPv4 egress addresses. One family is enough. Rejects with an UpstreamError:
 * `dns-not-found`, `dns-timeout` or `dns-failed`.
 */
export function createResolve(options: ResolveOptions): Resolve {
  const { limits, ask = createAsk(options), clock = performance, metrics } = options
  const cache = new DnsCache({ limits, now: () => clock.now() })
  const lookUp = createLookUp(ask, cache)
  metrics?.sampleDnsCache(() => cache.size)
  const resolve = async (host: string, signal: AbortSignal): Promise<Resolution> => {
    if (!HOST.test(host)) throw new UpstreamError('dns-failed', 'not a host name that can be asked for')
    const known = cache.get(host)
    if (known?.kind === 'fresh') {
      return { addresses: known.addresses, source: 'cached', ttlMs: known.ttlMs }
    }
    if (known?.kind === 'failed') throw known.error
    if (known?.kind === 'stale' && !known.ask) return staleAnswer(known)
    return within(signal, 'dns-timeout', () => {
      const asked = lookUp(host).then(fresh)
      return known === null ? asked : orStale(asked, known)
    })
  }
  return async (host, signal, note) => {
    const known = localAddresses(host)
    if (known !== null) return known
    try {
      const resolution = await resolve(host, signal)
      metrics?.resolved(resolution.source)
      note?.(resolution)
      return resolution.addresses
    } catch (error) {
      if (error instanceof UpstreamError) metrics?.resolved(error.code)
      throw error
    }
  }
}

/** Joins look-ups of one host and keeps what came of them. */
function createLookUp(ask: Ask, cache: DnsCache): Ask {
  const running = new Map<string, Promise<DnsAnswer>>()
  const keep = async (host: string): Promise<DnsAnswer> => {
    try {
      const answer = await bounded(ask(host))
      cache.answered(host, answer)
      return answer
    } catch (error) {
      if (error instanceof UpstreamError) cache.failed(host, error)
      throw error
    }
  }
  return async (host) => {
    const joined = running.get(host)
    if (joined !== undefined) return joined
    if (running.size >= MAX_LOOK_UPS) {
      throw new UpstreamError('dns-failed', `${MAX_LOOK_UPS} other names are being looked up`)
    }
    const started = keep(host).finally(() => running.delete(host))
    running.set(host, started)
    return started
  }
}

/** The queries of an abandoned look-up end by their own time-out: cancel() would end those of all other hosts too. */
async function bounded(asking: Promise<DnsAnswer>): Promise<DnsAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<DnsAnswer>()
  const late = new UpstreamError('dns-timeout', `no answer within ${LOOK_UP_MS} ms`)
  const timer = setTimeout(() => reject(late), LOOK_UP_MS)
  asking.then(resolve, reject)
  try {
    return await promise
  } finally {
    clearTimeout(timer)
  }
}

/** The new answer; the old one where no resolver gives one, or none in time. That the name is gone is an answer. */
async function orStale(asked: Promise<Resolution>, known: Known & { kind: 'stale' }): Promise<Resolution> {
  const { promise, resolve, reject } = Promise.withResolvers<Resolution>()
  const timer = setTimeout(() => resolve(staleAnswer(known)), STALE_AFTER_MS)
  asked.then(resolve, (error: unknown) => {
    const failed = error instanceof UpstreamError && error.code !== 'dns-not-found'
    if (failed) resolve(staleAnswer(known))
    else reject(error)
  })
  try {
    return await promise
  } finally {
    clearTimeout(timer)
  }
}

function fresh({ addresses, ttlMs }: DnsAnswer): Resolution {
  return { addresses, source: 'asked', ttlMs }
}

function staleAnswer({ addresses }: { readonly addresses: readonly string[] }): Resolution {
  return { addresses, source: 'stale', ttlMs: 0 }
}
