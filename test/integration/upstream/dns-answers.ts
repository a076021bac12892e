// Answers for the fake DNS server, and a way to ask it.
import { createResolve, type ResolveOptions } from '../../../gateway/upstream/resolve.ts'
import type { DnsLimits } from '../../../gateway/config/types.ts'
import type { Resolution, Resolve } from '../../../gateway/upstream/types.ts'
import { UpstreamError } from '../../../gateway/upstream/types.ts'
import type { DnsAnswer, FakeDns } from './fake-dns.ts'

export const NONE: DnsAnswer = { records: [] }
export const NO_SUCH_NAME: DnsAnswer = { rcode: 3 }
export const SERVER_FAILURE: DnsAnswer = { rcode: 2 }
export const REFUSED: DnsAnswer = { rcode: 5 }

/** Those of gateway.yaml. */
export const LIMITS: DnsLimits = {
  minTtlMs: 1_000,
  maxTtlMs: 300_000,
  negativeTtlMs: 5_000,
  staleTtlMs: 3_600_000,
}

export function bytes4(address: string): Uint8Array {
  return Uint8Array.from(address.split('.').map(Number))
}

export function v4(...addresses: string[]): DnsAnswer {
  return { records: addresses.map(bytes4) }
}

/** One A or AAAA record with a time to live. */
export function withTtl(address: string, ttl: number): DnsAnswer {
  return { records: [{ data: bytes4(address), ttl }] }
}

/** Each address in all eight groups of four digits. */
export function v6(...addresses: string[]): DnsAnswer {
  return { records: addresses.map((hex) => Uint8Array.from(Buffer.from(hex.replaceAll(':', ''), 'hex'))) }
}

/** A resolver that asks this server, quickly tired. */
export function resolverOf(dns: FakeDns, options: Partial<ResolveOptions> = {}): Resolve {
  return createResolve({ servers: [dns.address], timeoutMs: 300, tries: 1, limits: LIMITS, ...options })
}

/** What the resolver says, and what it notes; a code where it rejects. */
export async function ask(
  resolve: Resolve,
  host: string,
): Promise<{ readonly result: readonly string[] | string; readonly noted: Resolution | null }> {
  let noted: Resolution | null = null
  try {
    const result = await resolve(host, new AbortController().signal, (resolution) => {
      noted = resolution
    })
    return { result, noted }
  } catch (error) {
    if (!(error instanceof UpstreamError)) throw error
    return { result: error.code, noted }
  }
}
