// What is right and yet not what somebody can have meant: policies that never apply, and policies whose answers cannot be
// kept. A warning refuses nothing.
import type { Fault } from '../../common/fault.ts'
import type { Known } from './compile.ts'
import { uncachedReads } from './decide.ts'
import type { NamedPolicy } from './rules.ts'

export function warningsOf(policies: readonly NamedPolicy[], _known: Known, _now: Date): readonly Fault[] {
  const warnings: Fault[] = []
  for (const { id, json, statement } of policies) {
    const { file, line } = statement
    const warn = (message: string, remedy: string): void => {
      warnings.push({ file, line, key: null, message: `policy ${JSON.stringify(id)}: ${message}`, remedy })
    }
    const uncached = uncachedReads(json)
    if (uncached.length > 0) {
      warn(
        `reads ${uncached.map((attribute) => `context.${attribute}`).join(', ')} in another form than a comparison with literals, so that no decision that it may apply to is cached`,
        'compare with literals, as in context.now < datetime("…") or context.sourceIp.isInRange(ip("…"))',
      )
    }
  }
  return warnings
}
