// One look-up on the wire: asks DNS servers for A and AAAA through c-ares' plain queries, which read neither /etc/hosts
// nor search suffixes, so that no file of the task and no suffix of the VPC changes where a name leads. Answers are
// untrusted: only what is an IP address passes, and whether it may be dialled is decided elsewhere (permit.ts).
import { Resolver } from 'node:dns/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { canonicalAddress } from './address-class.ts'
import { UpstreamError } from './types.ts'

export interface AskOptions {
  /** Each `address:port`; empty = the system's. */
  readonly servers?: readonly string[]
  /** Milliseconds for one try of one query. */
  readonly timeoutMs?: number
  readonly tries?: number
}

export interface DnsAnswer {
  /** Canonical and not empty; the families alternate. */
  readonly addresses: readonly string[]
  /** How long the answer may be used by its own word, in milliseconds; nobody's limits are applied yet. */
  readonly ttlMs: number
}

/** Rejects with an UpstreamError: `dns-not-found` (the servers say so), `dns-timeout` or `dns-failed`. */
export type Ask = (host: string) => Promise<DnsAnswer>

interface AddressRecord {
  readonly address: string
  readonly ttl: number
}

interface Family {
  readonly records: readonly AddressRecord[]
  /** The code of c-ares (`ENOTFOUND`, `ETIMEOUT`, …) or `late`; null where the query was answered. */
  readonly error: string | null
}

const DEFAULT_TIMEOUT_MS = 2_000
const DEFAULT_TRIES = 2
/** An answer may hold thousands of records; no more than this many of a family are looked at. */
const MAX_ADDRESSES_PER_FAMILY = 32
/** How long a family may still come after the other has answered (RFC 8305 §3 has 50 ms for AAAA, the common loser). */
const GRACE_MS = { A: 500, AAAA: 50 } as const
const LATE: Family = { records: [], error: 'late' }
/** A TTL with the highest bit set is to be taken as zero (RFC 2181 §8). */
const TTL_LIMIT = 2 ** 31

/** Asks each time. The host is a name that may be asked for (resolve.ts sees to it). */
export function createAsk(options: AskOptions = {}): Ask {
  const { servers = [], timeoutMs = DEFAULT_TIMEOUT_MS, tries = DEFAULT_TRIES } = options
  // Without maxTimeout c-ares doubles the time at each try, past the whole budget of a connection.
  const resolver = new Resolver({ timeout: timeoutMs, tries, maxTimeout: timeoutMs })
  if (servers.length > 0) resolver.setServers([...servers])
  return async (host) => {
    const a = settle(resolver.resolve4(host, { ttl: true }))
    const aaaa = settle(resolver.resolve6(host, { ttl: true }))
    // A family that never answers must not hold up the other for all its tries.
    const four = Promise.race([a, lateAfter(aaaa, a, GRACE_MS.A)])
    const six = Promise.race([aaaa, lateAfter(a, aaaa, GRACE_MS.AAAA)])
    return judge(host, await four, await six)
  }
}

async function settle(query: Promise<readonly AddressRecord[]>): Promise<Family> {
  try {
    return { records: (await query).slice(0, MAX_ADDRESSES_PER_FAMILY), error: null }
  } catch (error) {
    const code: unknown = error instanceof Error && 'code' in error ? error.code : null
    return { records: [], error: typeof code === 'string' ? code : 'unknown' }
  }
}

async function lateAfter(other: Promise<Family>, own: Promise<Family>, graceMs: number): Promise<Family> {
  if ((await other).records.length === 0) return own
  return delay(graceMs, LATE, { ref: false })
}

function judge(host: string, four: Family, six: Family): DnsAnswer {
  const addresses = inTurn(addressesOf(four), addressesOf(six))
  if (addresses.length === 0) throw failure(host, [four, six])
  return { addresses, ttlMs: usableMs(four, six) }
}

function addressesOf({ records }: Family): readonly string[] {
  return records.map(({ address }) => canonicalAddress(address)).filter((address) => address !== null)
}

/**
 * The shortest TTL of all records: the answer is used whole or not at all. c-ares gives each record the shortest TTL on
 * its chain of CNAMEs. Where A got no answer it is zero: IPv6 alone would otherwise keep the gateway's IPv4 egress
 * address, which partners allow-list, out of use until the end of another record's TTL.
 */
function usableMs(four: Family, six: Family): number {
  if (four.error !== null && !isDenial(four.error)) return 0
  const ttls = [...four.records, ...six.records].map(({ ttl }) => (ttl < TTL_LIMIT ? ttl : 0))
  return Math.max(0, Math.min(...ttls)) * 1000
}

/** IPv4 and IPv6 alternating (RFC 8305 §4), so that few attempts reach both families. */
export function inTurn(four: readonly string[], six: readonly string[]): readonly string[] {
  const longest = Math.max(four.length, six.length)
  return Array.from({ length: longest }, (_, index) => [four[index], six[index]])
    .flat()
    .filter((address) => address !== undefined)
}

/** The servers' word that there is nothing, as against no word. */
function isDenial(error: string): boolean {
  return error === 'ENOTFOUND' || error === 'ENODATA'
}

function failure(host: string, families: readonly Family[]): UpstreamError {
  const errors = families.map(({ error }) => error ?? 'ENODATA')
  const detail = `${host}: A ${errors[0]}, AAAA ${errors[1]}`
  if (errors.every(isDenial)) return new UpstreamError('dns-not-found', detail)
  return new UpstreamError(errors.includes('ETIMEOUT') ? 'dns-timeout' : 'dns-failed', detail)
}
