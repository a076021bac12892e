// One question to one decision. Security rests on what Cedar does not do: a policy that fails at run time is skipped by
// Cedar, so a `forbid` that fails would allow. Here any error, in any policy, and any failed call is a denial.
import type { AuthorizationRequest, EntityJson, PreparedSet } from './cedar.ts'
import { canonicalAddress } from './address.ts'
import type { Decision, Policy, Question } from './types.ts'

/**
 * `paths` are the Path entities that the policies name. Only those are given to Cedar, since no other can be asked for
 * and an ID may have a thousand ancestors.
 */
export function createDecide(set: PreparedSet, paths: ReadonlySet<string>): Policy['decide'] {
  return function decide(question: Question): Decision {
    try {
      const { decision, diagnostics } = set.authorize(toRequest(question, paths))
      if (diagnostics.errors.length > 0) {
        const failed = diagnostics.errors.map(({ policyId, error }) => ({ policyId, text: error.message }))
        failed.sort((a, b) => (a.policyId < b.policyId ? -1 : 1))
        return refuse(
          failed.map(({ policyId }) => policyId),
          failed.map(({ policyId, text }) => `policy ${JSON.stringify(policyId)}: ${text}`).join('; '),
        )
      }
      const allowed = decision === 'allow'
      return {
        result: allowed ? 'allow' : 'deny',
        code: allowed ? null : 'policy-denied',
        mode: 'enforce',
        policies: diagnostics.reason.toSorted(),
        cached: false,
        error: null,
      }
    } catch (error) {
      return refuse([], error instanceof Error ? error.message : String(error))
    }
  }
}

function refuse(policies: readonly string[], error: string): Decision {
  return { result: 'deny', code: 'policy-error', mode: 'enforce', policies, cached: false, error }
}

function toRequest(question: Question, paths: ReadonlySet<string>): AuthorizationRequest {
  const { destination, host, port, context } = question
  const principal = toPrincipal(question.principal, paths)
  const resource = { type: 'Destination', id: destination.name }
  const entities: EntityJson[] = [
    principal,
    {
      uid: resource,
      attrs: { host, port },
      parents: destination.tags.map((id) => ({ type: 'Tag', id })),
    },
  ]
  return {
    principal: principal.uid,
    action: { type: 'Action', id: 'connect' },
    resource,
    entities,
    context: {
      now: { __extn: { fn: 'datetime', arg: context.now.toISOString() } },
      sourceIp: { __extn: { fn: 'ip', arg: canonicalAddress(context.sourceIp) } },
      listener: context.listener,
      serialNumber: context.serialNumber,
      ...(context.vpcEndpoint === undefined ? {} : { vpcEndpoint: context.vpcEndpoint }),
    },
  }
}

function toPrincipal(principal: Question['principal'], paths: ReadonlySet<string>): EntityJson {
  if (principal.kind === 'network') {
    return { uid: { type: 'Network', id: principal.name }, attrs: {}, parents: [] }
  }
  const { uri, trustDomain, path } = principal.id
  return {
    uid: { type: 'Workload', id: uri },
    attrs: { trustDomain, path },
    parents: ancestors(uri)
      .filter((ancestor) => paths.has(ancestor))
      .map((id) => ({ type: 'Path', id })),
  }
}

/** Each proper prefix of a SPIFFE ID, up to its trust domain: `spiffe://td/a/b` has `spiffe://td/a` and `spiffe://td`. */
function ancestors(uri: string): readonly string[] {
  const found: string[] = []
  const end = uri.indexOf('/', 'spiffe://'.length)
  if (end === -1) return found
  for (let cut = uri.lastIndexOf('/'); cut >= end; cut = uri.lastIndexOf('/', cut - 1)) {
    found.push(uri.slice(0, cut))
  }
  return found
}
