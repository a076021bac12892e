// One question to one decision: checked, then answered from what is kept or by Cedar over the policies that can apply.
// Security rests on what Cedar does not do: a policy that fails at run time is skipped by Cedar, so a `forbid` that fails
// would allow. Here any error, in any policy, and any failed call is a denial, in mode `report` too.
import { LRUCache } from 'lru-cache'
import type { Attribute } from './expression.ts'
import { CedarError, engineFailure, type PolicyJson, type Response } from './cedar.ts'
import { entityLiterals } from './literals.ts'
import { PreparedSet } from './prepared.ts'
import { checkQuestion, toRequest } from './question.ts'
import { type Read, readsOf } from './reads.ts'
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
  readonly policies: readonly DecidablePolicy[]
  readonly reduction: Reduction
  set: PreparedSet | null
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
  const planOf = createPlans(policies, indexed ? index : null)
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
      const pair = pairKey(question)
      const plan = planOf(pair, question)
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

/** Who and where as one text; equal for two questions only where both are the same. */
function pairKey({ principal, destination }: Question): string {
  const { kind } = principal
  return JSON.stringify([
    kind,
    kind === 'workload' ? principal.id.uri : principal.name,
    destination.name,
    ...destination.tags,
  ])
}

function createPlans(policies: readonly DecidablePolicy[], index: ScopeIndex | null) {
  const reads: readonly (readonly Read[])[] = policies.map(({ json }) => [...readsOf(json.conditions)])
  const byPair = new LRUCache<string, Plan>({
    max: MAX_PAIRS,
    maxSize: MAX_KEY_CHARACTERS,
    sizeCalculation: (_plan, key) => key.length,
  })
  const plans = new LRUCache<string, Plan>({ max: MAX_PLANS })
  const all = policies.map((_, position) => position)
  return (pair: string, { principal, destination }: Question): Plan => {
    const known = byPair.get(pair)
    if (known !== undefined) return known
    const positions = index === null ? all : index.candidates(principal, destination)
    const key = positions.join()
    const plan = plans.get(key) ?? {
      policies: positions.flatMap((position) => policies[position] ?? []),
      reduction: reduceReads(positions.flatMap((position) => reads[position] ?? [])),
      set: null,
    }
    plans.set(key, plan)
    byPair.set(pair, plan)
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
