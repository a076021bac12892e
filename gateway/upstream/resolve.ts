// The default resolver: asks DNS servers for A and AAAA through c-ares, which reads neither /etc/hosts nor search
// suffixes, so that no file of the task and no suffix of the VPC changes where a name leads. Answers are untrusted:
// only what is an IP address passes, and whether it may be dialled is decided elsewhere (permit.ts).
import { Resolver } from 'node:dns/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { canonicalAddress } from './address-class.ts'
import { within } from './budget.ts'
import { localAddresses } from './local-names.ts'
import { type Resolve, UpstreamError } from './types.ts'

export interface ResolveOptions {
  /** Each `address:port`; empty = the system's. */
  readonly servers?: readonly string[]
  /** Milliseconds for one try of one query. */
  readonly timeoutMs?: number
  readonly tries?: number
}

interface Answer {
  readonly addresses: readonly string[]
  /** The code of c-ares (`ENOTFOUND`, `ETIMEOUT`, …); null where the query was answered. */
  readonly error: string | null
}

const DEFAULT_TIMEOUT_MS = 2_000
const DEFAULT_TRIES = 2
/** An answer may hold thousands of records; no more than this many of a family are looked at. */
const MAX_ADDRESSES_PER_FAMILY = 32
/** How long a family may still come after the other has answered (RFC 8305 §3 has 50 ms for AAAA, the common loser). */
const GRACE_MS = { A: 500, AAAA: 50 } as const
const LATE: Answer = { addresses: [], error: null }
/** c-ares would send any bytes as a name; the labels of a host are these (underscores exist in private zones). */
const HOST = /^(?=.{1,253}$)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*$/

/**
 * Resolves a canonical host to canonical addresses, IPv4 and IPv6 in turn. IPv4 comes first because partners
 * allow-list the gateway's fixed IPv4 egress addresses. One family is enough. Rejects with an UpstreamError:
 * `dns-not-found`, `dns-timeout` or `dns-failed`.
 */
export function createResolve(options: ResolveOptions = {}): Resolve {
  const { servers = [], timeoutMs = DEFAULT_TIMEOUT_MS, tries = DEFAULT_TRIES } = options
  // Without maxTimeout c-ares doubles the time at each try, past the whole budget of a connection.
  const resolver = new Resolver({ timeout: timeoutMs, tries, maxTimeout: timeoutMs })
  if (servers.length > 0) resolver.setServers([...servers])
  return async (host, signal) => {
    const known = localAddresses(host)
    if (known !== null) return known
    if (!HOST.test(host)) throw new UpstreamError('dns-failed', 'not a host name that can be asked for')
    // The queries of an abandoned look-up end by their own time-out: cancel() would end those of all other hosts too.
    return within(signal, 'dns-timeout', () => lookUp(resolver, host))
  }
}

async function lookUp(resolver: Resolver, host: string): Promise<readonly string[]> {
  const a = settle(resolver.resolve4(host))
  const aaaa = settle(resolver.resolve6(host))
  // A family that never answers must not hold up the other for all its tries.
  const four = Promise.race([a, lateAfter(aaaa, a, GRACE_MS.A)])
  const six = Promise.race([aaaa, lateAfter(a, aaaa, GRACE_MS.AAAA)])
  const answers = await Promise.all([four, six])
  const addresses = inTurn(answers[0].addresses, answers[1].addresses)
  if (addresses.length > 0) return addresses
  throw failure(host, answers)
}

async function settle(query: Promise<string[]>): Promise<Answer> {
  try {
    const answer = await query
    const addresses = answer.slice(0, MAX_ADDRESSES_PER_FAMILY).map(canonicalAddress)
    return { addresses: addresses.filter((address) => address !== null), error: null }
  } catch (error) {
    const code: unknown = error instanceof Error && 'code' in error ? error.code : null
    return { addresses: [], error: typeof code === 'string' ? code : 'unknown' }
  }
}

async function lateAfter(other: Promise<Answer>, own: Promise<Answer>, graceMs: number): Promise<Answer> {
  if ((await other).addresses.length === 0) return own
  return delay(graceMs, LATE, { ref: false })
}

/** IPv4 and IPv6 alternating (RFC 8305 §4), so that few attempts reach both families. */
function inTurn(four: readonly string[], six: readonly string[]): readonly string[] {
  const longest = Math.max(four.length, six.length)
  return Array.from({ length: longest }, (_, index) => [four[index], six[index]])
    .flat()
    .filter((address) => address !== undefined)
}

function failure(host: string, answers: readonly Answer[]): UpstreamError {
  const errors = answers.map(({ error }) => error ?? 'ENODATA')
  const detail = `${host}: A ${errors[0]}, AAAA ${errors[1]}`
  if (errors.every((error) => error === 'ENOTFOUND' || error === 'ENODATA')) {
    return new UpstreamError('dns-not-found', detail)
  }
  return new UpstreamError(errors.includes('ETIMEOUT') ? 'dns-timeout' : 'dns-failed', detail)
}
