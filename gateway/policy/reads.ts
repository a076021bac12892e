// What a policy reads of a question, and in which form. A value that is only compared with literals matters by which of
// them it meets, so that many questions are one to the cache. Whatever form is not known here counts as reading all.
import {
  type AddressRange,
  type Attribute,
  attributeOf,
  isNode,
  literalOf,
  momentOf,
  type Node,
  operandsOf,
  type Pattern,
  patternOf,
  rangeOf,
  stringSetOf,
} from './expression.ts'

/** A question about an address that has one answer for each address. */
export type AddressTest = { readonly kind: 'in' | 'equal'; readonly range: AddressRange } | AddressProperty
interface AddressProperty {
  readonly kind: 'isIpv4' | 'isIpv6' | 'isLoopback' | 'isMulticast'
}

export type Read =
  | { readonly attribute: Attribute; readonly form: 'literals'; readonly literals: readonly string[] }
  | { readonly attribute: Attribute; readonly form: 'pattern'; readonly pattern: Pattern }
  | { readonly attribute: 'vpcEndpoint'; readonly form: 'presence' }
  | { readonly attribute: 'sourceIp'; readonly form: 'address'; readonly test: AddressTest }
  /** The result of a comparison changes at these moments, in milliseconds since the epoch. */
  | { readonly attribute: 'now'; readonly form: 'moments'; readonly moments: readonly number[] }
  | { readonly attribute: Attribute; readonly form: 'otherwise' }

const ALL: readonly Attribute[] = [
  'host',
  'port',
  'now',
  'sourceIp',
  'listener',
  'serialNumber',
  'vpcEndpoint',
]

/** Every read of an expression. */
export function* readsOf(node: unknown): Generator<Read> {
  if (!isNode(node)) return
  const read = knownRead(node)
  if (read !== null) {
    if (read !== 'nothing') yield read
    return
  }
  const attribute = attributeOf(node)
  if (attribute !== null) yield { attribute, form: 'otherwise' }
  // The context as a whole, in whatever it is then used for. An entity as a whole is its name alone.
  else if (node.Var === 'context') for (const attribute of ALL) yield { attribute, form: 'otherwise' }
  else for (const child of Object.values(node)) yield* readsOf(child)
}

/** Who asks, and for which destination. */
export type Entity = 'principal' | 'resource'

/**
 * Which of the two an expression looks at in any way (its name, what it is in, an attribute) but by `resource.host` and
 * `resource.port`, which are attributes of the question (readsOf).
 */
export function entitiesReadBy(node: unknown): ReadonlySet<Entity> {
  const found = new Set<Entity>()
  const visit = (at: unknown): void => {
    if (!isNode(at) || attributeOf(at) !== null) return
    if (at.Var === 'principal' || at.Var === 'resource') found.add(at.Var)
    for (const child of Object.values(at)) visit(child)
  }
  visit(node)
  return found
}

function knownRead(node: Node): Read | 'nothing' | null {
  return (
    readOfPresence(node) ??
    readOfEquality(node) ??
    readOfLike(node) ??
    readOfSet(node) ??
    readOfTime(node) ??
    readOfAddress(node)
  )
}

function readOfPresence({ has }: Node): Read | 'nothing' | null {
  if (!isNode(has) || !isNode(has.left) || typeof has.attr !== 'string') return null
  if (has.left.Var === 'resource' || has.left.Var === 'principal') return 'nothing'
  if (has.left.Var !== 'context') return null
  // All others are always there.
  return has.attr === 'vpcEndpoint' ? { attribute: 'vpcEndpoint', form: 'presence' } : 'nothing'
}

const TEXTS: ReadonlySet<Attribute> = new Set(['host', 'listener', 'serialNumber', 'vpcEndpoint'])

function readOfEquality(node: Node): Read | null {
  const operands = operandsOf(node, '==') ?? operandsOf(node, '!=')
  if (operands === null) return null
  const [attribute, literal] = attributeAnd(operands)
  if (attribute === 'sourceIp') {
    const range = rangeOf(literal)
    return range === null ? null : { attribute, form: 'address', test: { kind: 'equal', range } }
  }
  const text = literalOf(literal)
  if (attribute === null || !TEXTS.has(attribute) || typeof text !== 'string') return null
  return { attribute, form: 'literals', literals: [text] }
}

/** Whichever operand is the attribute, and the other one. */
function attributeAnd([left, right]: readonly [unknown, unknown]): readonly [Attribute | null, unknown] {
  const attribute = attributeOf(left)
  return attribute === null ? [attributeOf(right), left] : [attribute, right]
}

function readOfLike({ like }: Node): Read | null {
  if (!isNode(like)) return null
  const attribute = attributeOf(like.left)
  const pattern = patternOf(like.pattern)
  if (attribute === null || pattern === null) return null
  return { attribute, form: 'pattern', pattern }
}

function readOfSet(node: Node): Read | null {
  const [set, element] = operandsOf(node, 'contains') ?? []
  const attribute = attributeOf(element)
  const literals = stringSetOf(set)
  return attribute === null || literals === null ? null : { attribute, form: 'literals', literals }
}

/** At which moments `now <operator> moment` changes, as an offset to it: time is counted in whole milliseconds. */
const CHANGES: Readonly<Record<string, readonly number[]>> = {
  '<': [0],
  '>=': [0],
  '<=': [1],
  '>': [1],
  '==': [0, 1],
  '!=': [0, 1],
}
const MIRRORED: Readonly<Record<string, string>> = { '<': '>', '>=': '<=', '<=': '>=', '>': '<' }

function readOfTime(node: Node): Read | null {
  for (const operator of Object.keys(CHANGES)) {
    const operands = operandsOf(node, operator)
    if (operands === null) continue
    const [left, right] = operands
    const mirrored = attributeOf(right) === 'now'
    if (!mirrored && attributeOf(left) !== 'now') return null
    const moment = momentOf(mirrored ? left : right)
    if (moment === null) return null
    const offsets = CHANGES[mirrored ? (MIRRORED[operator] ?? operator) : operator] ?? []
    return { attribute: 'now', form: 'moments', moments: offsets.map((offset) => moment + offset) }
  }
  return null
}

const PROPERTIES = ['isIpv4', 'isIpv6', 'isLoopback', 'isMulticast'] as const

function readOfAddress(node: Node): Read | null {
  const read = (test: AddressTest): Read => ({ attribute: 'sourceIp', form: 'address', test })
  for (const kind of PROPERTIES) {
    const list = node[kind]
    if (Array.isArray(list)) return attributeOf(list[0]) === 'sourceIp' ? read({ kind }) : null
  }
  if (!Array.isArray(node.isInRange) || attributeOf(node.isInRange[0]) !== 'sourceIp') return null
  const range = rangeOf(node.isInRange[1])
  return range === null ? null : read({ kind: 'in', range })
}
