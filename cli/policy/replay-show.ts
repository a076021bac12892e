// A replay as text: what would be refused, what would be allowed, and what could not be asked about. Ids and names come
// from audit files, which anybody may have written.
import { oneLine } from './explain-show.ts'
import type { Changes, Group, Replay } from './tally.ts'

const MAX_SHOWN = 50

/** Ends with a line break. */
export function replayText({ compared, refused, allowed, skipped }: Replay): string {
  const lines = [
    `${compared} sessions compared: ${refused.sessions} would be refused, ${allowed.sessions} newly allowed.`,
    ...section('Would be refused:', refused),
    ...section('Would be newly allowed:', allowed),
    '',
    `Skipped: ${skipped.undecided} sessions without a decision, ${skipped.destinationGone} to no destination of this configuration, ${skipped.otherEvents} other events, ${skipped.unreadable} lines that cannot be read.`,
  ]
  return `${lines.join('\n')}\n`
}

function section(title: string, { sessions, groups, notNamed }: Changes): readonly string[] {
  if (sessions === 0) return []
  const shown = groups.slice(0, MAX_SHOWN)
  const rest = sessions - shown.reduce((sum, group) => sum + group.sessions, 0)
  const more =
    rest === 0 ? [] : [`  and ${rest} more sessions (--json has ${notNamed === 0 ? 'all' : groups.length})`]
  return ['', title, ...shown.map(line), ...more]
}

function line(group: Group): string {
  const { workload, network, destination, host, port, before, after, error, sessions, firstId, firstAt } =
    group
  const who = workload ?? `network ${network}`
  const by = (policies: readonly string[]) => (policies.length === 0 ? 'no policy' : policies.join(', '))
  const failed = error === null ? '' : `; ${error}`
  return `  ${sessions} × ${oneLine(`${who} → ${destination} (${host}:${port}): then ${by(before)}, now ${by(after)}${failed}; first ${firstId} at ${firstAt}`)}`
}
