// The CA document between requests: read at most every minute, once for all who ask, and the last good one where a read
// fails. A document with a lower sequence than before is a failure too: it would bring back what was removed.
import { type AuthorityLog, messageOf } from '../log.ts'
import { type AuthorityDocument, AuthorityError } from './document.ts'
import { type Authority, buildAuthorityState } from './state.ts'

const REREAD_MS = 60_000
/** After a failure: often enough to end it soon, seldom enough not to add to it. */
const RETRY_MS = 5_000

export interface CacheOptions<State> {
  /** @param first whether nothing was read yet. @throws AuthorityError */
  readonly read: (first: boolean) => Promise<State>
  readonly sequenceOf: (state: State) => number
  readonly clock: () => Date
  readonly log: AuthorityLog
}

/** What follows from a document, of whatever kind. */
export class DocumentCache<State extends object> {
  readonly #options: CacheOptions<State>
  #state: State | null = null
  /** Of the first reading, while none was good. */
  #failure: Promise<never> | null = null
  #readAt = new Date(0)
  #nextAt = 0
  #askedAt = 0
  #pending: Promise<State> | null = null

  constructor(options: CacheOptions<State>) {
    this.#options = options
  }

  /** When the last good reading began. */
  readAt(): Date {
    return this.#readAt
  }

  current(): Promise<State> {
    const now = this.#options.clock().getTime()
    // A clock that was set back must not keep an old document for as long as it was set back.
    const waits = now >= this.#askedAt && now < this.#nextAt
    if (waits && this.#state !== null) return Promise.resolve(this.#state)
    if (waits && this.#failure !== null) return this.#failure
    this.#pending ??= this.#refresh(now).finally(() => {
      this.#pending = null
    })
    return this.#pending
  }

  async #refresh(now: number): Promise<State> {
    this.#askedAt = now
    const known = this.#state
    try {
      this.#state = await this.#read(known)
      this.#readAt = new Date(now)
      this.#nextAt = now + REREAD_MS
      return this.#state
    } catch (error) {
      this.#nextAt = now + RETRY_MS
      if (known === null) return this.#refuse(error)
      // The last good one goes on, until its issuing CA ends.
      this.#options.log({ event: 'authority.read-failed', level: 'error', reason: messageOf(error) })
      return known
    }
  }

  /** Every request asks: without a first document each would be one more reading that fails. */
  #refuse(reason: unknown): Promise<never> {
    this.#failure = Promise.reject(reason)
    // Who asks sees it; that nobody may ask again is no fault.
    this.#failure.catch(() => undefined)
    return this.#failure
  }

  async #read(known: State | null): Promise<State> {
    const { read, sequenceOf } = this.#options
    const state = await read(known === null)
    if (known !== null && sequenceOf(state) < sequenceOf(known)) {
      throw new AuthorityError('authority-went-back', 'the CA document has a lower sequence than before')
    }
    return state
  }
}

export interface CachedAuthorityOptions {
  /** @param first whether nothing was read yet. @throws AuthorityError */
  readonly read: (first: boolean) => Promise<AuthorityDocument>
  readonly trustDomain: string
  readonly clock: () => Date
  readonly log: AuthorityLog
}

/** An authority over whatever reads its document. Nothing is read before the first `current()`. */
export function createCachedAuthority({ read, trustDomain, ...options }: CachedAuthorityOptions): Authority {
  return new DocumentCache({
    ...options,
    read: async (first) => buildAuthorityState(await read(first), trustDomain),
    sequenceOf: ({ bundle }) => bundle.sequence ?? 0,
  })
}
