// `sallyport policy matrix`: who reaches what. Rows are whoever policies and client certificates name; a field is certain
// only where every question from it has that answer (gateway/policy/partial.ts).
import type { Fault } from '../../common/fault.ts'
import { decodeText, FileError, readRegularFile } from '../../gateway/config/files.ts'
import type { PolicySource } from '../../gateway/config/policy-source.ts'
import { isNode } from '../../gateway/policy/expression.ts'
import { entityLiterals } from '../../gateway/policy/literals.ts'
import { applies, type Facts, type PrincipalFacts, scopeApplies } from '../../gateway/policy/partial.ts'
import type { NamedPolicy } from '../../gateway/policy/rules.ts'
import { scopeOf } from '../../gateway/policy/scope.ts'
import { parseSpiffeIdPattern, type SpiffeIdPattern } from '../../spiffe/pattern.ts'
import { SpiffeIdError } from '../../spiffe/id.ts'
import { UsageError } from '../diagnose/asked.ts'
import { readTime } from './asked.ts'
import { type Output, type LoadedPolicy, loadPolicy, printFaults, printUsage } from './load.ts'
import { matrixText } from './matrix-show.ts'

export interface MatrixOptions {
  readonly config: string
  readonly workloads?: string | undefined
  readonly at?: string | undefined
  readonly json?: true | undefined
}

export interface Field {
  readonly destination: string
  readonly result: 'allow' | 'deny' | 'conditional'
  /** `@id`s of all that apply or may apply. */
  readonly policies: readonly string[]
}

export interface Row {
  /** `spiffe://…/**` for a path, a SPIFFE ID, or `network NAME`. */
  readonly who: string
  readonly fields: readonly Field[]
}

export interface Matrix {
  /** ISO 8601. */
  readonly at: string
  readonly destinations: readonly string[]
  readonly rows: readonly Row[]
}

/** 0, 1 where files are wrong, 2 for wrong use. */
export async function runMatrix(options: MatrixOptions, output: Output = process): Promise<0 | 1 | 2> {
  const loaded = await loadPolicy(options.config)
  if (!loaded.ok) return printFaults(loaded.faults, options.json === true, output)
  const asked = options.workloads === undefined ? [] : await readWorkloads(options.workloads)
  if ('faults' in asked) return printFaults(asked.faults, options.json === true, output)
  try {
    const at = options.at === undefined ? new Date() : readTime(options.at)
    const matrix = createMatrix(loaded, asked, at)
    output.stdout.write(options.json ? `${JSON.stringify(matrix)}\n` : matrixText(matrix))
    return 0
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    return printUsage(error, output)
  }
}

/** One row for whatever is named, in alphabetical order. */
export function createMatrix(
  { policies, source }: Pick<LoadedPolicy, 'policies' | 'source'>,
  asked: readonly SpiffeIdPattern[],
  at: Date,
): Matrix {
  const rows = new Map<string, PrincipalFacts>()
  for (const principal of principalsOf(policies, source, asked)) rows.set(nameOf(principal), principal)
  const now = { from: at.getTime(), to: at.getTime() }
  return {
    at: at.toISOString(),
    destinations: source.destinations.map(({ name }) => name),
    rows: [...rows]
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([who, principal]) => ({
        who,
        fields: source.destinations.map((destination) =>
          fieldOf(policies, { principal, destination, listeners: source.listeners, now }),
        ),
      })),
  }
}

function fieldOf(policies: readonly NamedPolicy[], facts: Facts): Field {
  const found = policies.flatMap(({ id, json }) => {
    const fails = computes(json.conditions)
    // One that computes may fail, and what fails denies; whether it does, no fact here tells.
    const said = fails && scopeApplies(scopeOf(json), facts) !== false ? null : applies(json, facts)
    return said === false ? [] : [{ id, effect: json.effect, certain: said === true, fails }]
  })
  const { name: destination } = facts.destination
  const permits = found.filter(({ effect }) => effect === 'permit')
  const forbids = found.filter(({ effect }) => effect === 'forbid')
  const certain = forbids.filter((forbid) => forbid.certain)
  if (permits.length === 0 || certain.length > 0) {
    const deciding = certain.length > 0 ? certain : forbids
    return { destination, result: 'deny', policies: deciding.map(({ id }) => id) }
  }
  const open = forbids.length > 0 || found.some(({ fails }) => fails)
  const allowed = !open && permits.some((permit) => permit.certain)
  return { destination, result: allowed ? 'allow' : 'conditional', policies: found.map(({ id }) => id) }
}

/** What can overflow, and is then an error at run time. */
const COMPUTING: readonly string[] = ['+', '-', '*', 'neg', 'offset', 'durationSince']

function computes(node: unknown): boolean {
  if (!isNode(node)) return false
  return COMPUTING.some((operator) => isNode(node[operator])) || Object.values(node).some(computes)
}

function* principalsOf(
  policies: readonly NamedPolicy[],
  source: PolicySource,
  asked: readonly SpiffeIdPattern[],
): Generator<PrincipalFacts> {
  // So that what is permitted to everybody has a row.
  for (const trustDomain of source.trustDomains) yield { kind: 'workload', under: `spiffe://${trustDomain}` }
  for (const name of source.networks) yield { kind: 'network', name }
  for (const { json } of policies) {
    for (const { type, id } of entityLiterals(json)) {
      if (type === 'Path') yield { kind: 'workload', under: id }
      if (type === 'Workload') yield { kind: 'workload', id }
    }
  }
  const entries = source.destinations.flatMap(({ clientCertificates = [] }) => clientCertificates)
  for (const pattern of [...entries.flatMap(({ workloads }) => workloads), ...asked]) {
    const under = /^(.*)\/\*\*?$/.exec(pattern.text)?.[1]
    yield under === undefined ? { kind: 'workload', id: pattern.text } : { kind: 'workload', under }
  }
}

function nameOf(principal: PrincipalFacts): string {
  if (principal.kind === 'network') return `network ${principal.name}`
  return 'id' in principal ? principal.id : `${principal.under}/**`
}

/** SPIFFE IDs and patterns, one a line; empty lines and what stands behind # are left out. */
async function readWorkloads(
  file: string,
): Promise<readonly SpiffeIdPattern[] | { readonly faults: readonly Fault[] }> {
  const content = await readRegularFile(file).catch((error: unknown) => {
    if (error instanceof FileError) return error
    throw error
  })
  const fault = (line: number | null, message: string): Fault => {
    const remedy =
      line === null ? 'name a file of SPIFFE IDs, one a line' : 'such as spiffe://example.org/payments/**'
    return { file, line, key: null, message, remedy }
  }
  if (content instanceof FileError) return { faults: [fault(null, content.message)] }
  const text = decodeText(content.bytes)
  if (text === null) return { faults: [fault(null, 'not text in UTF-8')] }
  const faults: Fault[] = []
  const patterns: SpiffeIdPattern[] = []
  for (const [index, line] of text.split('\n').entries()) {
    const bare = line.replace(/#.*/, '').trim()
    if (bare === '') continue
    try {
      patterns.push(parseSpiffeIdPattern(bare))
    } catch (error) {
      if (!(error instanceof SpiffeIdError)) throw error
      faults.push(fault(index + 1, error.message))
    }
  }
  return faults.length > 0 ? { faults } : patterns
}
