// What a policy says about itself: the annotations that are shown wherever a decision is, and where it stands.
import type { NamedPolicy } from './rules.ts'

export interface PolicyDescription {
  readonly id: string
  readonly effect: 'permit' | 'forbid'
  readonly owner: string | null
  readonly ticket: string | null
  readonly reason: string | null
  readonly file: string
  /** 1-based. */
  readonly line: number
}

export function describePolicy({ id, json, statement }: NamedPolicy): PolicyDescription {
  const annotation = (name: string): string | null => json.annotations?.[name] ?? null
  return {
    id,
    effect: json.effect,
    owner: annotation('owner'),
    ticket: annotation('ticket'),
    reason: annotation('reason'),
    file: statement.file,
    line: statement.line,
  }
}
