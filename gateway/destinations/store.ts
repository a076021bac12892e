// The destinations as they are now. Each is an immutable value with its certificates and roots in it; what changes is
// replaced by another value, so that a session goes on with the one that it was judged by, and whatever was derived from
// the old one (TLS contexts, sessions to resume) can never be taken for the new one's.
import type { Destination } from '../config/types.ts'

export interface DestinationStore {
  current(): readonly Destination[]
  /** Called with each replacement. */
  onChange(listener: (destinations: readonly Destination[]) => void): void
  /** Those that did not change keep their identity. */
  replace(destinations: readonly Destination[]): void
  /** What is compiled from the destinations, compiled anew when they were replaced. */
  view<T>(compile: (destinations: readonly Destination[]) => T): () => T
}

export function createDestinationStore(initial: readonly Destination[]): DestinationStore {
  let destinations = initial
  const listeners: ((destinations: readonly Destination[]) => void)[] = []
  return {
    current: () => destinations,
    onChange: (listener) => void listeners.push(listener),
    replace(next) {
      destinations = next
      for (const listener of listeners) listener(next)
    },
    view(compile) {
      let of = destinations
      let value = compile(of)
      return () => {
        if (of !== destinations) {
          of = destinations
          value = compile(of)
        }
        return value
      }
    },
  }
}
