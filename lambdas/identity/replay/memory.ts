// The replay store of one process. Bounded, and full means refusal: to forget an entry early would be to let a used
// token in again.
import { SallyportError } from '../../../common/errors.ts'
import type { ReplayEntry, ReplayStore } from './store.ts'

export const MAX_ENTRIES = 100_000

export class ReplayStoreError extends SallyportError<'replay-store-full'> {}

export interface MemoryReplayOptions {
  readonly clock: () => Date
  readonly maxEntries?: number
}

/** Entries past `keepUntil` count as absent and are removed when room is needed. */
export function createMemoryReplayStore(options: MemoryReplayOptions): ReplayStore {
  const entries = new Map<string, ReplayEntry>()
  const maxEntries = options.maxEntries ?? MAX_ENTRIES

  function sweep(now: number): void {
    for (const [id, entry] of entries) if (entry.keepUntil.getTime() <= now) entries.delete(id)
  }

  function put(entry: ReplayEntry): 'stored' | 'same-binding' | 'other-binding' {
    const now = options.clock().getTime()
    const found = entries.get(entry.id)
    if (found !== undefined && found.keepUntil.getTime() > now) {
      return found.binding === entry.binding ? 'same-binding' : 'other-binding'
    }
    if (entries.size >= maxEntries) sweep(now)
    if (entries.size >= maxEntries) {
      throw new ReplayStoreError('replay-store-full', `${maxEntries} tokens are remembered, no more fit`)
    }
    entries.set(entry.id, entry)
    return 'stored'
  }

  function peek(id: string): string | null {
    const found = entries.get(id)
    return found !== undefined && found.keepUntil.getTime() > options.clock().getTime() ? found.binding : null
  }

  // No await inside: look-up and write happen in one turn, so two parallel requests cannot both find nothing.
  return { put: async (entry) => put(entry), peek: async (id) => peek(id) }
}
