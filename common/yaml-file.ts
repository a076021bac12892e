// Reads a YAML file that an operator wrote into a value that fits a schema, or into all of its faults, each with its
// line. YAML 1.2 core schema, one document, text keys, no duplicates. Trusts nothing about the text.
import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument } from 'yaml'
import type { Document, Node, Pair, YAMLError } from 'yaml'
import * as core from 'zod/v4/core'
import type { Fault } from './fault.ts'
import { expectation, faultsOf, type KeyPath } from './schema-faults.ts'

export interface YamlFile {
  /** As the operator named it. */
  readonly file: string
  readonly text: string
}

export type YamlResult<T> =
  | {
      readonly ok: true
      readonly value: T
      /** The 1-based line of a key or list entry, of the nearest one above it where it is not in the file. */
      readonly lineOf: (path: KeyPath) => number | null
    }
  | { readonly ok: false; readonly faults: Fault[] }

/** In characters. Far above any real configuration, far below what makes a parser slow. */
export const MAX_YAML_LENGTH = 1024 * 1024
/** How often anchors may be repeated, times the aliases inside them: `&a` is for a few lists, not for a bomb. */
const MAX_ALIAS_COUNT = 64

/**
 * The value as the schema gives it. A message in the schema that begins with `expected` gets the value found appended,
 * where that cannot be a secret; a custom issue may carry `params: {remedy}`. Never throws.
 */
export function loadYamlFile<T>({ file, text }: YamlFile, schema: core.$ZodType<T>): YamlResult<T> {
  const parsed = parseYaml(file, text)
  if (!parsed.ok) return parsed
  const { data, lineOf } = parsed
  const result = core.safeParse(schema, data, { error: expectation })
  if (result.success) return { ok: true, value: result.data, lineOf }
  return { ok: false, faults: byLine(faultsOf(result.error.issues, { file, data, schema, lineOf })) }
}

/** Sorted by line, those without one first; what stands on one line keeps its order. */
export function byLine(faults: readonly Fault[]): Fault[] {
  return faults.toSorted((a, b) => (a.line ?? 0) - (b.line ?? 0))
}

type Parsed =
  | { readonly ok: true; readonly data: unknown; readonly lineOf: (path: KeyPath) => number | null }
  | { readonly ok: false; readonly faults: Fault[] }

function parseYaml(file: string, text: string): Parsed {
  const fail = (line: number | null, message: string, remedy: string | null = null): Parsed => ({
    ok: false,
    faults: [{ file, line, key: null, message, remedy }],
  })
  if (text.length > MAX_YAML_LENGTH) return fail(null, `longer than ${MAX_YAML_LENGTH} characters`)
  const lineCounter = new LineCounter()
  try {
    const document = parseDocument(text, {
      version: '1.2',
      schema: 'core',
      strict: true,
      uniqueKeys: true,
      stringKeys: true,
      merge: false,
      // Pretty messages quote lines of the file, and a line may hold a secret.
      prettyErrors: false,
      // `silent` would also drop the error about a second document, whose keys would then be ignored.
      logLevel: 'error',
      lineCounter,
    })
    // A warning is a tag that nobody resolves, so a value that is not what its author meant.
    const problems = [...document.errors, ...document.warnings]
    if (problems.some(({ code }) => code === 'RESOURCE_EXHAUSTION')) return fail(null, 'nested too deeply')
    if (problems.length > 0) {
      return {
        ok: false,
        faults: byLine(problems.map((problem) => syntaxFault(file, text, problem, lineCounter))),
      }
    }
    const data: unknown = document.toJS({ maxAliasCount: MAX_ALIAS_COUNT })
    return { ok: true, data, lineOf: (path) => lineOf(document, path, lineCounter) }
  } catch (error) {
    if (error instanceof RangeError) return fail(null, 'nested too deeply')
    // Aliases are resolved by toJS, which throws: one without its anchor, or too many.
    if (error instanceof ReferenceError) return fail(null, error.message, 'write the value out')
    throw error
  }
}

function syntaxFault(file: string, text: string, error: YAMLError, lineCounter: LineCounter): Fault {
  const [offset] = error.pos
  const place = { file, line: offset < 0 ? null : lineCounter.linePos(offset).line }
  if (error.code === 'DUPLICATE_KEY') {
    const key = /^["']?([\w.-]{1,64})/.exec(text.slice(offset, offset + 80))?.[1] ?? null
    return { ...place, key, message: 'this key stands twice in one mapping', remedy: 'remove one of them' }
  }
  const known = MEANINGS[error.code]
  if (known !== undefined) return { ...place, key: null, message: known[0], remedy: known[1] }
  // The library appends what it found after a colon; that is a piece of the file.
  const message = error.code === 'UNEXPECTED_TOKEN' ? error.message.replace(/: .*$/s, '') : error.message
  return { ...place, key: null, message: `not YAML: ${message}`, remedy: null }
}

/** What the common ones mean, and what to do. */
const MEANINGS: Readonly<Record<string, readonly [string, string]>> = {
  TAB_AS_INDENT: ['a tab in the indentation', 'indent with spaces'],
  MULTIPLE_DOCS: ['more than one document', 'one file is one document: remove the line ---'],
  BAD_SCALAR_START: ['a value begins with a character that YAML keeps for itself', 'put the value in quotes'],
  TAG_RESOLVE_FAILED: ['an unknown tag', 'remove it: tags are not used here'],
  NON_STRING_KEY: ['a key that is no text', 'a key is one word or a text in quotes'],
}

function lineOf(document: Document, path: KeyPath, lineCounter: LineCounter): number | null {
  let line: number | null = null
  let node = resolve(document, document.contents)
  for (const part of path) {
    const step = child(node, part)
    if (step === null) return line
    if (step.at !== null) line = lineCounter.linePos(step.at).line
    node = resolve(document, step.value)
  }
  return line
}

interface Step {
  /** Offset of the key or the list entry. */
  readonly at: number | null
  readonly value: Node | null
}

function child(node: Node | null, part: string | number): Step | null {
  if (isSeq<Node>(node)) {
    const item = typeof part === 'number' ? node.items[part] : undefined
    return item === undefined ? null : { at: item.range?.[0] ?? null, value: item }
  }
  if (!isMap<Node, Node | null>(node)) return null
  const pair = node.items.find((pair) => keyOf(pair) === String(part))
  return pair === undefined ? null : { at: pair.key.range?.[0] ?? null, value: pair.value }
}

/** `stringKeys` makes every key a scalar of text. */
function keyOf(pair: Pair<Node, Node | null>): string {
  return isScalar(pair.key) ? String(pair.key.value) : ''
}

function resolve(document: Document, node: Node | null): Node | null {
  return isAlias(node) ? (node.resolve(document) ?? null) : node
}
