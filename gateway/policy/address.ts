// Source addresses in the one form that Cedar's `ip()` takes. It refuses IPv4-mapped addresses and zones, and a refused
// value fails the whole call; and `ip("10.0.0.0/8")` in a policy must also hold for a client that came in as ::ffff:10.0.0.1.
import { isIP } from 'node:net'
import ipaddr from 'ipaddr.js'

/** Of the addresses asked for last: many questions come from few of them, and most in a row from the same. */
const known = new Map<string, string>()
const MAX_KNOWN = 256

/** As below, and remembered. */
export function canonicalSource(text: string): string {
  const before = known.get(text)
  if (before !== undefined) return before
  const address = canonicalAddress(text)
  if (known.size >= MAX_KNOWN) known.clear()
  known.set(text, address)
  return address
}

/** IPv4 in dotted form (also for IPv4-mapped addresses) or IPv6 by RFC 5952 without zone. Throws on anything else. */
export function canonicalAddress(text: string): string {
  const bare = text.replace(/%[0-9A-Za-z._-]+$/, '')
  // ipaddr.js also takes 0177.1 and the like, which are no addresses on a socket.
  if (isIP(bare) === 0) throw new TypeError('the source address is not an IP address')
  const address = ipaddr.process(bare)
  return address instanceof ipaddr.IPv6 ? address.toRFC5952String() : address.toString()
}
