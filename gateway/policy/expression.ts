// Reads single nodes of an expression in Cedar's JSON form (https://docs.cedarpolicy.com/policies/json-format.html):
// attributes and literals, as what they are. Cedar has produced the tree and is trusted in shape; a node that is not
// known here is null, and whoever asks must then assume the worst of it.
import ipaddr from 'ipaddr.js'

export type Node = Readonly<Record<string, unknown>>

export function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null
}

/** What a policy can read of a question besides who asks and for which destination. */
export type Attribute = 'host' | 'port' | 'now' | 'sourceIp' | 'listener' | 'serialNumber' | 'vpcEndpoint'

const ATTRIBUTES: Readonly<Record<string, Attribute>> = {
  'resource.host': 'host',
  'resource.port': 'port',
  'context.now': 'now',
  'context.sourceIp': 'sourceIp',
  'context.listener': 'listener',
  'context.serialNumber': 'serialNumber',
  'context.vpcEndpoint': 'vpcEndpoint',
}

/** `context.now` and the like; also `context["now"]`, which Cedar writes the same way. */
export function attributeOf(node: unknown): Attribute | null {
  if (!isNode(node) || !isNode(node['.'])) return null
  const { left, attr } = node['.']
  return isNode(left) ? (ATTRIBUTES[`${String(left.Var)}.${String(attr)}`] ?? null) : null
}

/** A string, number or boolean that stands there. */
export function literalOf(node: unknown): string | number | boolean | null {
  const value = isNode(node) ? node.Value : null
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? value : null
}

/** The elements of a set in which only strings stand. */
export function stringSetOf(node: unknown): readonly string[] | null {
  if (!isNode(node) || !Array.isArray(node.Set)) return null
  const values = node.Set.map(literalOf).filter((value) => typeof value === 'string')
  return values.length === node.Set.length ? values : null
}

/** The text in `datetime("…")`, `ip("…")`, `duration("…")`. */
function argumentOf(node: unknown, constructor: string): string | null {
  const list = isNode(node) ? node[constructor] : null
  const value = Array.isArray(list) && list.length === 1 ? literalOf(list[0]) : null
  return typeof value === 'string' ? value : null
}

const DATETIME = /^(\d{4}-\d\d-\d\d)(?:T(\d\d:\d\d:\d\d(?:\.\d{3})?)(?:Z|([+-]\d\d)(\d\d)))?$/

/** Milliseconds since the epoch of `datetime("…")`. */
export function momentOf(node: unknown): number | null {
  const text = argumentOf(node, 'datetime')
  const parts = text === null ? null : DATETIME.exec(text)
  if (parts === null) return null
  const [, date, time = '00:00:00', hours, minutes] = parts
  const moment = Date.parse(`${date}T${time}${hours === undefined ? 'Z' : `${hours}:${minutes}`}`)
  return Number.isNaN(moment) ? null : moment
}

export interface AddressRange {
  readonly address: ipaddr.IPv4 | ipaddr.IPv6
  readonly prefix: number
}

/** `ip("10.0.0.0/8")`; an address alone is a range of one. */
export function rangeOf(node: unknown): AddressRange | null {
  const text = argumentOf(node, 'ip')
  if (text === null) return null
  const [bare = '', prefix] = text.split('/')
  if (!ipaddr.isValid(bare)) return null
  const address = ipaddr.parse(bare)
  const bits = address.kind() === 'ipv4' ? 32 : 128
  return { address, prefix: prefix === undefined ? bits : Number(prefix) }
}

/** Both operands of a binary operator. */
export function operandsOf(node: Node, operator: string): readonly [left: unknown, right: unknown] | null {
  const operation = node[operator]
  return isNode(operation) && 'left' in operation && 'right' in operation
    ? [operation.left, operation.right]
    : null
}

/** A `like` pattern as what stands before, between and behind its wildcards. */
export type Pattern = readonly string[]

export function patternOf(pattern: unknown): Pattern | null {
  if (!Array.isArray(pattern)) return null
  const parts = ['']
  for (const piece of pattern) {
    if (piece === 'Wildcard') parts.push('')
    else if (isNode(piece) && typeof piece.Literal === 'string') parts.push(`${parts.pop()}${piece.Literal}`)
    else return null
  }
  return parts
}

/** As Cedar's `like`: a wildcard stands for any characters, none among them. */
export function matchesPattern(pattern: Pattern, text: string): boolean {
  const [first = '', ...rest] = pattern
  const last = rest.pop()
  if (last === undefined) return text === first
  if (text.length < first.length + last.length || !text.startsWith(first) || !text.endsWith(last))
    return false
  let at = first.length
  const end = text.length - last.length
  for (const part of rest) {
    // The earliest place leaves most for the parts behind it.
    const found = text.indexOf(part, at)
    if (found === -1 || found + part.length > end) return false
    at = found + part.length
  }
  return true
}
