// Policy text to a Policy that decides, or to all of its faults with their lines. The text is the operator's: it may be
// wrong in any way, and nothing of it is used before all of it is found right.
import { createHash } from 'node:crypto'
import type { Fault } from '../../common/fault.ts'
import type { DetailedError } from './cedar.ts'
import { CedarError, countPolicies, engineFailure, readPolicy, validatePolicies } from './cedar.ts'
import { createDecide, type EvaluationOptions, textsOf } from './decide.ts'
import type { DestinationFacts, ListenerFacts } from './partial.ts'
import { PreparedSet } from './prepared.ts'
import type { KnownNames, NamedPolicy } from './rules.ts'
import { checkPolicy } from './rules.ts'
import type { Statement } from './source.ts'
import { atOnce, inSlices, portions, type Steps } from './steps.ts'
import { lineOfByte, MAX_NESTING, MAX_OPERATORS, MAX_POLICY_BYTES, statementsOf } from './source.ts'
import type { Policy, PolicyMode } from './types.ts'
import { warningsOf } from './warnings.ts'

export interface PolicyFile {
  /** As the operator named it. */
  readonly name: string
  readonly text: string
}

/** What a policy may name (everything else in it is a fault), and the mode in which it is applied. */
export interface Known {
  readonly destinations: readonly (DestinationFacts & {
    /** Wins over `mode`. */
    readonly policyMode?: PolicyMode | undefined
  })[]
  readonly networks: readonly string[]
  readonly trustDomains: readonly string[]
  /** Default: enforce. */
  readonly mode?: PolicyMode
  /** Without them, any. */
  readonly listeners?: readonly ListenerFacts[]
}

export interface CompileOptions extends Pick<EvaluationOptions, 'index' | 'cache'> {
  /** Tells what is over already. Default: the clock. */
  readonly now?: () => Date
}

export type CompileResult =
  | {
      readonly ok: true
      readonly policy: Policy
      /** In the order of the files. */
      readonly policies: readonly NamedPolicy[]
      readonly warnings: readonly Fault[]
    }
  | { readonly ok: false; readonly faults: readonly Fault[] }

/** Never throws: what the engine throws is a fault too. */
export function compilePolicy(
  files: readonly PolicyFile[],
  known: Known,
  options: CompileOptions = {},
): CompileResult {
  return atOnce(compile(files, known, options))
}

/** As compilePolicy, beside live sessions: a thousand policies take half a second of CPU. Never rejects. */
export function compilePolicyInSlices(
  files: readonly PolicyFile[],
  known: Known,
  options: CompileOptions = {},
): Promise<CompileResult> {
  return inSlices(compile(files, known, options))
}

/** Policies in one call of the engine: some milliseconds. */
const PORTION = 25

function* compile(files: readonly PolicyFile[], known: Known, options: CompileOptions): Steps<CompileResult> {
  try {
    return yield* compileAll(files, known, options)
  } catch (error) {
    if (!(error instanceof CedarError)) throw error
    const remedy = error.code === 'cedar-broken' ? 'restart the process' : null
    const file = files[0]?.name ?? 'policy'
    return { ok: false, faults: [{ file, line: null, key: null, message: error.message, remedy }] }
  }
}

function* compileAll(
  files: readonly PolicyFile[],
  known: Known,
  { now = () => new Date(), ...options }: CompileOptions,
): Steps<CompileResult> {
  const faults: Fault[] = []
  const statements: Statement[] = []
  for (const file of files) statements.push(...(yield* parseFile(file, faults)))
  checkTotal(files, faults)
  const named = yield* nameAll(statements, faults)
  const names: KnownNames = {
    destinations: new Set(known.destinations.map(({ name }) => name)),
    tags: new Set(known.destinations.flatMap(({ tags }) => tags)),
    networks: new Set(known.networks),
    trustDomains: new Set(known.trustDomains),
  }
  const policies = [...named.values()]
  for (const policy of policies) {
    faults.push(...checkPolicy(policy, names))
    yield
  }
  const decidable = policies.map(({ id, json, statement }) => ({ id, json, text: statement.text }))
  const warnings: Fault[] = []
  for (const some of portions(decidable, PORTION)) {
    warnings.push(...validate(named, textsOf(some), faults))
    yield
  }
  if (faults.length > 0) return { ok: false, faults: inOrder(faults, files) }
  // All of it is parsed once, so that what the engine does not take is a fault now and no denial later.
  for (const some of portions(decidable, PORTION)) {
    void new PreparedSet(textsOf(some))
    yield
  }
  if (policies.length === 0) warnings.push(emptyWarning(files))
  const told = new Set(policies.filter(({ id }) => warnings.some(saysImpossible(id))).map(({ id }) => id))
  warnings.push(...(yield* warningsOf(policies, known, now(), told)))
  const modes = new Map(known.destinations.map(({ name, policyMode }) => [name, policyMode]))
  const modeOf = (destination: string): PolicyMode => modes.get(destination) ?? known.mode ?? 'enforce'
  return {
    ok: true,
    policy: {
      revision: revisionOf(files),
      decide: createDecide(decidable, { ...options, modeOf }),
      failure: engineFailure,
    },
    policies,
    warnings: inOrder(warnings, files),
  }
}

/** Cedar's own words for what can never apply, whatever the configuration. */
function saysImpossible(id: string): (warning: Fault) => boolean {
  const start = `policy ${JSON.stringify(id)}: policy is impossible`
  return ({ message }) => message.startsWith(start)
}

/** Over the texts in the order of the configuration; of one file it is the digest of that file. */
function revisionOf(files: readonly PolicyFile[]): string {
  const hash = createHash('sha256').update(files.map(({ text }) => text).join('\0'))
  return `sha256:${hash.digest('hex')}`
}

function checkTotal(files: readonly PolicyFile[], faults: Fault[]): void {
  const total = files.reduce((sum, { text }) => sum + Buffer.byteLength(text), 0)
  const last = files.at(-1)
  if (files.length < 2 || last === undefined || total <= MAX_POLICY_BYTES) return
  const message = `the policy files together are longer than ${MAX_POLICY_BYTES} bytes`
  faults.push({ file: last.name, line: null, key: null, message, remedy: TOO_LONG })
}

const TOO_LONG = 'split the policies over several gateways'

/** The statements of a file that Cedar takes as a whole; what stops it is added to `faults`. */
function* parseFile({ name, text: raw }: PolicyFile, faults: Fault[]): Steps<readonly Statement[]> {
  const add = (line: number | null, message: string, remedy: string | null): readonly Statement[] => {
    faults.push({ file: name, line, key: null, message, remedy })
    return []
  }
  if (Buffer.byteLength(raw) > MAX_POLICY_BYTES) {
    return add(null, `longer than ${MAX_POLICY_BYTES} bytes`, TOO_LONG)
  }
  const text = raw.replace(/^\uFEFF/, '')
  const statements = yield* statementsOf(name, text)
  const deep = statements.filter((one) => one.nesting > MAX_NESTING || one.operators > MAX_OPERATORS)
  for (const { line } of deep) {
    add(
      line,
      `more than ${MAX_NESTING} brackets within each other or ${MAX_OPERATORS} operators in one policy`,
      'use a set, as in ["a", "b"].contains(resource.host), or split the policy',
    )
  }
  if (deep.length > 0) return []
  yield
  const count = yield* countAll(name, text, statements, faults)
  // Cedar's splitter is the judge of what the file holds; ours only adds the places.
  if (count !== null && count !== statements.length) {
    return add(
      null,
      `Cedar finds ${count} policies here and Sallyport ${statements.length}`,
      'please report this',
    )
  }
  return count === null ? [] : statements
}

/** In one call of Cedar's splitter, which is faster than its parser. */
const PIECE = 100

/** What Cedar finds in all of the text, cut behind every so many statements; null, with faults, where it can't be parsed. */
function* countAll(
  name: string,
  text: string,
  statements: readonly Statement[],
  faults: Fault[],
): Steps<number | null> {
  const ends = statements.filter((_, at) => (at + 1) % PIECE === 0).map(({ end }) => end)
  let count = 0
  let line = 1
  for (const [at, end] of [...ends, text.length].entries()) {
    const piece = text.slice(ends[at - 1] ?? 0, end)
    const answer = countPolicies(piece)
    if (answer.type === 'failure') {
      for (const error of answer.errors) faults.push(cedarFault(name, error, { text: piece, line }))
      return null
    }
    count += answer.policies.length + answer.policy_templates.length
    line = lineOfByte(piece, Buffer.byteLength(piece), line)
    yield
  }
  return count
}

const MAX_ID_LENGTH = 128

/** Policies by their `@id`, over all files. */
function* nameAll(
  statements: readonly Statement[],
  faults: Fault[],
): Steps<ReadonlyMap<string, NamedPolicy>> {
  const policies = new Map<string, NamedPolicy>()
  for (const statement of statements) {
    const add = (message: string, remedy: string | null): void => {
      faults.push({ file: statement.file, line: statement.line, key: '@id', message, remedy })
    }
    const read = readPolicy(statement.text)
    yield
    if (read.kind === 'error') {
      for (const error of read.errors) faults.push(cedarFault(statement.file, error, statement))
      continue
    }
    if (read.kind === 'template') {
      const remedy = 'write a policy for each principal or resource'
      const message = 'a template (?principal or ?resource), which nothing links'
      faults.push({ file: statement.file, line: statement.line, key: null, message, remedy })
      continue
    }
    // An annotation without a value is null in the JSON form, whatever the type says.
    const id: unknown = read.json.annotations?.id
    if (typeof id !== 'string' || id === '') {
      add(id === undefined ? 'missing' : 'empty', 'give every policy a unique @id("…")')
    } else if (id.length > MAX_ID_LENGTH || /\p{C}/u.test(id)) {
      add(
        `longer than ${MAX_ID_LENGTH} characters, or with control characters`,
        'it is shown in every record and answer about the policy',
      )
    } else {
      const first = policies.get(id)?.statement
      if (first === undefined) policies.set(id, { id, json: read.json, statement })
      else
        add(
          `${JSON.stringify(id)} is also used at ${first.file}:${first.line}`,
          'an @id stands for one policy',
        )
    }
  }
  return policies
}

/** Strict validation; errors are added to `faults`, warnings are returned. */
function validate(
  policies: ReadonlyMap<string, NamedPolicy>,
  texts: Readonly<Record<string, string>>,
  faults: Fault[],
): Fault[] {
  const answer = validatePolicies(texts)
  if (answer.type === 'failure') {
    throw new CedarError('cedar-failed', answer.errors.map(({ message }) => message).join('; '))
  }
  const toFault = ({ policyId, error }: { policyId: string; error: DetailedError }): Fault => {
    const policy = policies.get(policyId)
    if (policy === undefined) throw new CedarError('cedar-failed', error.message)
    const { file, text, line } = policy.statement
    const fault = cedarFault(file, error, { text, line })
    const message = fault.message.replace(`for policy \`${policyId}\`, `, '')
    return { ...fault, message: `policy ${JSON.stringify(policyId)}: ${message}` }
  }
  faults.push(...answer.validationErrors.map(toFault))
  return answer.validationWarnings.map(toFault)
}

/** `within` is the text that the error's offsets count in, and the line at which it begins. */
function cedarFault(
  file: string,
  error: DetailedError,
  within: { readonly text: string; readonly line: number },
): Fault {
  const [place] = error.sourceLocations ?? []
  const label = place?.label ?? null
  return {
    file,
    line: place === undefined ? within.line : lineOfByte(within.text, place.start, within.line),
    key: null,
    message: label === null ? error.message : `${error.message}: ${label}`,
    remedy: error.help,
  }
}

function emptyWarning(files: readonly PolicyFile[]): Fault {
  return {
    file: files[0]?.name ?? 'policy',
    line: null,
    key: null,
    message: 'no policy: every request is denied',
    remedy: 'add a permit',
  }
}

function inOrder(faults: readonly Fault[], files: readonly PolicyFile[]): readonly Fault[] {
  const order = files.map(({ name }) => name)
  return faults.toSorted(
    (a, b) => order.indexOf(a.file) - order.indexOf(b.file) || (a.line ?? 0) - (b.line ?? 0),
  )
}
