// What each range of the address space is for: the two IANA special-purpose registries (RFC 6890, RFC 8190), multicast,
// and the addresses at which clouds answer their own machines. A table and nothing else; address-class.ts judges by it
// and the lock at the socket (block-list.ts) is cut from it.

export const ADDRESS_CLASSES = [
  'public',
  'unspecified',
  'loopback',
  'link-local',
  'metadata',
  'private',
  'cgnat',
  'vpc',
  'multicast',
  'benchmark',
  'documentation',
  'embedded',
  'reserved',
] as const
export type AddressClass = (typeof ADDRESS_CLASSES)[number]

export interface SpecialRange {
  /** CIDR. */
  readonly range: string
  readonly found: AddressClass
}

const of = (found: AddressClass, ...ranges: readonly string[]): readonly SpecialRange[] =>
  ranges.map((range) => ({ range, found }))

/**
 * https://www.iana.org/assignments/iana-ipv4-special-registry (of 2025). Blocks that the registry calls globally
 * reachable (AS112, AMT, the PCP and TURN anycast addresses) are reserved here all the same: they are infrastructure that
 * answers from the nearest network, and no partner's service stands there.
 */
const IPV4: readonly SpecialRange[] = [
  ...of('public', '0.0.0.0/0'),
  ...of('unspecified', '0.0.0.0/8'),
  ...of('loopback', '127.0.0.0/8'),
  ...of('link-local', '169.254.0.0/16'),
  ...of('private', '10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16'),
  ...of('cgnat', '100.64.0.0/10'),
  // The limited broadcast address is as many hosts as a multicast group.
  ...of('multicast', '224.0.0.0/4', '255.255.255.255/32'),
  ...of('benchmark', '198.18.0.0/15'),
  ...of('documentation', '192.0.2.0/24', '198.51.100.0/24', '203.0.113.0/24'),
  // IETF protocol assignments, with all that is in them; AS112; AMT; 6to4 relays; class E.
  ...of('reserved', '192.0.0.0/24', '192.31.196.0/24', '192.175.48.0/24', '192.52.193.0/24'),
  ...of('reserved', '192.88.99.0/24', '240.0.0.0/4'),
]

/**
 * https://www.iana.org/assignments/iana-ipv6-special-registry (of October 2025). Only 2000::/3 is handed out as global
 * unicast (RFC 4291 §2.4); the rest of the space is not in use, and what is not in use is reserved.
 */
const IPV6: readonly SpecialRange[] = [
  ...of('reserved', '::/0'),
  ...of('public', '2000::/3'),
  ...of('unspecified', '::/128'),
  ...of('loopback', '::1/128'),
  ...of('link-local', 'fe80::/10'),
  // Unique local, and site-local before it (RFC 3879).
  ...of('private', 'fc00::/7', 'fec0::/10'),
  ...of('multicast', 'ff00::/8'),
  ...of('benchmark', '2001:2::/48'),
  ...of('documentation', '2001:db8::/32', '3fff::/20'),
  // An IPv4 address inside (embedded-address.ts): IPv4-compatible, mapped, translated, NAT64, Teredo, 6to4.
  ...of('embedded', '::/96', '::ffff:0:0/96', '::ffff:0:0:0/96', '64:ff9b::/96', '64:ff9b:1::/48'),
  ...of('embedded', '2001::/32', '2002::/16'),
  // Discard-only, the dummy prefix of RFC 9780, segment routing.
  ...of('reserved', '100::/64', '100:0:0:1::/64', '5f00::/16'),
  // IETF protocol assignments (PCP, TURN, AMT, AS112, ORCHID, drone ids, …), and AS112 again.
  ...of('reserved', '2001::/23', '2620:4f:8000::/48'),
]

/**
 * Where a cloud answers each of its machines without a route: metadata, credentials, DNS and time.
 *
 * AWS: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html,
 * https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-iam-roles.html,
 * https://docs.aws.amazon.com/eks/latest/userguide/pod-id-how-it-works.html. All of fd00:ec2::/32 belongs to such services
 * (metadata ::254, pod identity ::23, DNS ::253, time ::123). The resolver at the base of a VPC plus two is not known here.
 *
 * Other clouds, because a gateway may run there and no service for others stands at these: Azure's wire server (a public
 * address), Alibaba's metadata (in CGNAT), Oracle's (in 192.0.0.0/24), Google's in IPv6, Scaleway's, Tencent's, OpenStack's.
 */
const CLOUDS: readonly SpecialRange[] = [
  ...of('metadata', '169.254.169.254/32', '169.254.170.2/32', '169.254.170.23/32'),
  ...of('metadata', '169.254.169.253/32', '169.254.169.123/32', 'fd00:ec2::/32'),
  ...of('metadata', '168.63.129.16/32', '100.100.100.200/32', '192.0.0.192/32', 'fd20:ce::254/128'),
  ...of('metadata', '169.254.42.42/32', 'fd00:42::42/128', '169.254.0.23/32', 'fe80::a9fe:a9fe/128'),
]

/** Of two that cover an address, the longer prefix counts. */
export const SPECIAL_RANGES: readonly SpecialRange[] = [...IPV4, ...IPV6, ...CLOUDS]
