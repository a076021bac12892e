// Which of a host's addresses the gateway may dial for a destination: the public ones, and those that the destination
// excepts. Runs after every resolution and before every dial; literal IP hosts take the same way. The addresses are
// untrusted, the destination's exceptions were written by the operator.
import type { ReasonCode } from '../audit/reasons.ts'
import type { Destination } from '../config/types.ts'
import {
  type Address,
  formatAddress,
  inRange,
  type Layer,
  layersOf,
  NO_NETWORK,
  type OwnNetwork,
  parseAddress,
  parseRange,
  type Range,
} from './address-class.ts'
import { UpstreamError } from './types.ts'

/** What the gateway knows of itself. */
export interface Surroundings {
  readonly network: OwnNetwork
  /** Whether the gateway itself listens there. */
  readonly isOwnListener: (address: string, port: number) => boolean
}

/** Of a gateway that knows neither its VPC nor its listeners. */
export const NO_SURROUNDINGS: Surroundings = { network: NO_NETWORK, isOwnListener: () => false }

/** Why an address is not dialled. */
interface Fault {
  readonly code: ReasonCode
  readonly message: string
}

/**
 * The canonical addresses that may be dialled on this port, in their order and each once. Where there is none, throws an
 * UpstreamError with the `address-…` code of the first one. A name with public and other addresses keeps the public
 * ones: DNS64 adds a NAT64 address to every IPv4 name, and dropping it is enough.
 *
 * `allowAddresses` is an exception for its destination alone. It never covers the unspecified address, multicast or a
 * port of the gateway's own, and covers a metadata address only where it names that one address (/32 or /128): whoever
 * allows 169.254.0.0/16 or fd00::/8 did not mean to give away the task's credentials. An address inside another must be
 * permitted as well as the other: whoever allows a translator did not mean to allow all that lies behind it.
 */
export function permit(
  addresses: readonly string[],
  port: number,
  destination: Pick<Destination, 'allowAddresses' | 'name'>,
  surroundings: Surroundings,
): readonly string[] {
  const exceptions = exceptionsOf(destination.allowAddresses)
  const permitted = new Set<string>()
  const faults: Fault[] = []
  for (const text of addresses) {
    const address = parseAddress(text)
    const fault =
      address === null ? NO_ADDRESS : faultOf(address, port, { exceptions, destination, surroundings })
    if (fault !== null) faults.push(fault)
    else if (address !== null) permitted.add(formatAddress(address))
  }
  if (permitted.size > 0) return [...permitted]
  const { code, message } = faults[0] ?? { code: 'dns-not-found', message: 'the name has no address' }
  throw new UpstreamError(code, message)
}

/** By the configuration's own object: parsed once for as long as it is in force. */
const parsed = new WeakMap<readonly string[], readonly Range[]>()

function exceptionsOf(allowAddresses: readonly string[]): readonly Range[] {
  const known = parsed.get(allowAddresses)
  if (known !== undefined) return known
  const ranges = allowAddresses.map(parseRange)
  parsed.set(allowAddresses, ranges)
  return ranges
}

/** Its text is whatever somebody's DNS server said, and is not repeated. */
const NO_ADDRESS: Fault = {
  code: 'address-reserved',
  message: 'an answer that is not an IP address is reserved',
}

interface Rules {
  readonly exceptions: readonly Range[]
  readonly destination: Pick<Destination, 'name'>
  readonly surroundings: Surroundings
}

function faultOf(address: Address, port: number, rules: Rules): Fault | null {
  const { network, isOwnListener } = rules.surroundings
  const layers = layersOf(address, network)
  const shown = formatAddress(address)
  if (layers.some((layer) => isOwnListener(formatAddress(layer.address), port))) {
    return { code: 'address-own-listener', message: `${shown} on port ${port} is this gateway` }
  }
  const refused = layers.find((layer) => !isPermitted(layer, rules.exceptions))
  if (refused === undefined || refused.found === 'public') return null
  const inside = refused.address === address ? '' : ` (${formatAddress(refused.address)} inside it)`
  const { name } = rules.destination
  const message = `${shown} is ${refused.found}${inside} and destination ${name} makes no exception`
  return { code: `address-${refused.found}`, message }
}

function isPermitted({ address, found }: Layer, exceptions: readonly Range[]): boolean {
  if (found === 'public') return true
  if (found === 'unspecified' || found === 'multicast') return false
  return exceptions.some((range) => {
    if (found === 'metadata' && range.bits !== (address.kind() === 'ipv4' ? 32 : 128)) return false
    return inRange(address, range)
  })
}
