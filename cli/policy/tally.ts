// Counts what a candidate policy would have decided otherwise, by who, where and which policies. Bounded: past the limit
// further groups are counted and not named.
import type { Question } from '../../gateway/policy/types.ts'
import { SKIPPED, type Skipped } from './record.ts'

const MAX_GROUPS = 10_000

export interface Group {
  readonly workload: string | null
  readonly network: string | null
  readonly destination: string
  readonly host: string
  readonly port: number
  /** `@id`s that decided, and that would decide. */
  readonly before: readonly string[]
  readonly after: readonly string[]
  /** Where a policy would fail. */
  readonly error: string | null
  sessions: number
  /** Of the first session; ids and times lead to it in the audit. */
  readonly firstId: string
  readonly firstAt: string
  lastAt: string
}

export interface Changes {
  readonly sessions: number
  /** The largest first. */
  readonly groups: readonly Group[]
  /** Sessions of groups past the limit of what is kept. */
  readonly notNamed: number
}

export interface Replay {
  readonly compared: number
  /** Allowed then, and refused by the candidate. */
  readonly refused: Changes
  /** Denied then, and allowed by the candidate. */
  readonly allowed: Changes
  readonly skipped: Readonly<Record<Skipped, number>>
}

export interface Past {
  readonly id: string
  readonly principal: Question['principal']
  readonly destination: string
  readonly host: string
  readonly port: number
  readonly context: { readonly now: Date }
  readonly result: 'allow' | 'deny'
  readonly policies: readonly string[]
}

interface Candidate {
  readonly result: 'allow' | 'deny'
  readonly policies: readonly string[]
  readonly error: string | null
}

export class Tally {
  #compared = 0
  readonly #skipped = Object.fromEntries(SKIPPED.map((why) => [why, 0])) as Record<Skipped, number>
  readonly #changes = {
    allow: { sessions: 0, notNamed: 0, groups: new Map<string, Group>() },
    deny: { sessions: 0, notNamed: 0, groups: new Map<string, Group>() },
  }

  skip(why: Skipped): void {
    this.#skipped[why] += 1
  }

  compare(past: Past, candidate: Candidate): void {
    this.#compared += 1
    if (past.result === candidate.result) return
    const changes = this.#changes[candidate.result]
    changes.sessions += 1
    const group = toGroup(past, candidate)
    const { workload, network, destination, host, port, before, after, error } = group
    const key = JSON.stringify([workload, network, destination, host, port, before, after, error])
    const known = changes.groups.get(key)
    if (known !== undefined) {
      known.sessions += 1
      known.lastAt = group.lastAt
    } else if (changes.groups.size < MAX_GROUPS) changes.groups.set(key, group)
    else changes.notNamed += 1
  }

  result(): Replay {
    const changes = (result: 'allow' | 'deny'): Changes => {
      const { sessions, notNamed, groups } = this.#changes[result]
      return { sessions, groups: [...groups.values()].toSorted((a, b) => b.sessions - a.sessions), notNamed }
    }
    return {
      compared: this.#compared,
      refused: changes('deny'),
      allowed: changes('allow'),
      skipped: { ...this.#skipped },
    }
  }
}

function toGroup(past: Past, { policies, error }: Candidate): Group {
  const { principal, destination, host, port, context } = past
  const at = context.now.toISOString()
  return {
    workload: principal.kind === 'workload' ? principal.id.uri : null,
    network: principal.kind === 'network' ? principal.name : null,
    ...{ destination, host, port },
    before: past.policies,
    after: policies,
    error,
    sessions: 1,
    firstId: past.id,
    firstAt: at,
    lastAt: at,
  }
}
