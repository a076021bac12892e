// The revocation list as it is now. Replaced as a whole; whoever judges open sessions is told what is newly revoked, so
// that those can be closed before all others are judged again.
import { isInForce, type Revocation, RevocationList, type RevocationQuestion, type Revoked } from './list.ts'

export interface RevocationChange {
  /** The entries in force that were not in force before, as a list to ask: `added.find(question, now)`. */
  readonly added: RevocationList
  /** Entries of the old list that the new one has not; nothing needs closing for them. */
  readonly removed: readonly Revocation[]
}

export interface RevocationStore {
  current(): RevocationList
  /** What revokes the attempt now. */
  find(question: RevocationQuestion): Revoked | null
  /** Called with each replacement, after it counts. */
  onChange(listener: (change: RevocationChange) => void): void
  replace(list: RevocationList): void
}

export function createRevocationStore(initial: RevocationList, now: () => Date): RevocationStore {
  let list = initial
  const listeners: ((change: RevocationChange) => void)[] = []
  return {
    current: () => list,
    find: (question) => list.find(question, now()),
    onChange: (listener) => void listeners.push(listener),
    replace(next) {
      const change = compare(list, next, now())
      list = next
      for (const listener of listeners) listener(change)
    },
  }
}

function compare(before: RevocationList, after: RevocationList, now: Date): RevocationChange {
  const inForce = (list: RevocationList) => list.entries.filter((entry) => isInForce(entry, now))
  const keyOf = ({ selector, value }: Revocation) => `${selector}:${value}`
  const old = new Set(inForce(before).map(keyOf))
  const kept = new Set(after.entries.map(keyOf))
  return {
    added: new RevocationList(inForce(after).filter((entry) => !old.has(keyOf(entry)))),
    removed: before.entries.filter((entry) => !kept.has(keyOf(entry))),
  }
}
