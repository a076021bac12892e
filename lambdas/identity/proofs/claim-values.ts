// Claims as they can be matched and put into IDs: one flat map. A claim inside an object is named by the way to it, with
// a colon between (`kubernetes.io:serviceaccount:name`).
import type { ClaimValue } from './proof.ts'

const MAX_DEPTH = 4
const MAX_CLAIMS = 256

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((entry) => typeof entry === 'string')
}

/**
 * Text, booleans and lists of text. A name that two claims would have (`{"a:b": 1}` and `{"a": {"b": 1}}`) belongs to
 * neither: who can write one of them must not stand in for the other.
 */
export function flattenClaims(claims: Readonly<Record<string, unknown>>): Map<string, ClaimValue> {
  const values = new Map<string, ClaimValue>()
  const taken = new Set<string>()
  const walk = (object: Readonly<Record<string, unknown>>, prefix: string, depth: number): void => {
    for (const [key, value] of Object.entries(object)) {
      const name = `${prefix}${key}`
      if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
        if (depth < MAX_DEPTH) walk(value as Record<string, unknown>, `${name}:`, depth + 1)
        continue
      }
      if (taken.has(name)) values.delete(name)
      else if (taken.size < MAX_CLAIMS && (typeof value === 'string' || typeof value === 'boolean')) {
        values.set(name, value)
      } else if (taken.size < MAX_CLAIMS && isTexts(value)) values.set(name, Object.freeze([...value]))
      taken.add(name)
    }
  }
  walk(claims, '', 1)
  return values
}

const PATH_CLAIM = /^path\.\d+of\d+$/

/**
 * Puts the path of a SPIFFE ID into its claims: `path.1of2`, `path.2of2`. The number of segments is in each name, so a
 * template for two segments never fits an ID of three, and no two IDs become one. Claims of the token's own by such
 * names go: `path.1of1` in a token of two segments would otherwise stand beside ours.
 */
export function setPathClaims(claims: Map<string, ClaimValue>, path: string): void {
  for (const name of claims.keys()) if (PATH_CLAIM.test(name)) claims.delete(name)
  const segments = path.split('/').slice(1)
  for (const [index, segment] of segments.entries()) {
    claims.set(`path.${index + 1}of${segments.length}`, segment)
  }
}
