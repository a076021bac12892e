// Which addresses the authority may call when it fetches an issuer's keys. An issuer's name that resolves inwards
// would turn the authority into a way to reach metadata services and private hosts.
import ipaddr from 'ipaddr.js'

/**
 * Whether keys may be fetched from this address: a global one, or loopback where `loopback` says so. Addresses that
 * carry an IPv4 address inside (mapped, NAT64, 6to4, Teredo) are no plain unicast and so are refused, but for mapped
 * ones, which are judged as what they carry.
 */
export function isFetchable(address: string, options: { readonly loopback: boolean }): boolean {
  if (!ipaddr.isValid(address)) return false
  const range = ipaddr.process(address).range()
  return range === 'unicast' || (options.loopback && range === 'loopback')
}
