// Why a question was decided as it was: which policies decided, and which permits are nearest, with what is missing to
// each. It explains a decision and makes none.
import { type Clause, judgeClauses, judgeScope } from './clauses.ts'
import { describePolicy, type PolicyDescription } from './describe.ts'
import type { NamedPolicy } from './rules.ts'
import type { Decision, Question } from './types.ts'

export interface ExplainedPolicy extends PolicyDescription {
  readonly clauses: readonly Clause[]
}

export interface Explanation {
  /** The permits that permit, the forbids that forbid, or the policies that failed. */
  readonly decidedBy: readonly ExplainedPolicy[]
  /** Permits that do not apply, the nearest first: none whose scope is about others on both sides. */
  readonly nearest: readonly ExplainedPolicy[]
}

const MAX_NEAREST = 5
/** Each condition of each is a call of Cedar. */
const MAX_ASKED = 200
/** A side of the scope says more about what a policy is for than a condition does. */
const SCOPE_WEIGHT = 100

/** Throws where Cedar does not take the question. */
export function explainDecision(
  policies: readonly NamedPolicy[],
  question: Question,
  decision: Decision,
): Explanation {
  const explained = (policy: NamedPolicy): ExplainedPolicy => ({
    ...describePolicy(policy),
    clauses: judgeClauses(policy.json, question),
  })
  const decidedBy = policies.filter(({ id }) => decision.policies.includes(id)).map(explained)
  if (decision.result === 'allow') return { decidedBy, nearest: [] }
  const nearest = policies
    .filter(({ id, json }) => json.effect === 'permit' && !decision.policies.includes(id))
    .map((policy) => ({ policy, sides: judgeScope(policy.json, question).filter(({ met }) => !met).length }))
    .filter(({ sides }) => sides < 2)
    .toSorted((a, b) => a.sides - b.sides)
    .slice(0, MAX_ASKED)
    .map(({ policy }) => explained(policy))
    .map((policy) => ({ policy, distance: distanceOf(policy) }))
    // Nothing is missing to a permit that a forbid beats.
    .filter(({ distance }) => distance > 0)
    .toSorted((a, b) => a.distance - b.distance)
  return { decidedBy, nearest: nearest.slice(0, MAX_NEAREST).map(({ policy }) => policy) }
}

function distanceOf({ clauses }: ExplainedPolicy): number {
  return unmetOf(clauses).reduce(
    (sum, { part }) => sum + (part === 'principal' || part === 'resource' ? SCOPE_WEIGHT : 1),
    0,
  )
}

/** What would have to be true for the policy to apply. */
export function unmetOf(clauses: readonly Clause[]): readonly Clause[] {
  return clauses.filter(({ met }) => met !== true)
}
