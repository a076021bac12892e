// Sorts an IP address into what it is on the network, so that a name cannot lead the gateway into its own host, its
// own VPC or the metadata service (SSRF). It fails closed: what is not plainly global unicast is not `public`.
// Trusts nothing: the text may be any string that a DNS answer held.
import { isIP } from 'node:net'
import ipaddr from 'ipaddr.js'

export const ADDRESS_CLASSES = [
  'public',
  'unspecified',
  'loopback',
  'link-local',
  'metadata',
  'private',
  'multicast',
  'reserved',
] as const
export type AddressClass = (typeof ADDRESS_CLASSES)[number]

export type Address = ipaddr.IPv4 | ipaddr.IPv6

/**
 * Services of AWS that hand out credentials or are reachable from every task without a route: instance metadata,
 * ECS task metadata, EKS Pod Identity, the Amazon DNS and time servers.
 * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
 * https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-iam-roles.html
 * https://docs.aws.amazon.com/eks/latest/userguide/pod-id-how-it-works.html
 */
const METADATA: ReadonlySet<string> = new Set([
  '169.254.169.254',
  '169.254.170.2',
  '169.254.170.23',
  '169.254.169.253',
  '169.254.169.123',
  'fd00:ec2::254',
  'fd00:ec2::23',
  'fd00:ec2::253',
  'fd00:ec2::123',
])

const RANGE_TO_CLASS: Readonly<Record<string, AddressClass>> = {
  unicast: 'public',
  unspecified: 'unspecified',
  loopback: 'loopback',
  linkLocal: 'link-local',
  private: 'private',
  uniqueLocal: 'private',
  deprecatedSiteLocal: 'private',
  carrierGradeNat: 'private',
  multicast: 'multicast',
  broadcast: 'multicast',
}

/** The only block that IANA hands out as global unicast (RFC 4291 §2.4; the rest of the space is not in use). */
const GLOBAL_UNICAST = ipaddr.IPv6.parse('2000::')

/**
 * The address, with an IPv4-mapped one as the IPv4 address that the kernel would dial; null where the text is not
 * exactly an IP address. `net.isIP` decides, not ipaddr.js, which also reads `127.1`, `0177.0.0.1` and `2130706433`.
 */
export function parseAddress(text: string): Address | null {
  // A zone (fe80::1%eth0) names an interface of this host; no answer from outside may choose one.
  if (isIP(text) === 0 || text.includes('%')) return null
  const address = ipaddr.parse(isIP(text) === 6 ? withoutDots(text) : text)
  return address instanceof ipaddr.IPv6 && address.isIPv4MappedAddress() ? address.toIPv4Address() : address
}

/** `::7.8.9.10` as `::708:90a`: ipaddr.js reads the first as IPv4-mapped, which is another address. */
function withoutDots(text: string): string {
  return text.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_all, ...octets: string[]) => {
    const [a = 0, b = 0, c = 0, d = 0] = octets.slice(0, 4).map(Number)
    return `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`
  })
}

/** IPv4 as four decimal octets, IPv6 by RFC 5952. */
export function formatAddress(address: Address): string {
  return address instanceof ipaddr.IPv6 ? address.toRFC5952String() : address.toString()
}

/** The one way to write this address, or null where the text is not an IP address (names, zones, `127.1`). */
export function canonicalAddress(text: string): string | null {
  const address = parseAddress(text)
  return address === null ? null : formatAddress(address)
}

/**
 * What an address is. Forms that carry an IPv4 address inside are judged by that address, since a translator or
 * tunnel delivers there; and even with a public one inside they are `reserved`, because the gateway cannot know
 * where such a translator leads. Only IPv4-mapped addresses count as the IPv4 address itself.
 */
export function classify(text: string): AddressClass {
  const address = parseAddress(text)
  // Not an address at all: refused like one that we know nothing good about.
  if (address === null) return 'reserved'
  if (METADATA.has(formatAddress(address))) return 'metadata'
  return address instanceof ipaddr.IPv6 ? classifyV6(address) : classifyV4(address)
}

function classifyV4(address: ipaddr.IPv4): AddressClass {
  return RANGE_TO_CLASS[address.range()] ?? 'reserved'
}

function classifyV6(address: ipaddr.IPv6): AddressClass {
  const inside = embeddedV4(address)
  if (inside.length > 0) return worst(inside)
  const found = RANGE_TO_CLASS[address.range()] ?? 'reserved'
  // ipaddr.js calls every range that it does not know `unicast`, among them all that IANA has not allocated.
  return found === 'public' && !address.match(GLOBAL_UNICAST, 3) ? 'reserved' : found
}

/** The first class among them that says more than `public`. */
function worst(inside: readonly ipaddr.IPv4[]): AddressClass {
  return (
    inside.map((address) => classify(address.toString())).find((found) => found !== 'public') ?? 'reserved'
  )
}

/** IPv4 addresses carried inside an IPv6 address; empty for an ordinary one. */
function embeddedV4(address: ipaddr.IPv6): ipaddr.IPv4[] {
  const [p0 = 0, p1 = 0, p2 = 0, p3 = 0, p4 = 0, p5 = 0, p6 = 0, p7 = 0] = address.parts
  // NAT64 (RFC 6052 §2.1) and IPv4-translated, ::ffff:0:a.b.c.d (RFC 2765 §2.1).
  if (address.range() === 'rfc6052' && p2 === 0) return [v4(p6, p7)]
  if (address.range() === 'rfc6145') return [v4(p6, p7)]
  // 6to4 (RFC 3056 §2).
  if (p0 === 0x2002) return [v4(p1, p2)]
  // Teredo (RFC 4380 §4): the server, and the client with every bit flipped.
  if (p0 === 0x2001 && p1 === 0) return [v4(p6 ^ 0xffff, p7 ^ 0xffff), v4(p2, p3)]
  // IPv4-compatible, ::a.b.c.d (RFC 4291 §2.5.5.1); :: and ::1 are addresses of their own.
  const compatible = p0 === 0 && p1 === 0 && p2 === 0 && p3 === 0 && p4 === 0 && p5 === 0
  if (compatible && (p6 !== 0 || p7 > 1)) return [v4(p6, p7)]
  // ISATAP (RFC 5214 §6.1): ::0:5efe:a.b.c.d or ::200:5efe:a.b.c.d under any prefix.
  if (p5 === 0x5efe && (p4 === 0 || p4 === 0x200)) return [v4(p6, p7)]
  return []
}

function v4(high: number, low: number): ipaddr.IPv4 {
  return new ipaddr.IPv4([high >> 8, high & 0xff, low >> 8, low & 0xff])
}
