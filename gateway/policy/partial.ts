// What a policy says where not all is known yet: whoever is in a path, asks at any time, for any host of a destination.
// True and false are said only where every question that the facts allow has that answer; all else is null. This advises
// people (warnings, the matrix) and decides nothing: decisions are Cedar's.
import type { HostPattern } from '../config/types.ts'
import type { PolicyJson } from './cedar.ts'
import {
  attributeOf,
  isNode,
  literalOf,
  matchesPattern,
  momentOf,
  type Node,
  operandsOf,
  patternOf,
  stringSetOf,
} from './expression.ts'
import { type Scope, scopeOf } from './scope.ts'

export type Tri = boolean | null

export type PrincipalFacts =
  | { readonly kind: 'workload'; readonly id: string }
  /** Some workload below this path; null = any at all. */
  | { readonly kind: 'workload'; readonly under: string | null }
  | { readonly kind: 'network'; readonly name: string | null }

export interface DestinationFacts {
  readonly name: string
  readonly tags: readonly string[]
  /** What can be asked for; undefined = anything. */
  readonly hosts?: readonly HostPattern[] | undefined
  readonly ports?: readonly number[] | undefined
}

export interface ListenerFacts {
  readonly name: string
  readonly admits: 'workload' | 'network'
  /** Whose workloads it lets in; null = not known. */
  readonly trustDomains: readonly string[] | null
}

export interface Facts {
  readonly principal: PrincipalFacts
  readonly destination: DestinationFacts
  /** Undefined = any. */
  readonly listeners?: readonly ListenerFacts[] | undefined
  /** Milliseconds since the epoch, both ends included. */
  readonly now: { readonly from: number; readonly to: number }
}

/** Whether the policy applies: its scope and all of its conditions. */
export function applies(json: PolicyJson, facts: Facts): Tri {
  const scope = scopeApplies(scopeOf(json), facts)
  if (scope === false) return false
  const clauses = json.conditions.map(({ kind, body }) => {
    const result = judge(body, facts)
    return kind === 'when' ? result : not(result)
  })
  return [scope, ...clauses].reduce(and, true)
}

export function scopeApplies({ principal, resource }: Scope, facts: Facts): Tri {
  return and(sideApplies('principal', principal, facts), sideApplies('resource', resource, facts))
}

/** The scope without its other side. */
export function scopeOfSide(scope: Scope, side: 'principal' | 'resource'): Scope {
  const unbound = { type: null, entity: null }
  return { principal: unbound, resource: unbound, [side]: scope[side] }
}

function sideApplies(side: string, { type, entity }: Scope['principal'], facts: Facts): Tri {
  const typed = type === null ? true : hasType(side, type, facts)
  return and(typed, entity === null ? true : isIn(side, entity, facts))
}

const and = (a: Tri, b: Tri): Tri =>
  a === false || b === false ? false : a === null || b === null ? null : true
const not = (a: Tri): Tri => (a === null ? null : !a)
const or = (a: Tri, b: Tri): Tri => not(and(not(a), not(b)))

/** What all of the possible results agree on; none at all is false. */
function agreed(results: readonly Tri[]): Tri {
  const [first = false] = results
  return results.every((result) => result === first) ? first : null
}

function judge(node: unknown, facts: Facts): Tri {
  if (!isNode(node)) return null
  if (typeof node.Value === 'boolean') return node.Value
  return judgeLogic(node, facts, (child) => judge(child, facts)) ?? judgeTest(node, facts)
}

function judgeLogic(node: Node, facts: Facts, inner: (child: unknown) => Tri): Tri {
  const both = operandsOf(node, '&&')
  if (both !== null) return and(inner(both[0]), inner(both[1]))
  const either = operandsOf(node, '||')
  if (either !== null) return or(inner(either[0]), inner(either[1]))
  if (isNode(node['!'])) return not(inner(node['!'].arg))
  const branches = node['if-then-else']
  if (!isNode(branches)) return null
  const condition = judge(branches.if, facts)
  if (condition !== null) return inner(condition ? branches.then : branches.else)
  return agreed([inner(branches.then), inner(branches.else)])
}

function judgeTest(node: Node, facts: Facts): Tri {
  const equal = operandsOf(node, '==')
  if (equal !== null) return judgeEqual(equal, facts)
  const unequal = operandsOf(node, '!=')
  if (unequal !== null) return not(judgeEqual(unequal, facts))
  const within = operandsOf(node, 'in')
  if (within !== null) return judgeIn(within, facts)
  const element = operandsOf(node, 'contains')
  if (element !== null) return judgeContains(element, facts)
  for (const [operator, compare] of Object.entries(ORDER)) {
    const operands = operandsOf(node, operator)
    if (operands !== null) return judgeOrder(operands, compare, facts)
  }
  if (isNode(node.is)) {
    const side = variableOf(node.is.left)
    if (side === null) return null
    const typed = hasType(side, String(node.is.entity_type), facts)
    return node.is.in === undefined ? typed : and(typed, judgeIn([node.is.left, node.is.in], facts))
  }
  if (isNode(node.like)) {
    const pattern = patternOf(node.like.pattern)
    const texts = possible(node.like.left, facts)
    if (pattern === null || texts === null) return null
    return agreed(texts.map((text) => matchesPattern(pattern, String(text))))
  }
  return isNode(node.has) ? judgeHas(node.has, facts) : null
}

const ORDER: Readonly<Record<string, (a: number, b: number) => boolean>> = {
  '<': (a, b) => a < b,
  '<=': (a, b) => a <= b,
  '>': (a, b) => a > b,
  '>=': (a, b) => a >= b,
}

function judgeOrder(
  [left, right]: readonly [unknown, unknown],
  compare: (a: number, b: number) => boolean,
  facts: Facts,
): Tri {
  const { from, to } = facts.now
  // Of a range, both ends: in between an order changes at most once.
  const bounds = (node: unknown): readonly number[] | null => {
    if (attributeOf(node) === 'now') return [from, to]
    const moment = momentOf(node)
    if (moment !== null) return [moment]
    const values = possible(node, facts)
    return values === null || !values.every((value) => typeof value === 'number') ? null : values
  }
  const [a, b] = [bounds(left), bounds(right)]
  return a === null || b === null ? null : agreed(a.flatMap((x) => b.map((y) => compare(x, y))))
}

function judgeEqual([left, right]: readonly [unknown, unknown], facts: Facts): Tri {
  for (const [one, other] of [
    [left, right],
    [right, left],
  ]) {
    const side = variableOf(one)
    const entity = entityOf(other)
    if (side !== null && entity !== null) return isSame(side, entity, facts)
    const literal = literalOf(other)
    if (attributeOf(one) === 'host' && typeof literal === 'string' && !canBeHost(literal, facts)) return false
  }
  const [a, b] = [possible(left, facts), possible(right, facts)]
  return a === null || b === null ? null : agreed(a.flatMap((x) => b.map((y) => x === y)))
}

function judgeContains([set, element]: readonly [unknown, unknown], facts: Facts): Tri {
  const literals = stringSetOf(set)
  if (literals === null) return null
  if (attributeOf(element) === 'host' && !literals.some((host) => canBeHost(host, facts))) return false
  const values = possible(element, facts)
  return values === null ? null : agreed(values.map((value) => literals.includes(String(value))))
}

function judgeIn([left, right]: readonly [unknown, unknown], facts: Facts): Tri {
  const side = variableOf(left)
  const list = isNode(right) && Array.isArray(right.Set) ? right.Set : [right]
  const entities = list.map(entityOf)
  if (side === null) return null
  return entities.map((entity) => (entity === null ? null : isIn(side, entity, facts))).reduce(or, false)
}

function judgeHas({ left, attr }: Node, { principal }: Facts): Tri {
  if (!isNode(left)) return null
  if (left.Var === 'principal') return principal.kind === 'workload'
  if (left.Var === 'resource') return true
  return left.Var === 'context' && attr !== 'vpcEndpoint' ? true : null
}

/** Every value that the expression can have; null where they are too many to tell. */
function possible(node: unknown, { destination, listeners, principal }: Facts): readonly unknown[] | null {
  const literal = literalOf(node)
  if (literal !== null) return [literal]
  const attribute = attributeOf(node)
  if (attribute === 'port') return destination.ports ?? null
  if (attribute === 'host') {
    const texts = destination.hosts?.map(textOf)
    return texts === undefined || texts.includes(null) ? null : texts
  }
  if (attribute === 'listener') {
    return listeners?.filter((listener) => admits(listener, principal)).map(({ name }) => name) ?? null
  }
  return possibleOfPrincipal(node, principal)
}

function possibleOfPrincipal(node: unknown, principal: PrincipalFacts): readonly string[] | null {
  const access = isNode(node) && isNode(node['.']) ? node['.'] : null
  if (access === null || variableOf(access.left) !== 'principal' || principal.kind === 'network') return null
  if (access.attr === 'trustDomain') {
    const trustDomain = trustDomainOf(principal)
    return trustDomain === null ? null : [trustDomain]
  }
  const path = 'id' in principal ? /^spiffe:\/\/[^/]+(.*)$/.exec(principal.id)?.[1] : undefined
  return access.attr === 'path' && path !== undefined ? [path] : null
}

function trustDomainOf(principal: PrincipalFacts): string | null {
  if (principal.kind === 'network') return null
  const text = 'id' in principal ? principal.id : principal.under
  return text === null ? null : (/^spiffe:\/\/([^/]+)/.exec(text)?.[1] ?? null)
}

function admits({ admits, trustDomains }: ListenerFacts, principal: PrincipalFacts): boolean {
  if (admits !== principal.kind) return false
  const trustDomain = trustDomainOf(principal)
  return trustDomains === null || trustDomain === null || trustDomains.includes(trustDomain)
}

function textOf(host: HostPattern): string | null {
  if (host.kind === 'exact') return host.host
  return host.kind === 'address' ? host.address : null
}

function canBeHost(text: string, { destination }: Facts): boolean {
  if (destination.hosts === undefined) return true
  return destination.hosts.some((host) => {
    if (host.kind === 'suffix') return text.endsWith(`.${host.suffix}`)
    return host.kind === 'any' || textOf(host) === text
  })
}

function variableOf(node: unknown): 'principal' | 'resource' | null {
  const name = isNode(node) ? node.Var : null
  return name === 'principal' || name === 'resource' ? name : null
}

function entityOf(node: unknown): { readonly type: string; readonly id: string } | null {
  const entity = isNode(node) && isNode(node.Value) ? node.Value.__entity : null
  return isNode(entity) ? { type: String(entity.type), id: String(entity.id) } : null
}

function hasType(side: string, type: string, { principal }: Facts): boolean {
  if (side === 'resource') return type === 'Destination'
  return type === (principal.kind === 'workload' ? 'Workload' : 'Network')
}

interface Entity {
  readonly type: string
  readonly id: string
}

function isSame(side: string, { type, id }: Entity, facts: Facts): Tri {
  if (!hasType(side, type, facts)) return false
  const { principal, destination } = facts
  if (side === 'resource') return id === destination.name
  if (principal.kind === 'network') return principal.name === null ? null : id === principal.name
  if ('id' in principal) return id === principal.id
  return principal.under === null || id.startsWith(`${principal.under}/`) ? null : false
}

function isIn(side: string, entity: Entity, facts: Facts): Tri {
  const { principal, destination } = facts
  if (side === 'resource' && entity.type === 'Tag') return destination.tags.includes(entity.id)
  if (side !== 'principal' || entity.type !== 'Path') return isSame(side, entity, facts)
  if (principal.kind === 'network') return false
  if ('id' in principal) return principal.id.startsWith(`${entity.id}/`)
  const { under } = principal
  if (under === null) return null
  if (under === entity.id || under.startsWith(`${entity.id}/`)) return true
  return entity.id.startsWith(`${under}/`) ? null : false
}
