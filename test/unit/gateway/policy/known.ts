// What the policies of these tests may name, and a question that each test changes.
import { compilePolicy } from '../../../../gateway/policy/compile.ts'
import type { CompileOptions, Known } from '../../../../gateway/policy/compile.ts'
import type { Policy, Question } from '../../../../gateway/policy/types.ts'
import { parseSpiffeId } from '../../../../spiffe/id.ts'

export const KNOWN: Known = {
  destinations: [
    { name: 'partner-bank', tags: ['pci', 'eu'] },
    { name: 'orders-db', tags: [] },
  ],
  networks: ['legacy-batch'],
  trustDomains: ['example.org', 'cluster.local'],
}

/** The policy of a text that has no faults. */
export function policyOf(text: string, known: Known = KNOWN, options: CompileOptions = {}): Policy {
  const result = compilePolicy([{ name: 'policy.cedar', text }], known, options)
  if (!result.ok) throw new Error(result.faults.map(({ message }) => message).join('\n'))
  return result.policy
}

type Changes = Partial<Omit<Question, 'context'>> & {
  readonly workload?: string
  readonly context?: Partial<Question['context']>
}

export function question({ workload, context, ...changes }: Changes = {}): Question {
  return {
    principal: { kind: 'workload', id: parseSpiffeId(workload ?? 'spiffe://example.org/payments/api') },
    destination: { name: 'partner-bank', tags: ['pci', 'eu'] },
    host: 'api.bank.example',
    port: 443,
    ...changes,
    context: {
      now: new Date('2026-08-01T10:00:00Z'),
      sourceIp: '10.0.1.7',
      listener: 'proxy',
      serialNumber: '5f0a',
      ...context,
    },
  }
}
