// Which addresses the authority may call when it fetches an issuer's keys. An issuer's name that resolves inwards
// would turn the authority into a way to reach metadata services and private hosts.
import ipaddr from 'ipaddr.js'

/** IPv4-compatible addresses (RFC 4291 §2.5.5.1, long given up): `::7f00:1` may still reach 127.0.0.1 somewhere. */
const COMPATIBLE = ipaddr.IPv6.parse('::')
/** As getaddrinfo writes them; ipaddr.js would read this as a mapped address. */
const COMPATIBLE_IN_DOTS = /^::\d+\.\d+\.\d+\.\d+/
/** Azure's own services for its machines, at an address that looks global from outside (the wire server). */
const AZURE_WIRE_SERVER = '168.63.129.16'

/**
 * Whether keys may be fetched from this address: a global one, or loopback where `loopback` says so. Addresses that
 * carry an IPv4 address inside (compatible, NAT64, 6to4, Teredo) are refused, but for mapped ones, which are judged as
 * what they carry.
 */
export function isFetchable(address: string, options: { readonly loopback: boolean }): boolean {
  if (!ipaddr.isValid(address) || COMPATIBLE_IN_DOTS.test(address)) return false
  const parsed = ipaddr.process(address)
  const range = parsed.range()
  if (range === 'loopback') return options.loopback
  if (parsed instanceof ipaddr.IPv6 && parsed.match(COMPATIBLE, 96)) return false
  return range === 'unicast' && parsed.toString() !== AZURE_WIRE_SERVER
}
