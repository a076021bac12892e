// Which endpoint each live session of PostgreSQL was dialled to, by its process id and secret (BackendKeyData). A
// CancelRequest comes on a connection of its own and means a process of one server: behind a name with several, another
// connection to that name could reach another server. Keys are kept as digests, and no longer than their sessions.
import { createHash } from 'node:crypto'

/** Sessions of one destination that can be cancelled; past it the oldest cannot. */
const MAX_KEYS = 20_000

/** What a session was allowed to reach: a key is looked up only by who may reach the same. */
export interface CancelScope {
  readonly destination: string
  readonly host: string
  readonly port: number
}

export class CancelKeys {
  readonly #byDestination = new Map<string, Map<string, { readonly address: string }>>()
  readonly #max: number

  constructor(max = MAX_KEYS) {
    this.#max = max
  }

  /** `key`: process id and secret. Call what it returns when the session is over. */
  remember(scope: CancelScope, key: Buffer, address: string): () => void {
    const { destination } = scope
    const keys = this.#byDestination.get(destination) ?? new Map<string, { readonly address: string }>()
    this.#byDestination.set(destination, keys)
    const id = digest(scope, key)
    const entry = { address }
    keys.delete(id)
    keys.set(id, entry)
    if (keys.size > this.#max) {
      for (const oldest of keys.keys()) {
        keys.delete(oldest)
        break
      }
    }
    return () => {
      if (keys.get(id) !== entry) return
      keys.delete(id)
      if (keys.size === 0 && this.#byDestination.get(destination) === keys) {
        this.#byDestination.delete(destination)
      }
    }
  }

  /** The endpoint; null where no live session has this key. */
  find(scope: CancelScope, key: Buffer): string | null {
    return this.#byDestination.get(scope.destination)?.get(digest(scope, key))?.address ?? null
  }
}

function digest({ host, port }: CancelScope, key: Buffer): string {
  return createHash('sha256').update(`${host}:${port}\0`).update(key).digest('base64')
}
