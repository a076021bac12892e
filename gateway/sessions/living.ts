// Keeps authorisation true while sessions live (promise 4): whenever something changes, or a moment comes, each session is
// judged again, in slices that leave the event loop to the relay, and what is no longer allowed is closed. What a
// revocation names is closed before any other is looked at.
import { parseSpiffeId } from '../../spiffe/id.ts'
import type { Identified } from '../listeners/identify.ts'
import { describeRevocation, type RevocationList, type RevocationQuestion } from '../revocations/list.ts'
import { earlier, type JudgeAgain, type Refusal, type Verdict } from './judge-again.ts'
import { type LiveSession, principalOf } from './live-session.ts'
import { Moments } from './moments.ts'
import type { IndexName, SessionRegistry } from './registry.ts'
import type { Renewals } from './renewals.ts'

/** Of the event loop at a time; then relays have their turn. */
const SLICE_MS = 8
/** In one slice: what a closed session has left to do (its record, its sockets) comes after the slice. */
const MAX_CLOSED_PER_SLICE = 256

/** How fast sessions that were hit by a roll-over are closed: each comes back with a handshake. */
const MS_PER_CLOSE = 10
/**
 * Where a roll-over hits many at once, over how long they are spread. The second is what a changed trust bundle may take
 * in all.
 */
const SPREAD_MS: Readonly<Partial<Record<Refusal['code'], number>>> = {
  'session-trust-removed': 700,
  'session-svid-expired': 30_000,
}

/** What a session was judged by before it opened. */
export interface Judged {
  readonly generation: number
  /** Of the decision. */
  readonly recheckAt: Date | null
}

export interface LivingOptions {
  readonly registry: SessionRegistry
  readonly judge: JudgeAgain
  readonly renewals: Renewals
  readonly now: () => Date
  /** From 0 to 1. */
  readonly random: () => number
  readonly onJudged?: (result: 'kept' | 'closed') => void
  /** For faults of Sallyport itself. */
  readonly onInternalError: (error: unknown, sessionId: string) => void
  /** Milliseconds that only grow; default that of the process. */
  readonly monotonic?: () => number
}

export class Living {
  readonly #options: LivingOptions
  readonly #monotonic: () => number
  readonly #moments: Moments<LiveSession>
  /** To be closed before any is judged, with why. */
  readonly #revoked = new Map<LiveSession, Refusal>()
  /** To be judged. */
  readonly #waiting = new Set<LiveSession>()
  /** Refused, and spared until its turn comes. */
  readonly #spared = new Map<LiveSession, NodeJS.Timeout>()
  /** Found in the round that is under way. */
  #hit: { readonly session: LiveSession; readonly refusal: Refusal }[] = []
  #round: NodeJS.Immediate | null = null
  #generation = 0

  constructor(options: LivingOptions) {
    this.#options = options
    this.#monotonic = options.monotonic ?? (() => performance.now())
    this.#moments = new Moments({ now: options.now, onDue: (due) => this.#enqueue(due) })
    options.registry.onDelete((session) => this.#forget(session))
  }

  /** Grows with each change of anything that sessions are judged by. */
  get generation(): number {
    return this.#generation
  }

  /** Somebody was let in: where his SVID is newer than that of open sessions of his, those live on by it. */
  accepted({ principal, expiresAt }: Identified): void {
    if (principal.kind !== 'workload' || expiresAt === null) return
    const { registry, renewals, now } = this.#options
    const { uri } = principal.id
    // Nobody else's is remembered: who has no session has nothing to live on.
    if (registry.count('principal', uri) === 0) return
    renewals.accepted(uri, expiresAt.getTime(), now().getTime())
  }

  /** Sessions that wait to be judged or closed. */
  get waiting(): number {
    return this.#waiting.size + this.#revoked.size
  }

  /** Something that sessions are judged by has changed. */
  changed(): void {
    this.#generation += 1
    this.#options.judge.fresh()
    this.#enqueue(this.#options.registry.all())
  }

  /** Entries that are newly in force. Only what they name is looked at. */
  revoked(added: RevocationList): void {
    this.#generation += 1
    if (added.entries.length === 0) return
    const { registry, now } = this.#options
    for (const [index, questionOf] of Object.entries(QUESTIONS)) {
      for (const key of registry.keys(index as IndexName)) {
        const found = added.find(questionOf(key), now())
        if (found === null) continue
        const refusal = { code: found.code, detail: describeRevocation(found.entry) }
        this.end(registry.by(index as IndexName, key), refusal)
      }
    }
  }

  /**
   * Why a session that is about to open may not; null where it may. To be asked in the turn in which it opens: what it was
   * judged by may have changed while the way out was opened.
   */
  opened(session: LiveSession, { generation, recheckAt }: Judged): Refusal | null {
    if (generation !== this.#generation) return this.#judge(session)
    const { identity, destination } = session.grounds
    const expiresAt = destination.session.atExpiry === 'keep' ? null : identity.expiresAt
    this.#moments.set(session, earlier(recheckAt, expiresAt))
    return null
  }

  #judge(session: LiveSession): Refusal | null {
    const { refusal, recheckAt, destination } = this.#ask(session)
    if (refusal !== null) return refusal
    if (destination !== null) session.grounds = { ...session.grounds, destination }
    this.#moments.set(session, recheckAt)
    return null
  }

  /** Security: what cannot be judged is not allowed. */
  #ask(session: LiveSession): Verdict {
    try {
      return this.#options.judge.judge(session.grounds)
    } catch (error) {
      this.#options.onInternalError(error, session.id)
      return { refusal: { code: 'session-internal-error', detail: null }, recheckAt: null, destination: null }
    }
  }

  /** Closes those, a few at a time. */
  end(sessions: Iterable<LiveSession>, refusal: Refusal): void {
    for (const session of sessions) {
      if (!session.over && !this.#revoked.has(session)) this.#revoked.set(session, refusal)
    }
    this.#schedule()
  }

  close(): void {
    this.#moments.close()
    if (this.#round !== null) clearImmediate(this.#round)
    for (const timer of this.#spared.values()) clearTimeout(timer)
  }

  #enqueue(sessions: Iterable<LiveSession>): void {
    for (const session of sessions) this.#waiting.add(session)
    this.#schedule()
  }

  #schedule(): void {
    if (this.#round !== null || this.waiting === 0) return
    this.#round = setImmediate(() => {
      this.#round = null
      this.#slice()
      this.#schedule()
    })
  }

  #slice(): void {
    const end = this.#monotonic() + SLICE_MS
    let closed = 0
    for (const [session, refusal] of this.#revoked) {
      this.#end(session, refusal)
      if (++closed >= MAX_CLOSED_PER_SLICE || this.#monotonic() >= end) return
    }
    for (const session of this.#waiting) {
      this.#waiting.delete(session)
      if (this.#again(session) && ++closed >= MAX_CLOSED_PER_SLICE) break
      if (this.#monotonic() >= end) break
    }
    if (this.#waiting.size === 0) this.#spread()
  }

  /** True where it was closed. */
  #again(session: LiveSession): boolean {
    if (session.over) return false
    const refusal = this.#judge(session)
    if (refusal === null) {
      this.#options.onJudged?.('kept')
      this.#unspare(session)
      return false
    }
    if (spreadOf(session, refusal) === 0) {
      this.#end(session, refusal)
      return true
    }
    if (!this.#spared.has(session)) this.#hit.push({ session, refusal })
    return false
  }

  /** By chance, as far apart as they are many. */
  #spread(): void {
    const hit = this.#hit.splice(0)
    for (const { session, refusal } of hit) {
      // Hit twice, where something changed once more in the middle of the round: it has its turn already.
      if (!this.#options.registry.has(session.id) || this.#spared.has(session)) continue
      const window = Math.min(spreadOf(session, refusal), (hit.length - 1) * MS_PER_CLOSE)
      const timer = setTimeout(() => this.#turn(session), this.#options.random() * window)
      timer.unref()
      this.#spared.set(session, timer)
    }
  }

  /** Meanwhile it may have become allowed again: a newer SVID was shown, the root came back. */
  #turn(session: LiveSession): void {
    this.#spared.delete(session)
    if (session.over) return
    const refusal = this.#judge(session)
    if (refusal !== null) this.#end(session, refusal)
  }

  #end(session: LiveSession, { code, detail }: Refusal): void {
    this.#options.onJudged?.('closed')
    this.#forget(session)
    session.close(code, detail)
  }

  #unspare(session: LiveSession): void {
    clearTimeout(this.#spared.get(session))
    this.#spared.delete(session)
  }

  #forget(session: LiveSession): void {
    this.#revoked.delete(session)
    this.#waiting.delete(session)
    this.#unspare(session)
    this.#moments.delete(session)
    const { registry, renewals } = this.#options
    const workload = principalOf(session.grounds)
    if (registry.count('principal', workload) === 0) renewals.forget(workload)
  }
}

function spreadOf({ grounds }: LiveSession, { code }: Refusal): number {
  // `close` means at that moment.
  if (code === 'session-svid-expired' && grounds.destination.session.atExpiry === 'close') return 0
  return SPREAD_MS[code] ?? 0
}

const NOTHING: RevocationQuestion = { workload: null, serialNumber: '', tokenId: null, destination: null }

const QUESTIONS: Readonly<Record<IndexName, (key: string) => RevocationQuestion>> = {
  serialNumber: (serialNumber) => ({ ...NOTHING, serialNumber }),
  tokenId: (tokenId) => ({ ...NOTHING, tokenId }),
  principal: (key) => (key.startsWith('network:') ? NOTHING : { ...NOTHING, workload: parseSpiffeId(key) }),
  destination: (destination) => ({ ...NOTHING, destination }),
}
