// What is right and yet not what somebody can have meant: policies that never apply, and policies whose answers cannot be
// kept. A warning refuses nothing.
import type { Fault } from '../../common/fault.ts'
import type { PolicyJson } from './cedar.ts'
import type { Known } from './compile.ts'
import { uncachedReads } from './decide.ts'
import { applies, type Facts, type PrincipalFacts, scopeApplies } from './partial.ts'
import type { NamedPolicy } from './rules.ts'
import { scopeOf } from './scope.ts'
import type { Steps } from './steps.ts'

type Complaint = { readonly message: string; readonly remedy: string | null }

/** `told` are the policies about which Cedar has said already that they cannot apply. */
export function* warningsOf(
  policies: readonly NamedPolicy[],
  known: Known,
  now: Date,
  told: ReadonlySet<string>,
): Steps<readonly Fault[]> {
  const forbids = policies.filter(({ json }) => json.effect === 'forbid')
  const warnings: Fault[] = []
  for (const policy of policies) {
    const { file, line } = policy.statement
    const never = told.has(policy.id) ? null : neverApplies(policy, forbids, known, now.getTime())
    for (const complaint of [never, uncached(policy)]) {
      if (complaint === null) continue
      const message = `policy ${JSON.stringify(policy.id)}: ${complaint.message}`
      warnings.push({ file, line, key: null, message, remedy: complaint.remedy })
    }
    yield
  }
  return warnings
}

function uncached({ json }: NamedPolicy): Complaint | null {
  const attributes = uncachedReads(json)
  if (attributes.length === 0) return null
  const read = attributes.map((attribute) => `context.${attribute}`).join(', ')
  return {
    message: `reads ${read} in another form than a comparison with literals, so that no decision to which it may apply is cached`,
    remedy: 'compare with literals, as in context.now < datetime("…") or context.sourceIp.isInRange(ip("…"))',
  }
}

function neverApplies(
  policy: NamedPolicy,
  forbids: readonly NamedPolicy[],
  known: Known,
  now: number,
): Complaint | null {
  const { json } = policy
  const from = (moment: number) => possibleFacts(json, known, { from: moment, to: Number.POSITIVE_INFINITY })
  if (!everywhere(from(now), (facts) => applies(json, facts) === false)) {
    return json.effect === 'permit' ? shadowed(policy, forbids, from(now)) : null
  }
  if (!everywhere(from(Number.NEGATIVE_INFINITY), (facts) => applies(json, facts) === false)) {
    return { message: 'never applies any more: its time is past', remedy: 'remove it, or move its end' }
  }
  const message =
    'never applies: no destination, caller and listener of this configuration can meet its conditions'
  return { message, remedy: 'compare its conditions with its scope and with gateway.yaml' }
}

/** A permit wherever whose scope reaches a forbid applies whatever the question. */
function shadowed(
  policy: NamedPolicy,
  forbids: readonly NamedPolicy[],
  facts: () => Generator<Facts>,
): Complaint | null {
  const inScope = function* () {
    for (const one of facts()) if (scopeApplies(scopeOf(policy.json), one) !== false) yield one
  }
  const forbid = forbids.find(({ json }) => everywhere(inScope, (one) => applies(json, one) === true))
  if (forbid === undefined) return null
  const { file, line } = forbid.statement
  return {
    message: `never permits anything: the forbid ${JSON.stringify(forbid.id)} at ${file}:${line} applies wherever it does`,
    remedy: 'remove one of them',
  }
}

/** False for nothing at all: a configuration without destinations says nothing about a policy. */
function everywhere(facts: () => Generator<Facts>, holds: (facts: Facts) => boolean): boolean {
  let any = false
  for (const one of facts()) {
    if (!holds(one)) return false
    any = true
  }
  return any
}

/** Whoever the scope names, at each destination. */
function possibleFacts(json: PolicyJson, known: Known, now: Facts['now']): () => Generator<Facts> {
  const principals = principalsOf(json)
  return function* () {
    for (const destination of known.destinations) {
      for (const principal of principals) yield { principal, destination, listeners: known.listeners, now }
    }
  }
}

const ANYBODY: readonly PrincipalFacts[] = [
  { kind: 'workload', under: null },
  { kind: 'network', name: null },
]

function principalsOf(json: PolicyJson): readonly PrincipalFacts[] {
  const { type, entity } = scopeOf(json).principal
  if (entity?.type === 'Workload') return [{ kind: 'workload', id: entity.id }]
  if (entity?.type === 'Path') return [{ kind: 'workload', under: entity.id }]
  if (entity?.type === 'Network') return [{ kind: 'network', name: entity.id }]
  return ANYBODY.filter(({ kind }) => type === null || kind === type.toLowerCase())
}
