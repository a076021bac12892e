// One question to one decision: checked, then answered from what is kept or by Cedar over the policies that can apply.
// Security rests on what Cedar does not do: a policy that fails at run time is skipped by Cedar, so a `forbid` that fails
// would allow. Here any error, in any policy, and any failed call is a denial, in mode `report` too.
import { LRUCache } from 'lru-cache'
import type { Attribute } from './expression.ts'
import { CedarError, engineFailure, type PolicyJson, type Response } from './cedar.ts'
import { entityLiterals } from './literals.ts'
import { PreparedSet } from './prepared.ts'
import { checkQuestion, toRequest } from './question.ts'
import { type Entity, entitiesReadBy, type Read, readsOf } from './reads.ts'
import { type Reduction, reduceReads } from './reduce.ts'
import { indexByScope, type ScopeIndex, scopeOf } from './scope.ts'
import type { Decision, Policy, PolicyMode, Question } from './types.ts'

/** Answers that are kept, and their keys in characters. A key has at most some thousand of them. */
const MAX_ANSWERS = 16_384
const MAX_KEY_CHARACTERS = 8 * 1024 * 1024
/** Pairs of principal and destination whose policies are known, and sets of policies. */
const MAX_PAIRS = 16_384
const MAX_PLANS = 2_048

/** Where the clock decides otherwise than by comparison with literals, an answer counts this long (design §5.2). */
const UNKNOWN_TIME_MS = 1_000

export interface DecidablePolicy {
  readonly id: string
  readonly json: PolicyJson
  readonly text: string
}

export interface EvaluationOptions {
  /** Of a destination by name. Default: enforce. */
  readonly modeOf?: (destination: string) => PolicyMode
  /** Default: both. What they leave out is work and no answer, so a test and a measurement may go without. */
  readonly index?: boolean
  readonly cache?: boolean
}

/** Which policies can apply, and what their answer depends on. */
interface Plan {
  /** Of no other plan, also where that one is forgotten. */
  readonly name: string
  readonly policies: readonly DecidablePolicy[]
  readonly reduction: Reduction
  /** Of whom, and of which destination, the conditions read more than the question says otherwise. */
  readonly entities: ReadonlySet<Entity>
  set: PreparedSet | null
}

/** What is known of one principal at one destination. */
interface Pair {
  readonly plan: Plan
  /** One text for all pairs that the plan answers alike: such as differ in what no policy of it looks at. */
  readonly key: string
}

interface Answer {
  readonly result: 'allow' | 'deny'
  readonly policies: readonly string[]
  readonly error: string | null
}

/** The decisions of one set of policies. What it keeps dies with it: a new revision begins with nothing. */
export function createDecide(
  policies: readonly DecidablePolicy[],
  { modeOf = () => 'enforce', index: indexed = true, cache = true }: EvaluationOptions = {},
): Policy['decide'] {
  const index = indexByScope(
    policies.map(({ json }) => scopeOf(json)),
    pathsNamedIn(policies),
  )
  const pairOf = createPairs(policies, indexed ? index : null)
  const answers = new LRUCache<string, Answer>({
    max: MAX_ANSWERS,
    maxSize: MAX_KEY_CHARACTERS,
    sizeCalculation: (_answer, key) => key.length,
  })
  return function decide(question) {
    const { name } = question.destination
    const mode = modeOf(name)
    try {
      const address = checkQuestion(question)
      const { plan, key: pair } = pairOf(question)
      const reduced = cache ? plan.reduction.keyOf(question, address) : null
      const key = reduced === null ? null : `${pair}${reduced}`
      // Past a broken engine nothing is answered, so that what is kept cannot hide it.
      const kept = key === null || engineFailure() !== null ? undefined : answers.get(key)
      const answer = kept ?? evaluate(plan, question, address, index.pathsOf)
      // An error may be of the moment.
      if (kept === undefined && key !== null && answer.error === null) answers.set(key, answer)
      return toDecision(answer, mode, kept !== undefined, recheckAt(plan.reduction, question.context.now))
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error)
      return toDecision({ result: 'deny', policies: [], error: text }, mode, false, null)
    }
  }
}

/** Who and where as texts; equal for two questions only where both are the same. */
function namesOf({ principal, destination }: Question): Readonly<Record<Entity, string>> {
  const { kind } = principal
  return {
    principal: JSON.stringify([kind, kind === 'workload' ? principal.id.uri : principal.name]),
    resource: JSON.stringify([destination.name, ...destination.tags]),
  }
}

/**
 * Security: two pairs share answers only where the same policies can apply to both. The index looks at nothing but the
 * scope, and names a policy to both alike only where its scope meets both or neither (scope.ts), so that what may still
 * differ is what the conditions say of principal and resource; where they say anything, its name is in the key.
 */
function createPairs(policies: readonly DecidablePolicy[], index: ScopeIndex | null) {
  const planOf = createPlans(policies, index)
  const known = new LRUCache<string, Pair>({
    max: MAX_PAIRS,
    maxSize: MAX_KEY_CHARACTERS,
    sizeCalculation: ({ key }, name) => name.length + key.length,
  })
  return (question: Question): Pair => {
    const names = namesOf(question)
    const name = names.principal + names.resource
    const before = known.get(name)
    if (before !== undefined) return before
    const plan = planOf(question)
    // Without an index the plan of everybody is the same one.
    const told = (entity: Entity) => (index === null || plan.entities.has(entity) ? names[entity] : '')
    const pair = { plan, key: `${plan.name};${told('principal')};${told('resource')};` }
    known.set(name, pair)
    return pair
  }
}

interface PolicyReads {
  readonly reads: readonly Read[]
  readonly entities: ReadonlySet<Entity>
}

function createPlans(policies: readonly DecidablePolicy[], index: ScopeIndex | null) {
  // Of each when it is first asked for: that of a thousand takes longer than the loop may be held.
  const known: PolicyReads[] = []
  const readsAt = (position: number): PolicyReads => {
    const { conditions } = policies[position]?.json ?? {}
    return (known[position] ??= { reads: [...readsOf(conditions)], entities: entitiesReadBy(conditions) })
  }
  const plans = new LRUCache<string, Plan>({ max: MAX_PLANS })
  const all = policies.map((_, position) => position)
  let made = 0
  return ({ principal, destination }: Question): Plan => {
    const positions = index === null ? all : index.candidates(principal, destination)
    const key = positions.join()
    const found = plans.get(key)
    if (found !== undefined) return found
    const read = positions.map(readsAt)
    const plan = {
      name: `${(made += 1)}`,
      policies: positions.flatMap((position) => policies[position] ?? []),
      reduction: reduceReads(read.flatMap(({ reads }) => reads)),
      entities: new Set(read.flatMap(({ entities }) => [...entities])),
      set: null,
    }
    plans.set(key, plan)
    return plan
  }
}

function evaluate(plan: Plan, question: Question, address: string, pathsOf: ScopeIndex['pathsOf']): Answer {
  const failure = engineFailure()
  if (failure !== null) throw new CedarError('cedar-broken', `the policy engine has failed: ${failure}`)
  // The default of Cedar, and of an empty set.
  if (plan.policies.length === 0) return { result: 'deny', policies: [], error: null }
  plan.set ??= new PreparedSet(textsOf(plan.policies))
  return toAnswer(plan.set.authorize(toRequest(question, address, pathsOf(question.principal))))
}

export function textsOf(policies: readonly DecidablePolicy[]): Readonly<Record<string, string>> {
  return Object.fromEntries(policies.map(({ id, text }) => [id, text]))
}

function toAnswer({ decision, diagnostics }: Response): Answer {
  if (diagnostics.errors.length === 0) {
    return { result: decision, policies: diagnostics.reason.toSorted(), error: null }
  }
  const failed = diagnostics.errors.map(({ policyId, error }) => ({ policyId, text: error.message }))
  failed.sort((a, b) => (a.policyId < b.policyId ? -1 : 1))
  return {
    result: 'deny',
    policies: failed.map(({ policyId }) => policyId),
    error: failed.map(({ policyId, text }) => `policy ${JSON.stringify(policyId)}: ${text}`).join('; '),
  }
}

function toDecision(
  { result, policies, error }: Answer,
  mode: PolicyMode,
  cached: boolean,
  recheckAt: Date | null,
): Decision {
  const denial = error === null ? (mode === 'report' ? null : 'policy-denied') : 'policy-error'
  return { result, code: result === 'allow' ? null : denial, mode, policies, cached, error, recheckAt }
}

function recheckAt({ moments }: Reduction, now: Date): Date | null {
  if (moments === null) return new Date(now.getTime() + UNKNOWN_TIME_MS)
  const next = moments.find((moment) => moment > now.getTime())
  return next === undefined ? null : new Date(next)
}

/** What keeps the answers of this policy from being kept; empty where nothing does. */
export function uncachedReads(json: PolicyJson): readonly Attribute[] {
  return [...reduceReads([...readsOf(json.conditions)]).uncached]
}

function pathsNamedIn(policies: readonly DecidablePolicy[]): ReadonlySet<string> {
  const paths = new Set<string>()
  for (const { json } of policies) {
    for (const { type, id } of entityLiterals(json)) if (type === 'Path') paths.add(id)
  }
  return paths
}
