// Sorts an IP address into what it is on the network, so that a name cannot lead the gateway into its own host, its
// own VPC or the metadata service (SSRF). It fails closed: what is not plainly global unicast is not `public`.
// Trusts nothing: the text may be any string that a DNS answer held.
import { isIP } from 'node:net'
import ipaddr from 'ipaddr.js'
import { LRUCache } from 'lru-cache'
import { embeddedAddresses } from './embedded-address.ts'
import { type AddressClass, SPECIAL_RANGES } from './special-ranges.ts'

export type Address = ipaddr.IPv4 | ipaddr.IPv6

export interface Range {
  readonly network: Address
  readonly bits: number
}

/** The network that the gateway stands in, as configured. */
export interface OwnNetwork {
  readonly vpc: readonly Range[]
  /** The VPC's DNS resolvers. */
  readonly resolvers: readonly Range[]
}

/** Of a gateway that was told of no VPC. */
export const NO_NETWORK: OwnNetwork = { vpc: [], resolvers: [] }

/**
 * The VPC of these CIDR blocks. Amazon's DNS server has the base of a block plus two, beside 169.254.169.253:
 * https://docs.aws.amazon.com/vpc/latest/userguide/AmazonDNS-concepts.html#AmazonDNS
 */
export function ownNetwork(vpcCidrs: readonly string[]): OwnNetwork {
  const vpc = vpcCidrs.map(parseRange)
  const resolvers = vpc.flatMap(({ network }) => {
    if (network instanceof ipaddr.IPv6) return []
    const [a = 0, b = 0, c = 0, d = 0] = network.octets
    return [{ network: new ipaddr.IPv4([a, b, c, d + 2]), bits: 32 }]
  })
  return { vpc, resolvers }
}

/**
 * The address, with an IPv4-mapped one as the IPv4 address that the kernel would dial; null where the text is not
 * exactly an IP address. `net.isIP` decides, not ipaddr.js, which also reads `127.1`, `0177.0.0.1` and `2130706433`.
 */
export function parseAddress(text: string): Address | null {
  // A zone (fe80::1%eth0) names an interface of this host; no answer from outside may choose one.
  if (isIP(text) === 0 || text.includes('%')) return null
  const known = parsed.get(text)
  if (known !== undefined) return known
  const read = ipaddr.parse(isIP(text) === 6 ? withoutDots(text) : text)
  const address = read instanceof ipaddr.IPv6 && read.isIPv4MappedAddress() ? read.toIPv4Address() : read
  parsed.set(text, address)
  return address
}

/** ipaddr.js reads by regular expressions, and the same few addresses come with every session. */
const parsed = new LRUCache<string, Address>({ max: 4096 })

/** `::7.8.9.10` as `::708:90a`: ipaddr.js reads the first as IPv4-mapped, which is another address. */
function withoutDots(text: string): string {
  return text.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_all, ...octets: string[]) => {
    const [a = 0, b = 0, c = 0, d = 0] = octets.slice(0, 4).map(Number)
    return `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`
  })
}

/** By object, as those of `parsed`, which nobody changes. */
const texts = new WeakMap<Address, string>()

/** IPv4 as four decimal octets, IPv6 by RFC 5952. */
export function formatAddress(address: Address): string {
  const known = texts.get(address)
  if (known !== undefined) return known
  const text = address instanceof ipaddr.IPv6 ? address.toRFC5952String() : address.toString()
  texts.set(address, text)
  return text
}

/** The one way to write this address, or null where the text is not an IP address (names, zones, `127.1`). */
export function canonicalAddress(text: string): string | null {
  const address = parseAddress(text)
  return address === null ? null : formatAddress(address)
}

/** Reads `10.0.0.0/8`, which was checked before; a range of IPv4-mapped addresses is the IPv4 range that it stands for. */
export function parseRange(text: string): Range {
  const [network, bits] = ipaddr.parseCIDR(text)
  if (network instanceof ipaddr.IPv6 && network.isIPv4MappedAddress() && bits >= 96) {
    return { network: network.toIPv4Address(), bits: bits - 96 }
  }
  return { network, bits }
}

/** Whether the address is in the range. Ranges of one family hold no address of the other. */
export function inRange(address: Address, { network, bits }: Range): boolean {
  // Said for each family, since the types of ipaddr.js let no address match a network that may be of the other.
  if (address instanceof ipaddr.IPv6) return network instanceof ipaddr.IPv6 && address.match(network, bits)
  return network instanceof ipaddr.IPv4 && address.match(network, bits)
}

/** Parsed not by parseRange, for which the mapped range would be all of IPv4. The longest prefix first. */
const TABLE = SPECIAL_RANGES.map(({ range, found }) => {
  const [network, bits] = ipaddr.parseCIDR(range)
  return { network, bits, found }
}).toSorted((a, b) => b.bits - a.bits)

/** An address that is reached by dialling another, or that other itself. */
export interface Layer {
  readonly address: Address
  readonly found: AddressClass
}

/**
 * What somebody who dials the address may reach: the IPv4 addresses inside it first, since a translator or tunnel
 * delivers there, then itself. All of them must be fit to dial. A form that carries a public address is `embedded`
 * and not public, because the gateway cannot know where such a translator leads.
 */
export function layersOf(address: Address, network: OwnNetwork): readonly Layer[] {
  let own = layers.get(network)
  if (own === undefined) {
    own = new WeakMap()
    layers.set(network, own)
  }
  const known = own.get(address) ?? findLayers(address, network)
  own.set(address, known)
  return known
}

/** By object: a network that was configured anew is another one. */
const layers = new WeakMap<OwnNetwork, WeakMap<Address, readonly Layer[]>>()

function findLayers(address: Address, network: OwnNetwork): readonly Layer[] {
  const found = rangeClass(address, network)
  const inside = address instanceof ipaddr.IPv6 ? embeddedAddresses(address) : []
  if (inside.length === 0) return [{ address, found }]
  return [
    ...inside.map((one) => ({ address: one, found: rangeClass(one, network) })),
    // ISATAP, which no range shows.
    { address, found: found === 'public' ? 'embedded' : found },
  ]
}

/** What an address is: of its layers, the first that says more than `public`. */
export function classify(text: string, network: OwnNetwork = NO_NETWORK): AddressClass {
  const address = parseAddress(text)
  // Not an address at all: refused like one that we know nothing good about.
  if (address === null) return 'reserved'
  return layersOf(address, network).find(({ found }) => found !== 'public')?.found ?? 'public'
}

/** A VPC may be cut from any range, also a public one; these stay what they are even there. */
const BEFORE_VPC: ReadonlySet<AddressClass> = new Set([
  ...(['unspecified', 'loopback', 'link-local', 'metadata', 'multicast'] as const),
])

function rangeClass(address: Address, { vpc, resolvers }: OwnNetwork): AddressClass {
  const found = TABLE.find((range) => inRange(address, range))?.found ?? 'reserved'
  if (BEFORE_VPC.has(found)) return found
  if (resolvers.some((range) => inRange(address, range))) return 'metadata'
  return vpc.some((range) => inRange(address, range)) ? 'vpc' : found
}
