// In which order a host's endpoints are tried. A pure function of what is known of them.
import { isIPv4 } from 'node:net'
import { inTurn } from './dns-query.ts'

export interface OrderOptions {
  /** Permitted and canonical, each once. */
  readonly addresses: readonly string[]
  /** When the address is set aside no longer, by the same clock as `now`; 0 or past = it is not. */
  readonly asideUntil: (address: string) => number
  readonly now: number
  /** Counts the sessions to this host, so that each begins one address further on. */
  readonly turn: number
}

/**
 * Those not set aside first, each family begun at another address each time, the families alternating from IPv4
 * (partners allow-list the gateway's fixed IPv4 egress addresses; RFC 8305 §4 alternates from IPv6). Then those set
 * aside, the one whose time is over soonest first: they are tried last and never left out, since they may be all there is.
 */
export function orderEndpoints({ addresses, asideUntil, now, turn }: OrderOptions): readonly string[] {
  const usable = addresses.filter((address) => asideUntil(address) <= now)
  const aside = addresses.filter((address) => asideUntil(address) > now)
  const four = usable.filter((address) => isIPv4(address))
  const six = usable.filter((address) => !isIPv4(address))
  return [
    ...inTurn(rotated(four, turn), rotated(six, turn)),
    ...aside.toSorted((one, other) => asideUntil(one) - asideUntil(other)),
  ]
}

function rotated(addresses: readonly string[], turn: number): readonly string[] {
  if (addresses.length < 2) return addresses
  const start = turn % addresses.length
  return [...addresses.slice(start), ...addresses.slice(0, start)]
}
