// Turns what zod finds wrong into faults that an operator can act on: which key, what stands there, what was expected.
// Trusts the schema; the data may be anything. A value is never shown where it may be a secret.
import type * as core from 'zod/v4/core'
import type { Fault } from './fault.ts'
import { nearest } from './nearest.ts'

export type KeyPath = readonly (string | number)[]

export interface FaultContext {
  readonly file: string
  readonly data: unknown
  readonly schema: core.$ZodType
  readonly lineOf: (path: KeyPath) => number | null
}

/** Keys under which a secret, or a file of one pasted by mistake, may stand. */
const SECRET_KEY = /(?:key|secret|token|password|passphrase|credentials?|pem)$/i
/** PEM, URLs with a password in them, and text that would not fit a line. */
const SECRET_VALUE = /-----BEGIN|:\/\/[^/?#]*@/
const MAX_SHOWN = 80

/** `destinations[0].tls`; a name that is no plain word is shown in quotes: `claims["a.b"]`. */
export function formatKeyPath(path: KeyPath): string | null {
  const text = path
    .map((part) => {
      if (typeof part === 'number') return `[${part}]`
      return /^[\w-]+$/.test(part) && part.length <= MAX_SHOWN ? `.${part}` : `[${quote(part)}]`
    })
    .join('')
  return text === '' ? null : text.replace(/^\./, '')
}

/** Text from a file as it may stand in a message. */
function quote(text: string): string {
  return JSON.stringify(text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text)
}

const TYPE_NAMES: Readonly<Record<string, string>> = {
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  object: 'a mapping',
  record: 'a mapping',
  array: 'a list',
}

/** Says what was expected; goes to `safeParse` as `error`, so that a message in the schema itself wins over it. */
export function expectation(issue: core.$ZodRawIssue): string | undefined {
  if (issue.code === 'invalid_type') return `expected ${TYPE_NAMES[issue.expected] ?? issue.expected}`
  if (issue.code === 'invalid_value') return `expected ${issue.values.map(String).join(' or ')}`
  if (issue.code === 'too_small') return `expected ${bound(issue.origin, 'least', Number(issue.minimum))}`
  if (issue.code === 'too_big') return `expected ${bound(issue.origin, 'most', Number(issue.maximum))}`
  if (issue.code === 'invalid_union' && Array.isArray(issue.options)) {
    return `expected ${issue.options.map(String).join(' or ')}`
  }
  return undefined
}

function bound(origin: string, word: 'least' | 'most', limit: number): string {
  const unit = { string: 'character', array: 'entry', object: 'entry' }[origin]
  if (unit === undefined) return `at ${word} ${limit}`
  return `at ${word} ${limit} ${limit === 1 ? unit : unit.replace(/y$/, 'ie').concat('s')}`
}

/** One fault for each thing that is wrong, unsorted. */
export function faultsOf(issues: readonly core.$ZodIssue[], context: FaultContext): Fault[] {
  // A text has a length too: where a list was expected, how long it is says nothing more.
  const mistyped = new Set(
    issues.filter(({ code }) => code === 'invalid_type').map(({ path }) => path.join('\0')),
  )
  return issues
    .filter(({ code, path }) => !code.startsWith('too_') || !mistyped.has(path.join('\0')))
    .flatMap((issue) => faultsOfIssue(issue, [], context))
}

function faultsOfIssue(issue: core.$ZodIssue, prefix: KeyPath, context: FaultContext): Fault[] {
  const path = [...prefix, ...issue.path.map((part) => (typeof part === 'symbol' ? String(part) : part))]
  if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => unknownKey([...path, key], context))
  if (issue.code === 'invalid_union') return unionFaults(issue, path, context)
  if (issue.code === 'invalid_key' || issue.code === 'invalid_element') {
    return issue.issues.map((inner) => keyFault(path, inner.message, context))
  }
  const remedy: unknown = issue.code === 'custom' ? issue.params?.remedy : null
  return [valueFault(path, issue.message, typeof remedy === 'string' ? remedy : null, context)]
}

function unionFaults(issue: core.$ZodIssueInvalidUnion, path: KeyPath, context: FaultContext): Fault[] {
  const branch = closestBranch(issue.errors)
  if (branch !== null) return branch.flatMap((inner) => faultsOfIssue(inner, path, context))
  const expected = new Set(issue.errors.flat().map(({ message }) => message.replace(/^expected /, '')))
  const message = expected.size === 0 ? issue.message : `expected ${[...expected].join(', or ')}`
  return [valueFault(path, message, null, context)]
}

/** Of a union, the one branch whose type fits, so that its own faults say more than "none of these". */
function closestBranch(branches: readonly (readonly core.$ZodIssue[])[]): readonly core.$ZodIssue[] | null {
  const fitting = branches.filter((issues) => !issues.some(isWrongFromTheRoot))
  const [only] = fitting
  return only !== undefined && fitting.length === 1 ? only : null
}

function isWrongFromTheRoot(issue: core.$ZodIssue): boolean {
  return issue.path.length === 0 && (issue.code === 'invalid_type' || issue.code === 'invalid_value')
}

function unknownKey(path: KeyPath, context: FaultContext): Fault {
  const key = String(path.at(-1))
  const known = keysAt(context.schema, path.slice(0, -1))
  return { ...place(path, context), message: `unknown key ${quote(key)}`, remedy: suggestion(key, known) }
}

function suggestion(key: string, known: readonly string[]): string | null {
  const found = nearest(key, known)
  if (found === null) return null
  if (found.edits <= Math.max(2, key.length / 3)) return `did you mean "${found.word}"?`
  return `the nearest known key is "${found.word}"; known here: ${known.join(', ')}`
}

function keyFault(path: KeyPath, message: string, context: FaultContext): Fault {
  return { ...place(path, context), message: `the key: ${message}`, remedy: null }
}

function valueFault(path: KeyPath, message: string, remedy: string | null, context: FaultContext): Fault {
  const value = valueAt(context.data, path)
  const expects = message.startsWith('expected ')
  if (value === undefined) {
    const missing = expects ? `missing; ${message}` : message
    return { ...place(path, context), message: missing, remedy: remedy ?? (expects ? 'add it' : null) }
  }
  // A message that quotes the value by itself must not do so where it may be a secret either.
  const bare = isSecret(path, value) ? message.replace(/, found .*$/s, '') : message
  const shown = expects && !bare.includes(', found ') ? `${bare}, found ${show(path, value)}` : bare
  return { ...place(path, context), message: shown, remedy: remedy ?? typeRemedy(message, value) }
}

function isSecret(path: KeyPath, value: unknown): boolean {
  if (typeof value === 'string' && SECRET_VALUE.test(value)) return true
  return path.some((part) => typeof part === 'string' && SECRET_KEY.test(part))
}

/** The ways in which YAML reads another type than its author meant. */
function typeRemedy(message: string, value: unknown): string | null {
  if (message === 'expected text' && (typeof value === 'number' || typeof value === 'boolean')) {
    return 'put it in quotes'
  }
  if (typeof value !== 'string') return null
  if (message === 'expected a list') return 'put it in square brackets'
  const numeric = /^expected (?:a number|a whole number|\d+)$/.test(message)
  return numeric && /^\d+$/.test(value) ? 'leave out the quotes' : null
}

function show(path: KeyPath, value: unknown): string {
  if (value === null) return 'nothing'
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list'
  const secret = isSecret(path, value)
  if (typeof value === 'number' || typeof value === 'boolean')
    return secret ? `a ${typeof value}` : `${value}`
  if (typeof value !== 'string') return 'a mapping'
  return secret ? 'text that is not shown' : quote(value)
}

function place(path: KeyPath, context: FaultContext): Pick<Fault, 'file' | 'line' | 'key'> {
  return { file: context.file, line: context.lineOf(path), key: formatKeyPath(path) }
}

function valueAt(data: unknown, path: KeyPath): unknown {
  let value = data
  for (const part of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part)) return undefined
    value = (value as Readonly<Record<string | number, unknown>>)[part]
  }
  return value
}

/** The keys that the schema knows at this place; those of all branches where it is a union. */
function keysAt(schema: core.$ZodType, path: KeyPath): readonly string[] {
  const def = (schema as core.$ZodTypes)._zod.def
  if ('innerType' in def) return keysAt(def.innerType, path)
  if (def.type === 'pipe') return keysAt(def.in, path)
  if (def.type === 'lazy') return keysAt(def.getter(), path)
  if (def.type === 'union') return [...new Set(def.options.flatMap((option) => keysAt(option, path)))]
  const [part, ...rest] = path
  if (part === undefined) return def.type === 'object' ? Object.keys(def.shape) : []
  const inner = schemaBelow(def, part)
  return inner === undefined ? [] : keysAt(inner, rest)
}

function schemaBelow(def: core.$ZodTypes['_zod']['def'], part: string | number): core.$ZodType | undefined {
  if (def.type === 'array') return def.element
  if (def.type === 'record') return def.valueType
  return def.type === 'object' && Object.hasOwn(def.shape, part) ? def.shape[part] : undefined
}
