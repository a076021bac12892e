// The policy as it is now: replaced as a whole, and whoever judged by the old one is told.
import type { Policy } from './types.ts'

export interface PolicyStore extends Policy {
  /** Called with each replacement, after it counts, until what it returns is called. */
  onChange(listener: () => void): () => void
  replace(policy: Policy): void
}

export function createPolicyStore(initial: Policy): PolicyStore {
  let policy = initial
  const listeners = new Set<() => void>()
  return {
    get revision() {
      return policy.revision
    },
    decide: (question) => policy.decide(question),
    failure: () => policy.failure(),
    onChange(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    replace(next) {
      policy = next
      for (const listener of listeners) listener()
    },
  }
}
