// Which of a host's addresses the gateway may dial for a destination: the public ones, and those that the destination
// excepts. Runs after every resolution and before every dial; literal IP hosts take the same way. The addresses are
// untrusted, the destination's exceptions were written by the operator.
import ipaddr from 'ipaddr.js'
import type { Destination } from '../config/types.ts'
import { type Address, type AddressClass, classify, formatAddress, parseAddress } from './address-class.ts'
import { UpstreamError } from './types.ts'

interface Range {
  readonly network: Address
  readonly bits: number
}

/**
 * The canonical addresses that may be dialled, in their order and each once. Where there is none, throws an
 * UpstreamError with the `address-…` code of the first one. A name with public and other addresses keeps the public
 * ones: DNS64 adds a NAT64 address to every IPv4 name, and dropping it is enough.
 *
 * `allowAddresses` is an exception for its destination alone. It never covers the unspecified address or multicast,
 * and covers a metadata address only where it names that one address (/32 or /128): whoever allows 169.254.0.0/16 or
 * fd00::/8 did not mean to give away the task's credentials.
 */
export function permit(
  addresses: readonly string[],
  destination: Pick<Destination, 'allowAddresses' | 'name'>,
): readonly string[] {
  const exceptions = destination.allowAddresses.map(parseRange)
  const permitted = new Set<string>()
  for (const text of addresses) {
    const address = parseAddress(text)
    if (address !== null && isPermitted(address, exceptions)) permitted.add(formatAddress(address))
  }
  if (permitted.size > 0) return [...permitted]
  throw refusal(addresses[0], destination.name)
}

function refusal(first: string | undefined, destination: string): UpstreamError {
  if (first === undefined) return new UpstreamError('dns-not-found', 'the name has no address')
  const found = classify(first)
  // Public and yet not permitted cannot be; should it ever, the address is refused as one of no known kind.
  const code = `address-${found === 'public' ? 'reserved' : found}` as const
  const shown = parseAddress(first) === null ? 'an answer that is not an IP address' : first
  return new UpstreamError(code, `${shown} is ${found} and destination ${destination} makes no exception`)
}

function isPermitted(address: Address, exceptions: readonly Range[]): boolean {
  const found = classify(formatAddress(address))
  return found === 'public' || exceptions.some((range) => covers(range, address, found))
}

function covers(range: Range, address: Address, found: AddressClass): boolean {
  if (found === 'unspecified' || found === 'multicast') return false
  if (range.network instanceof ipaddr.IPv6) {
    if (!(address instanceof ipaddr.IPv6)) return false
    if (found === 'metadata' && range.bits !== 128) return false
    return address.match(range.network, range.bits)
  }
  if (address instanceof ipaddr.IPv6) return false
  if (found === 'metadata' && range.bits !== 32) return false
  return address.match(range.network, range.bits)
}

/** Reads `10.0.0.0/8`; a range of IPv4-mapped addresses is the IPv4 range that it stands for. */
function parseRange(text: string): Range {
  const [network, bits] = ipaddr.parseCIDR(text)
  if (network instanceof ipaddr.IPv6 && network.isIPv4MappedAddress() && bits >= 96) {
    return { network: network.toIPv4Address(), bits: bits - 96 }
  }
  return { network, bits }
}
