// The second lock: a `net.BlockList` at the socket of everything that may not be dialled for a destination, so that an
// address which came by permit.ts in some other way is refused by Node itself. It is cut from the same table by arithmetic
// on ranges and shares no judgement with permit.ts. What no range shows (ISATAP, the address inside another, the gateway's
// own ports) only permit.ts knows.
import { BlockList } from 'node:net'
import ipaddr from 'ipaddr.js'
import type { Destination } from '../config/types.ts'
import { formatAddress, type OwnNetwork, parseRange, type Range } from './address-class.ts'
import { ADDRESS_CLASSES, type AddressClass, SPECIAL_RANGES } from './special-ranges.ts'

/** Every address from `first` to `last`, both as numbers. */
interface Span {
  readonly family: 'ipv4' | 'ipv6'
  readonly first: bigint
  readonly last: bigint
}

type Excepting = Pick<Destination, 'allowAddresses'>

/** One list a destination, made when it is first dialled; destinations without exceptions share one. */
export function createBlockLists(network: OwnNetwork): (destination: Excepting) => BlockList {
  const shared = blockListFor([], network)
  const made = new WeakMap<Excepting, BlockList>()
  return (destination) => {
    if (destination.allowAddresses.length === 0) return shared
    const known = made.get(destination)
    if (known !== undefined) return known
    const list = blockListFor(destination.allowAddresses, network)
    made.set(destination, list)
    return list
  }
}

function blockListFor(allowAddresses: readonly string[], { vpc, resolvers }: OwnNetwork): BlockList {
  const exceptions = allowAddresses.map(parseRange)
  const single = exceptions.filter(({ network, bits }) => bits === (network.kind() === 'ipv4' ? 32 : 128))
  const metadata = [...spansOf('metadata'), ...resolvers.map(toSpan)]
  const blocked = [
    ...ADDRESS_CLASSES.filter((found) => found !== 'public').flatMap(spansOf),
    ...vpc.map(toSpan),
  ]
  const list = new BlockList()
  const spans = [
    ...without(blocked, exceptions.map(toSpan)),
    ...without(metadata, single.map(toSpan)),
    ...spansOf('unspecified'),
    ...spansOf('multicast'),
  ]
  // addSubnet() of an IPv6 range around the mapped ones would block their IPv4 addresses too; addRange() does not.
  for (const { family, first, last } of spans)
    list.addRange(toText(first, family), toText(last, family), family)
  return list
}

/** As IPv4 is to Node: all of IPv4 would be blocked with it. */
const MAPPED = '::ffff:0:0/96'

/** Of all ranges but the widest, a longer prefix only ever refuses more; so there the public ranges are what is left. */
function spansOf(wanted: AddressClass): readonly Span[] {
  return SPECIAL_RANGES.filter(({ found, range }) => found === wanted && range !== MAPPED).flatMap(
    ({ range }) => (range === '::/0' ? without([toTableSpan(range)], spansOf('public')) : toTableSpan(range)),
  )
}

function toTableSpan(range: string): Span {
  const [network, bits] = ipaddr.parseCIDR(range)
  return toSpan({ network, bits })
}

function toSpan({ network, bits }: Range): Span {
  const family = network.kind()
  const free = BigInt((family === 'ipv4' ? 32 : 128) - bits)
  const first = network.toByteArray().reduce((number, octet) => (number << 8n) | BigInt(octet), 0n)
  return { family, first, last: first + (1n << free) - 1n }
}

/** What is left of the spans. */
function without(spans: readonly Span[], cuts: readonly Span[]): readonly Span[] {
  return cuts.reduce((left, cut) => left.flatMap((span) => cutOut(span, cut)), spans)
}

function cutOut(span: Span, cut: Span): readonly Span[] {
  if (cut.family !== span.family || cut.last < span.first || cut.first > span.last) return [span]
  const below = { ...span, last: cut.first - 1n }
  const above = { ...span, first: cut.last + 1n }
  return [below, above].filter(({ first, last }) => first <= last)
}

function toText(number: bigint, family: Span['family']): string {
  const length = family === 'ipv4' ? 4 : 16
  const octets = Array.from({ length }, (_, index) =>
    Number((number >> BigInt(8 * (length - 1 - index))) & 0xffn),
  )
  return formatAddress(ipaddr.fromByteArray(octets))
}
