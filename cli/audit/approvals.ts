// Who approved what a decision names: owner and ticket of policies, from the configuration, where its policy is still the one
// that decided. Another policy of the same name may mean something else, so of a policy that has changed nothing is told.
import { readGatewayConfig } from '../../gateway/config/read.ts'
import type { Destination } from '../../gateway/config/types.ts'
import { readPolicy } from '../../gateway/policy/cedar.ts'
import { compilePolicy } from '../../gateway/policy/compile.ts'
import { readStatements } from '../../gateway/policy/source.ts'

export interface Approval {
  readonly id: string
  readonly owner: string | null
  readonly ticket: string | null
  readonly reason: string | null
  readonly file: string
  readonly line: number
}

export interface Approvals {
  /** `differs`: the policy is another one now. `unreadable`: it is at fault, or no gateway.yaml. */
  readonly policy: 'same' | 'differs' | 'unreadable'
  /** Of the policies asked about; empty where the policy is not the same. */
  readonly approvals: readonly Approval[]
  /** Those of today; null where the configuration is at fault. */
  readonly destinations: readonly Destination[] | null
}

/** Keys need not be readable, and secrets are not asked for: an auditor has none. */
export async function readApprovals(
  file: string,
  ids: readonly string[],
  revision: string,
): Promise<Approvals> {
  const { policy, config } = await readGatewayConfig(file, { readSecret: null })
  const destinations = config?.destinations ?? null
  const compiled = policy === null ? null : compilePolicy(policy.files, policy)
  if (policy === null || compiled === null || !compiled.ok) {
    return { policy: 'unreadable', approvals: [], destinations }
  }
  if (compiled.policy.revision !== revision) return { policy: 'differs', approvals: [], destinations }
  const all = policy.files.flatMap(({ name, text }) => approvalsIn(name, text))
  return { policy: 'same', approvals: all.filter(({ id }) => ids.includes(id)), destinations }
}

function approvalsIn(name: string, text: string): readonly Approval[] {
  return readStatements(name, text).flatMap(({ file, line, text }) => {
    const read = readPolicy(text)
    if (read.kind !== 'policy') return []
    const { id, owner, ticket, reason } = { ...NONE, ...read.json.annotations }
    return id === null ? [] : [{ id, owner, ticket, reason, file, line }]
  })
}

const NONE: Readonly<Record<'id' | 'owner' | 'ticket' | 'reason', string | null>> = {
  id: null,
  owner: null,
  ticket: null,
  reason: null,
}
