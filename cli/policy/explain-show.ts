// An explanation as text for a terminal: who asks for what, the answer and its policies, and what is missing.
import type { PolicyDescription } from '../../gateway/policy/describe.ts'
import { type ExplainedPolicy, unmetOf } from '../../gateway/policy/explain.ts'
import type { Explained } from './explain.ts'

/** Ends with a line break. */
export function explanationText(explained: Explained): string {
  const { asked, destination, target, decidedBy, nearest, recheckAt, code } = explained
  const who = asked.workload ?? `network ${asked.network}`
  const lines = [
    `${who} from ${asked.sourceIp}, by listener ${asked.listener}, asks for ${asked.host}:${asked.port} at ${asked.at}`,
  ]
  if (destination !== null) {
    const tags = destination.tags.length === 0 ? '' : `, tags ${destination.tags.join(', ')}`
    const meant = target === null ? '' : `, which means ${target.host}:${target.port}`
    lines.push(`destination ${destination.name}${tags}${meant}`)
  }
  lines.push('', verdict(explained), ...decidedBy.map((policy) => `  ${titleOf(policy)}`))
  if (code === 'policy-error' && explained.error !== null) lines.push(`  ${explained.error}`)
  if (nearest.length > 0) {
    lines.push('', 'Nearest permits, and what would have to be true for each:')
    for (const policy of nearest) lines.push(`  ${titleOf(policy)}`, ...missing(policy))
  }
  if (recheckAt !== null) lines.push('', `Time may change this answer at ${recheckAt}.`)
  return `${lines.join('\n')}\n`
}

function verdict({ result, code, mode, decidedBy }: Explained): string {
  if (result === 'allow') return 'ALLOWED by'
  if (code === 'destination-unknown')
    return 'DENIED: no destination of the configuration has this host and port'
  if (code === 'policy-error')
    return decidedBy.length === 0 ? 'DENIED: policy failed' : 'DENIED: a policy failed'
  const why = decidedBy.length === 0 ? 'no permit applies' : 'forbidden by'
  return mode === 'report' ? `LET THROUGH in mode report, and would be denied: ${why}` : `DENIED: ${why}`
}

/** `payments-to-bank (policy.cedar:3; owner payments; ticket SEC-123; reason …)`. */
export function titleOf({ id, file, line, owner, ticket, reason }: PolicyDescription): string {
  const notes = [
    `${file}:${line}`,
    ...(owner === null ? [] : [`owner ${owner}`]),
    ...(ticket === null ? [] : [`ticket ${ticket}`]),
    ...(reason === null ? [] : [`reason: ${reason}`]),
  ]
  return `${id} (${oneLine(notes.join('; '))})`
}

function missing({ clauses }: ExplainedPolicy): readonly string[] {
  return unmetOf(clauses).map(({ part, text, met, error }) => {
    const not = part === 'unless' ? 'not: ' : ''
    return `    ${not}${text}${met === null && error !== null ? `   (cannot be told: ${oneLine(error)})` : ''}`
  })
}

/** Annotations may hold anything that a string of Cedar may. */
export function oneLine(text: string): string {
  return text.replaceAll(/\p{C}/gu, ' ')
}
