// Address ranges in CIDR form, in their one spelling (RFC 4632 §3.1, RFC 4291 §2.3).
import { isIP } from 'node:net'
import ipaddr from 'ipaddr.js'

export interface CanonicalRange {
  readonly text: string
  /** False where bits beyond the prefix were set, so that the author may have meant another range. */
  readonly exact: boolean
}

/** Null where the text is not `address/length`; `net.isIP` decides about the address, ipaddr.js takes `10/8`. */
export function canonicalRange(text: string): CanonicalRange | null {
  const [, address = '', length = ''] = /^([^/]*)\/(0|[1-9]\d{0,2})$/.exec(text) ?? []
  const family = isIP(address)
  if (family === 0 || address.includes('%')) return null
  const bits = Number(length)
  if (bits > (family === 4 ? 32 : 128)) return null
  const network =
    family === 4
      ? ipaddr.IPv4.networkAddressFromCIDR(text).toString()
      : ipaddr.IPv6.networkAddressFromCIDR(text).toRFC5952String()
  const parsed = ipaddr.parse(address)
  const canonical = parsed instanceof ipaddr.IPv6 ? parsed.toRFC5952String() : parsed.toString()
  return { text: `${network}/${bits}`, exact: network === canonical }
}
