// What a parsed policy names: entities, and the literals that it compares with an attribute. Works on Cedar's JSON form
// of a policy (https://docs.cedarpolicy.com/policies/json-format.html), which Cedar has produced and is trusted in shape.
import { isNode, type Node } from './expression.ts'

export interface EntityLiteral {
  readonly type: string
  readonly id: string
}

export interface ComparedLiteral {
  readonly text: string
  /** True for a piece of a `like` pattern between wildcards, which is a part of a value and no value. */
  readonly part: boolean
}

/** Every entity that scope and conditions name, in the order of the JSON form. */
export function* entityLiterals(value: unknown): Generator<EntityLiteral> {
  if (!isNode(value)) return
  const { type, id } = value
  // In expressions strings stand below `Value`, so an object with two bare strings is an entity and never a record.
  if (typeof type === 'string' && typeof id === 'string') yield { type, id }
  else for (const child of Object.values(value)) yield* entityLiterals(child)
}

const COMPARISONS = ['==', '!=', 'contains', 'containsAll', 'containsAny'] as const

/** Every string literal that an expression compares with the attribute of this name, in whatever order of operands. */
export function* literalsComparedWith(value: unknown, attribute: string): Generator<ComparedLiteral> {
  if (!isNode(value)) return
  for (const operator of COMPARISONS) {
    const operation = value[operator]
    if (!isNode(operation)) continue
    for (const [one, other] of [
      [operation.left, operation.right],
      [operation.right, operation.left],
    ]) {
      if (yields(one, attribute)) for (const text of strings(other)) yield { text, part: false }
    }
  }
  if (isNode(value.like) && yields(value.like.left, attribute)) {
    for (const text of patternPieces(value.like.pattern)) yield { text, part: true }
  }
  for (const child of Object.values(value)) yield* literalsComparedWith(child, attribute)
}

/** Whether the value of the expression is, or may be, or holds, the attribute's. */
function yields(value: unknown, attribute: string): boolean {
  if (!isNode(value)) return false
  if (isNode(value['.'])) return value['.'].attr === attribute
  return branches(value).some((branch) => yields(branch, attribute))
}

function* strings(value: unknown): Generator<string> {
  if (!isNode(value)) return
  if (typeof value.Value === 'string') yield value.Value
  else for (const branch of branches(value)) yield* strings(branch)
}

/** The elements of a set and the two outcomes of `if`. */
function branches(value: Node): readonly unknown[] {
  if (Array.isArray(value.Set)) return value.Set
  const condition = value['if-then-else']
  return isNode(condition) ? [condition.then, condition.else] : []
}

/** Cedar writes a pattern one character a piece, so what stands between two wildcards is put together again. */
function patternPieces(pattern: unknown): readonly string[] {
  if (!Array.isArray(pattern)) return []
  let text = ''
  const pieces: string[] = []
  for (const piece of pattern) {
    if (isNode(piece) && typeof piece.Literal === 'string') text += piece.Literal
    else {
      pieces.push(text)
      text = ''
    }
  }
  return [...pieces, text].filter((piece) => piece !== '')
}
