// The CA document between requests: read at most every minute, once for all who ask, and the last good one where a read
// fails. A document with a lower sequence than before is a failure too: it would bring back what was removed.
import { type AuthorityLog, messageOf } from '../log.ts'
import { type AuthorityDocument, AuthorityError } from './document.ts'
import { type Authority, type AuthorityState, buildAuthorityState } from './state.ts'

export const REREAD_MS = 60_000
/** After a failure: often enough to end it soon, seldom enough not to add to it. */
const RETRY_MS = 5_000

export interface CachedAuthorityOptions {
  /** @param first whether nothing was read yet. @throws AuthorityError */
  readonly read: (first: boolean) => Promise<AuthorityDocument>
  readonly trustDomain: string
  readonly clock: () => Date
  readonly log: AuthorityLog
}

class CachedAuthority implements Authority {
  readonly #options: CachedAuthorityOptions
  #state: AuthorityState | null = null
  #readAt = new Date(0)
  #nextAt = 0
  #askedAt = 0
  #pending: Promise<AuthorityState> | null = null

  constructor(options: CachedAuthorityOptions) {
    this.#options = options
  }

  readAt(): Date {
    return this.#readAt
  }

  current(): Promise<AuthorityState> {
    const now = this.#options.clock().getTime()
    // A clock that was set back must not keep an old document for as long as it was set back.
    const waits = now >= this.#askedAt && now < this.#nextAt
    if (this.#state !== null && waits) return Promise.resolve(this.#state)
    this.#pending ??= this.#refresh(now).finally(() => {
      this.#pending = null
    })
    return this.#pending
  }

  async #refresh(now: number): Promise<AuthorityState> {
    this.#askedAt = now
    const known = this.#state
    try {
      this.#state = await this.#read(known)
      this.#readAt = new Date(now)
      this.#nextAt = now + REREAD_MS
      return this.#state
    } catch (error) {
      this.#nextAt = now + RETRY_MS
      if (known === null) throw error
      // The last good one goes on, until its issuing CA ends.
      this.#options.log({ event: 'authority.read-failed', level: 'error', reason: messageOf(error) })
      return known
    }
  }

  async #read(known: AuthorityState | null): Promise<AuthorityState> {
    const { read, trustDomain } = this.#options
    const state = await buildAuthorityState(await read(known === null), trustDomain)
    if ((state.bundle.sequence ?? 0) < (known?.bundle.sequence ?? 0)) {
      throw new AuthorityError('authority-went-back', 'the CA document has a lower sequence than before')
    }
    return state
  }
}

/** An authority over whatever reads its document. Nothing is read before the first `current()`. */
export function createCachedAuthority(options: CachedAuthorityOptions): Authority {
  return new CachedAuthority(options)
}
