// A decision is a value: what was asked, what policy said and why. Audit, metrics and answers derive from it.
import type { SpiffeId } from '../../spiffe/id.ts'

export interface Question {
  readonly principal:
    | { readonly kind: 'workload'; readonly id: SpiffeId }
    | { readonly kind: 'network'; readonly name: string }
  readonly destination: { readonly name: string; readonly tags: readonly string[] }
  /** What was really asked for, not what the destination is configured with. */
  readonly host: string
  readonly port: number
  readonly context: {
    readonly now: Date
    /** Canonical (an IPv4-mapped address as IPv4, no zone): Cedar fails the whole call on other forms. */
    readonly sourceIp: string
    readonly listener: string
    /** Lower-case hex, two digits a byte; empty where there is no certificate. */
    readonly serialNumber: string
    readonly vpcEndpoint?: string
  }
}

/** `report` lets through what policy denies, and says so; nothing else is softened (design §6). */
export type PolicyMode = 'enforce' | 'report'

export interface Decision {
  /** What policy says, whatever the mode. */
  readonly result: 'allow' | 'deny'
  /** Why it is refused; null where it is let through: allowed, or denied by policy in mode `report`. */
  readonly code: 'policy-denied' | 'policy-error' | null
  /** In force for this destination. */
  readonly mode: PolicyMode
  /** `@id`s of the policies that determined the result, in alphabetical order. */
  readonly policies: readonly string[]
  readonly cached: boolean
  /** Which policies failed and how, for the operator; null where none did. */
  readonly error: string | null
  /** The first moment at which the same question may be answered otherwise, by time alone; null = never. */
  readonly recheckAt: Date | null
}

export interface Policy {
  /** `sha256:` and the hex digest over the policy text. */
  readonly revision: string
  decide(question: Question): Decision
  /** Why nothing can be decided until the process is started again; null while all is well. */
  failure(): string | null
}
