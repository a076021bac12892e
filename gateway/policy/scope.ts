// The scope of a policy (principal and resource) as data, and the index by it: which policies can apply to a principal
// and a destination at all. The index may name one too many and never one too few; Cedar judges what it names. One that it
// names by a side of its scope meets all whom that side names it for, or none of them (`is Network in Path::"…"`): answers
// are shared by that (decide.ts).
import type { PolicyJson } from './cedar.ts'
import type { EntityLiteral } from './literals.ts'
import { ancestors } from './question.ts'
import type { Question } from './types.ts'

/** Null is any. `==` and `in` differ for Path and Tag alone, and those are never the one that asks or is asked for. */
export interface Scope {
  readonly principal: { readonly type: string | null; readonly entity: EntityLiteral | null }
  readonly resource: { readonly type: string | null; readonly entity: EntityLiteral | null }
}

export function scopeOf({ principal, resource }: PolicyJson): Scope {
  return { principal: sideOf(principal), resource: sideOf(resource) }
}

function sideOf(constraint: PolicyJson['principal'] | PolicyJson['resource']): Scope['principal'] {
  switch (constraint.op) {
    case 'All':
      return { type: null, entity: null }
    case '==':
    case 'in':
      return { type: null, entity: 'entity' in constraint ? literal(constraint.entity) : null }
    case 'is':
      return {
        type: constraint.entity_type,
        entity:
          constraint.in === undefined || !('entity' in constraint.in) ? null : literal(constraint.in.entity),
      }
  }
}

function literal(entity: unknown): EntityLiteral {
  const { type, id } = (
    typeof entity === 'object' && entity !== null && '__entity' in entity ? entity.__entity : entity
  ) as EntityLiteral
  return { type, id }
}

export interface ScopeIndex {
  /** The Paths named in any policy that this principal is in. */
  readonly pathsOf: (principal: Question['principal']) => readonly string[]
  /** Positions in the list that was indexed, ascending. */
  candidates(principal: Question['principal'], destination: Question['destination']): readonly number[]
}

/** `paths` are all Path entities that the policies name, in their conditions too. */
export function indexByScope(scopes: readonly Scope[], paths: ReadonlySet<string>): ScopeIndex {
  const byResource = new Map<string, Map<string, number[]>>()
  for (const [position, { principal, resource }] of scopes.entries()) {
    const byPrincipal = byResource.get(keyOf(resource)) ?? new Map<string, number[]>()
    byResource.set(keyOf(resource), byPrincipal)
    const list = byPrincipal.get(keyOf(principal)) ?? []
    byPrincipal.set(keyOf(principal), list)
    list.push(position)
  }
  const pathsOf: ScopeIndex['pathsOf'] = (principal) =>
    principal.kind === 'network' ? [] : ancestors(principal.id.uri).filter((path) => paths.has(path))
  return {
    pathsOf,
    candidates(principal, destination) {
      const type = principal.kind === 'workload' ? 'Workload' : 'Network'
      const id = principal.kind === 'workload' ? principal.id.uri : principal.name
      const principals = [
        ...['*', `is ${type}`, `${type}::${id}`],
        ...pathsOf(principal).map((path) => `Path::${path}`),
      ]
      const resources = [
        ...['*', 'is Destination', `Destination::${destination.name}`],
        // A list may name a tag twice, which must not name a policy twice.
        ...new Set(destination.tags.map((tag) => `Tag::${tag}`)),
      ]
      const found = resources.flatMap((resource) => {
        const byPrincipal = byResource.get(resource)
        return byPrincipal === undefined ? [] : principals.flatMap((key) => byPrincipal.get(key) ?? [])
      })
      return found.sort((a, b) => a - b)
    },
  }
}

/** Each scope has one key for each side; an entity says more than the type that may stand beside it. */
function keyOf({ type, entity }: Scope['principal']): string {
  if (entity !== null) return `${entity.type}::${entity.id}`
  return type === null ? '*' : `is ${type}`
}
