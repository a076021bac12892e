// The live sessions of this process. Drain, revocation and whatever else must reach open sessions, goes through here; the
// indexes find those that a revocation names without a look at the others.
import type { ReasonCode } from '../audit/reasons.ts'
import { type LiveSession, principalOf } from './live-session.ts'

/** By what sessions are found. */
export type IndexName = 'principal' | 'destination' | 'serialNumber' | 'tokenId'

export class SessionRegistry {
  readonly #live = new Map<string, LiveSession>()
  readonly #indexes: Readonly<Record<IndexName, SessionIndex>> = {
    principal: new SessionIndex((session) => principalOf(session.grounds)),
    destination: new SessionIndex(({ grounds }) => grounds.destination.name),
    serialNumber: new SessionIndex(({ grounds }) => grounds.identity.serialNumber || null),
    tokenId: new SessionIndex(({ grounds }) => grounds.identity.tokenId),
  }
  readonly #everyIndex = Object.values(this.#indexes)
  readonly #onDelete: ((session: LiveSession) => void)[] = []
  #onEmpty: (() => void)[] = []

  get size(): number {
    return this.#live.size
  }

  add(session: LiveSession): void {
    this.#live.set(session.id, session)
    for (const index of this.#everyIndex) index.add(session)
  }

  delete(id: string): void {
    const session = this.#live.get(id)
    if (session === undefined) return
    this.#live.delete(id)
    for (const index of this.#everyIndex) index.delete(session)
    for (const listener of this.#onDelete) listener(session)
    if (this.#live.size > 0) return
    for (const resolve of this.#onEmpty.splice(0)) resolve()
  }

  /** Called with each session that is over. */
  onDelete(listener: (session: LiveSession) => void): void {
    this.#onDelete.push(listener)
  }

  has(id: string): boolean {
    return this.#live.has(id)
  }

  get(id: string): LiveSession | null {
    return this.#live.get(id) ?? null
  }

  /** In the order of their opening. */
  all(): Iterable<LiveSession> {
    return this.#live.values()
  }

  /** The values of an index that any live session has. */
  keys(index: IndexName): Iterable<string> {
    return this.#indexes[index].keys()
  }

  by(index: IndexName, key: string): Iterable<LiveSession> {
    return this.#indexes[index].get(key)
  }

  count(index: IndexName, key: string): number {
    return this.#indexes[index].get(key).size
  }

  closeAll(code: ReasonCode): void {
    for (const session of [...this.#live.values()]) session.close(code)
  }

  /** Resolves at once where nothing is live, else when the last session has ended. */
  async empty(): Promise<void> {
    if (this.#live.size === 0) return
    await new Promise<void>((resolve) => this.#onEmpty.push(resolve))
  }
}

const NONE: ReadonlySet<LiveSession> = new Set()

/** What a session is found by never changes while it lives. */
class SessionIndex {
  readonly #keyOf: (session: LiveSession) => string | null
  readonly #sessions = new Map<string, Set<LiveSession>>()

  constructor(keyOf: (session: LiveSession) => string | null) {
    this.#keyOf = keyOf
  }

  add(session: LiveSession): void {
    const key = this.#keyOf(session)
    if (key === null) return
    const known = this.#sessions.get(key)
    if (known === undefined) this.#sessions.set(key, new Set([session]))
    else known.add(session)
  }

  delete(session: LiveSession): void {
    const key = this.#keyOf(session)
    const known = key === null ? undefined : this.#sessions.get(key)
    if (key === null || known === undefined) return
    known.delete(session)
    if (known.size === 0) this.#sessions.delete(key)
  }

  get(key: string): ReadonlySet<LiveSession> {
    return this.#sessions.get(key) ?? NONE
  }

  keys(): Iterable<string> {
    return this.#sessions.keys()
  }
}
