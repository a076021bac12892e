// Live sessions as a table for people.
import { isObject } from './admin-client.ts'
import type { Shown } from './ask.ts'

const COLUMNS = ['ID', 'AGE', 'IDLE', 'SENT', 'RECEIVED', 'WHO', 'DESTINATION', 'UPSTREAM'] as const

/** With a column for `task` where the sessions have one. */
export function table(sessions: readonly Shown[], withTasks = false): string {
  const heading = withTasks ? ['TASK', ...COLUMNS] : COLUMNS
  const rows = [
    heading,
    ...sessions.map((one) => (withTasks ? [toCell(one['task']), ...rowOf(one)] : rowOf(one))),
  ]
  const widths = heading.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  const lines = rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  )
  return `${lines.join('\n')}\n`
}

function rowOf(session: Shown): readonly string[] {
  const { id, ageSeconds, idleSeconds, bytes, workload, network, destination, upstream } = session
  const { sent, received } = isObject(bytes) ? bytes : { sent: '', received: '' }
  const address = isObject(upstream) ? upstream['address'] : 'opening'
  const who = workload ?? `network ${String(network)}`
  const ages = [`${String(ageSeconds)}s`, `${String(idleSeconds)}s`]
  return [id, ...ages, sent, received, who, destination, address].map(toCell)
}

/** From another process: whatever it says, it moves no cursor. */
function toCell(value: unknown): string {
  if (typeof value === 'number') return String(value)
  return typeof value === 'string' ? value.replaceAll(/[^\x20-\x7e]/g, '?') : ''
}
