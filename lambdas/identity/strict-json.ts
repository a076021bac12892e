// JSON from outside, read strictly: a repeated key, the key `__proto__` and deep nesting are refused. JSON.parse keeps
// the last of two equal keys, other readers the first; where two of them judge one text, that difference is an attack.
import { SallyportError } from '../../common/errors.ts'

export const MAX_JSON_DEPTH = 16

export type JsonErrorCode = 'json-malformed' | 'json-repeated-key' | 'json-forbidden-key' | 'json-too-deep'

export class JsonError extends SallyportError<JsonErrorCode> {}

interface Level {
  /** The keys seen so far; null in an array. */
  readonly keys: Set<string> | null
  keyNext: boolean
}

/** Strings and structure of a text that is already known to be JSON; numbers and words between them do not matter. */
const TOKENS = /"(?:[^"\\]+|\\.)*"|[{}[\],]/g

function takeKey(level: Level, token: string): void {
  const key: unknown = JSON.parse(token)
  if (typeof key !== 'string' || level.keys === null) return
  if (key === '__proto__') throw new JsonError('json-forbidden-key', 'the key "__proto__" is not allowed')
  if (level.keys.has(key)) throw new JsonError('json-repeated-key', 'a key stands twice in one object')
  level.keys.add(key)
  level.keyNext = false
}

function checkKeys(text: string): void {
  const levels: Level[] = []
  for (const [token] of text.matchAll(TOKENS)) {
    const level = levels.at(-1)
    if (token === '{' || token === '[') {
      if (levels.length >= MAX_JSON_DEPTH) throw new JsonError('json-too-deep', 'nested too deeply')
      levels.push({ keys: token === '{' ? new Set() : null, keyNext: token === '{' })
    } else if (token === '}' || token === ']') levels.pop()
    else if (token === ',') {
      if (level !== undefined) level.keyNext = level.keys !== null
    } else if (level?.keyNext === true) takeKey(level, token)
  }
}

/**
 * The value of a JSON text in which no object has a key twice. The caller caps the length before.
 * @throws JsonError
 */
export function parseStrictJson(text: string): unknown {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    // The parser's message quotes the input, which may be a credential; it goes no further.
    throw new JsonError('json-malformed', 'not JSON')
  }
  checkKeys(text)
  return value
}
