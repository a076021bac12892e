// A policy taken apart into what must be true for it to apply: both sides of its scope, and each condition that stands
// between `&&`. Whether a condition holds is asked of Cedar, one by one.
import { authorizeOnce, CedarError, type PolicyJson, writePolicy } from './cedar.ts'
import { isNode, operandsOf } from './expression.ts'
import { scopeApplies, scopeOfSide } from './partial.ts'
import { ancestors, checkQuestion, toRequest } from './question.ts'
import { scopeOf } from './scope.ts'
import type { Question } from './types.ts'

export interface Clause {
  readonly part: 'principal' | 'resource' | 'when' | 'unless'
  /** As Cedar writes it. */
  readonly text: string
  /** Whether it lets the policy apply: for `unless`, that it is false. Null where it cannot be told alone. */
  readonly met: boolean | null
  /** Why it cannot. */
  readonly error: string | null
}

type Condition = PolicyJson['conditions'][number]

/** In the order of the policy. The question must be one that Cedar takes. */
export function judgeClauses(json: PolicyJson, question: Question): readonly Clause[] {
  const conditions = json.conditions.flatMap(split)
  return [...judgeScope(json, question), ...conditions.map((condition) => judge(condition, question))]
}

/** Both sides of the scope. */
export function judgeScope(json: PolicyJson, question: Question): readonly Clause[] {
  const { principal, destination } = question
  const facts = {
    principal:
      principal.kind === 'workload'
        ? ({ kind: 'workload', id: principal.id.uri } as const)
        : ({ kind: 'network', name: principal.name } as const),
    destination,
    now: { from: question.context.now.getTime(), to: question.context.now.getTime() },
  }
  const scope = scopeOf(json)
  return (['principal', 'resource'] as const).map((part): Clause => {
    const met = scopeApplies(scopeOfSide(scope, part), facts)
    return { part, text: textOfSide(part, scope[part], json), met, error: null }
  })
}

/** `when {a && b}` is two conditions, and so is `unless {a || b}`. */
function split({ kind, body }: Condition): readonly Condition[] {
  const operands = isNode(body) ? operandsOf(body, kind === 'when' ? '&&' : '||') : null
  if (operands === null) return [{ kind, body }]
  return operands.flatMap((operand) => split({ kind, body: operand as Condition['body'] }))
}

function judge(condition: Condition, question: Question): Clause {
  const alone: PolicyJson = {
    effect: 'permit',
    principal: { op: 'All' },
    action: { op: 'All' },
    resource: { op: 'All' },
    conditions: [condition],
  }
  const part = condition.kind
  try {
    const text = bodyOf(writePolicy(alone))
    const paths = question.principal.kind === 'network' ? [] : ancestors(question.principal.id.uri)
    const request = toRequest(question, checkQuestion(question), paths)
    const { decision, diagnostics } = authorizeOnce(alone, request)
    const error = diagnostics.errors[0]?.error.message ?? null
    return { part, text, met: error === null ? decision === 'allow' : null, error }
  } catch (error) {
    // A number beyond 2^53, which the JSON form does not keep.
    if (!(error instanceof CedarError)) throw error
    return { part, text: '…', met: null, error: error.message }
  }
}

/** What stands in the braces, on one line. No string of Cedar holds a line break as such. */
function bodyOf(policy: string | null): string {
  const body = /\b(?:when|unless)\s*\{([\s\S]*)\}\s*;?\s*$/.exec(policy ?? '')?.[1]
  return body === undefined ? '…' : body.trim().replaceAll(/\s*\n\s*/g, ' ')
}

function textOfSide(
  part: 'principal' | 'resource',
  { type, entity }: ReturnType<typeof scopeOf>['principal'],
  json: PolicyJson,
): string {
  const typed = type === null ? '' : ` is ${type}`
  if (entity === null) return `${part}${typed}`
  const relation = json[part].op === '==' ? '==' : 'in'
  return `${part}${typed} ${relation} ${entity.type}::${JSON.stringify(entity.id)}`
}
