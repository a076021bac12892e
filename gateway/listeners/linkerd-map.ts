// The map of `trust: - linkerd:`: which workload each of Linkerd's own names is. It is injective over all its entries: two
// names never become one workload, or whoever can get a certificate for the one would be the other. Trusts the
// configuration no further than that, and names not at all.
import { SallyportError } from '../../common/errors.ts'
import { parseSpiffeId, SpiffeIdError, type SpiffeId } from '../../spiffe/id.ts'

export type LinkerdMapErrorCode = 'empty' | 'too-many' | 'name' | 'id' | 'reference' | 'unused' | 'overlap'

export class LinkerdMapError extends SallyportError<LinkerdMapErrorCode> {
  /** The key of the entry in the map; null where it is the map itself. */
  readonly entry: string | null

  constructor(code: LinkerdMapErrorCode, entry: string | null, message: string, hint: string | null = null) {
    super(code, message, { hint })
    this.entry = entry
  }
}

export interface LinkerdIdentityMap {
  /** Of the IDs that can come out; sorted, each once. */
  readonly trustDomains: readonly string[]
  /** null where no entry matches. Names in capitals match none: Linkerd compares bytes, and so do SPIFFE IDs. */
  toSpiffeId(name: string): SpiffeId | null
}

interface Entry {
  readonly key: string
  /** `*` or the label itself. */
  readonly labels: readonly string[]
  readonly trustDomain: string
  /** A number is the label in that place of the name. */
  readonly segments: readonly (string | number)[]
}

const MAX_ENTRIES = 64
/** RFC 1035 §2.3.4, as text. */
const MAX_NAME = 253
/** RFC 1123 §2.1, lower case. No dot: the name of a service account with one has a label more, and matches no entry. */
const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/
const MAX_LABEL = 63
/** SPIFFE-ID.md §2.3. */
const MAX_ID = 2048

/**
 * Reads a map such as `{"*.*.serviceaccount.identity.linkerd.cluster.local": "spiffe://cluster.local/ns/{2}/sa/{1}"}`.
 * A wildcard is one whole label, `{n}` one whole segment of the path.
 * @throws LinkerdMapError
 */
export function parseLinkerdMap(map: Readonly<Record<string, string>>): LinkerdIdentityMap {
  const entries = Object.entries(map).map(([key, template]) => readEntry(key, template))
  if (entries.length === 0) throw new LinkerdMapError('empty', null, 'the map has no entry', 'add one')
  if (entries.length > MAX_ENTRIES)
    throw new LinkerdMapError(
      'too-many',
      null,
      `more than ${MAX_ENTRIES} entries`,
      'let wildcards stand for several',
    )
  for (const [index, entry] of entries.entries()) {
    for (const other of entries.slice(0, index)) checkApart(entry, other)
  }
  return Object.freeze({
    trustDomains: Object.freeze([...new Set(entries.map(({ trustDomain }) => trustDomain))].sort()),
    toSpiffeId(name: string) {
      const labels = name.length > MAX_NAME ? [] : name.split('.')
      if (!labels.every((label) => LABEL.test(label))) return null
      const entry = entries.find((one) => matches(one.labels, labels))
      return entry === undefined ? null : apply(entry, labels)
    },
  })
}

function readEntry(key: string, template: string): Entry {
  const labels = key.split('.')
  if (key.length > MAX_NAME || !labels.every((label) => label === '*' || LABEL.test(label))) {
    const hint = 'labels in lower case, each a * or without one, and no dot at the end'
    throw new LinkerdMapError('name', key, 'not a DNS name with wildcards for whole labels', hint)
  }
  // The place in the name of the first wildcard, the second, and so on.
  const wildcards = labels.flatMap((label, place) => (label === '*' ? [place] : []))
  const [scheme = '', authority = '', trustDomain = '', ...path] = template.split('/')
  const segments = path.map((segment) => readSegment(key, segment, wildcards))
  const sample = segments.map((segment) => (typeof segment === 'number' ? 'a'.repeat(MAX_LABEL) : segment))
  checkId(key, [scheme, authority, trustDomain, ...sample].join('/'))
  const unused = wildcards.findIndex((place) => !segments.includes(place))
  if (unused !== -1) {
    const message = `{${unused + 1}} is not used, so that two names would be one workload`
    throw new LinkerdMapError('unused', key, message, `put {${unused + 1}} into the SPIFFE ID`)
  }
  return { key, labels, trustDomain, segments }
}

function readSegment(key: string, segment: string, wildcards: readonly number[]): string | number {
  if (!/[{}]/.test(segment)) return segment
  const number = /^\{([1-9]\d?)\}$/.exec(segment)?.[1]
  const place = number === undefined ? undefined : wildcards[Number(number) - 1]
  if (place !== undefined) return place
  // Beside other text, a-b and c would be the same as a and b-c.
  const message =
    number === undefined ? '{n} is not a whole segment' : `there is no wildcard ${number} in the name`
  throw new LinkerdMapError('reference', key, message, '{1} is the first wildcard of the name')
}

/** `longest` is the ID with every wildcard at its longest: what passes here passes with any name. */
function checkId(key: string, longest: string): void {
  const example = 'such as spiffe://cluster.local/ns/{2}/sa/{1}'
  try {
    if (parseSpiffeId(longest).path !== '') return
  } catch (error) {
    if (!(error instanceof SpiffeIdError)) throw error
    throw new LinkerdMapError(
      'id',
      key,
      `not a SPIFFE ID of at most ${MAX_ID} bytes: ${error.message}`,
      example,
    )
  }
  throw new LinkerdMapError('id', key, 'the SPIFFE ID has no path, which no workload may have', example)
}

function checkApart(entry: Entry, other: Entry): void {
  const { labels } = entry
  const sameName = alike(labels, other.labels, (a, b) => a === '*' || b === '*' || a === b)
  if (sameName) {
    throw new LinkerdMapError(
      'overlap',
      entry.key,
      `some names match ${other.key} too`,
      'each name matches one entry',
    )
  }
  if (entry.trustDomain !== other.trustDomain || !alike(entry.segments, other.segments, canMeet)) return
  const message = `some SPIFFE IDs come out of ${other.key} too, so that two names would be one workload`
  throw new LinkerdMapError('overlap', entry.key, message, 'put a segment of its own into one of them')
}

function alike<T>(left: readonly T[], right: readonly T[], same: (left: T, right: T) => boolean): boolean {
  // A right side of the same length has no undefined.
  return left.length === right.length && left.every((one, index) => same(one, right[index] as T))
}

function canMeet(left: string | number, right: string | number): boolean {
  if (typeof left === 'number') return typeof right === 'number' || LABEL.test(right)
  return typeof right === 'number' ? LABEL.test(left) : left === right
}

function matches(pattern: readonly string[], labels: readonly string[]): boolean {
  return alike(pattern, labels, (wanted, label) => wanted === '*' || wanted === label)
}

function apply({ trustDomain, segments }: Entry, labels: readonly string[]): SpiffeId {
  const path = segments.map((segment) => (typeof segment === 'number' ? (labels[segment] ?? '') : segment))
  return parseSpiffeId(`spiffe://${[trustDomain, ...path].join('/')}`)
}
