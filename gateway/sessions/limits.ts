// How many sessions there may be, how fast new ones may come and how fast bytes may pass: for the process, for each
// destination, and for each workload at a destination. Asked after policy and before anything is dialled. What is kept
// is bounded by the sessions that live and the workloads that asked within the last second.
import type { DestinationLimits } from '../config/types.ts'
import type { Refusal } from './judge-again.ts'
import { Flow, type Pace } from './flow.ts'
import { ByteBucket, StartBucket } from './token-bucket.ts'

export interface Limited {
  readonly name: string
  readonly limits: DestinationLimits | null
}

/** A place among the live sessions. */
export interface Lease {
  readonly pace: { readonly sent: Pace; readonly received: Pace }
  /** No byte moves any more: another one may come in its place at the destination, and of the workload. */
  leave(): void
  /** To be called once, when the session is over and its sockets are closed: the process can afford another one. */
  release(): void
}

export interface LimitsOptions {
  /** Sessions that the process may have. */
  readonly maxSessions: number
  /** Milliseconds that only grow. */
  readonly now: () => number
}

/** After that time a bucket of beginnings is full again, and nothing need be remembered. */
const FULL_AGAIN_MS = 1_000

export class SessionLimits {
  readonly #options: LimitsOptions
  readonly #destinations = new Map<string, DestinationShare>()
  #live = 0

  constructor(options: LimitsOptions) {
    this.#options = options
  }

  /** Live sessions. */
  get live(): number {
    return this.#live
  }

  /** Workloads that are remembered, at all destinations together. */
  get remembered(): number {
    let count = 0
    for (const share of this.#destinations.values()) count += share.remembered
    return count
  }

  /** Directions of sessions that are not read because they have moved more than their share. */
  get throttled(): number {
    let waiting = 0
    for (const share of this.#destinations.values()) waiting += share.throttled
    return waiting
  }

  /** `principal`: who asks, as one text. */
  admit(destination: Limited, principal: string): Lease | Refusal {
    const { maxSessions, now } = this.#options
    if (this.#live >= maxSessions) return { code: 'limit-process-sessions', detail: `${maxSessions}` }
    const share = this.#shareOf(destination)
    const workload = share.workload(principal, now())
    const refusal = share.refuse(now()) ?? workload.refuse(now())
    if (refusal === null) {
      share.began()
      workload.began()
      this.#live += 1
    }
    share.settle(principal, workload, now())
    if (refusal !== null) return refusal
    const pace = {
      sent: new Flow(() => bucketsOf(share, workload, 'sent')),
      received: new Flow(() => bucketsOf(share, workload, 'received')),
    }
    let left = false
    const leave = () => {
      if (left) return
      left = true
      pace.sent.end()
      pace.received.end()
      share.ended()
      workload.ended()
      share.settle(principal, workload, now())
    }
    return {
      ...{ pace, leave },
      release: () => {
        this.#live -= 1
        leave()
      },
    }
  }

  /** Limits that changed count for what lives too, as far as bytes go; nobody is closed by them. */
  configure(destinations: readonly Limited[]): void {
    for (const destination of destinations) {
      this.#destinations.get(destination.name)?.configure(destination.limits)
    }
    const named = new Set(destinations.map(({ name }) => name))
    for (const [name, share] of this.#destinations) {
      if (!named.has(name) && share.live === 0) this.#destinations.delete(name)
    }
  }

  #shareOf({ name, limits }: Limited): DestinationShare {
    const known = this.#destinations.get(name)
    if (known !== undefined) return known
    const share = new DestinationShare(name, limits, this.#options.now)
    this.#destinations.set(name, share)
    return share
  }
}

type Direction = 'sent' | 'received'

const NO_BUCKETS: readonly ByteBucket[] = []

function bucketsOf(share: Share, workload: Share, direction: Direction): readonly ByteBucket[] {
  const first = share.bytes?.[direction]
  const second = workload.bytes?.[direction]
  if (first === undefined) return second === undefined ? NO_BUCKETS : [second]
  return second === undefined ? [first] : [first, second]
}

interface ShareLimits {
  readonly sessions: number | null
  readonly newPerSecond: number | null
  readonly bytesPerSecond: number | null
}

const UNLIMITED: ShareLimits = { sessions: null, newPerSecond: null, bytesPerSecond: null }

/** What one destination, or one workload at it, may have and has. */
class Share {
  bytes: Readonly<Record<Direction, ByteBucket>> | null = null
  readonly #codes: { readonly sessions: Refusal['code']; readonly starts: Refusal['code'] }
  readonly #name: string
  readonly #now: () => number
  #limits: ShareLimits = UNLIMITED
  #starts: StartBucket | null = null
  #live = 0

  constructor(
    name: string,
    codes: { readonly sessions: Refusal['code']; readonly starts: Refusal['code'] },
    now: () => number,
  ) {
    this.#name = name
    this.#codes = codes
    this.#now = now
  }

  get live(): number {
    return this.#live
  }

  get throttled(): number {
    return this.bytes === null ? 0 : this.bytes.sent.waiting + this.bytes.received.waiting
  }

  get inDebt(): boolean {
    return this.bytes !== null && (this.bytes.sent.inDebt || this.bytes.received.inDebt)
  }

  limit(limits: ShareLimits): void {
    const { newPerSecond, bytesPerSecond } = limits
    this.#limits = limits
    if (newPerSecond === null) this.#starts = null
    else if (this.#starts === null) this.#starts = new StartBucket(newPerSecond, this.#now())
    else this.#starts.configure(newPerSecond, this.#now())
    if (bytesPerSecond === null) {
      // Who waits by the old limit gets its turn soon, and is not sent into line again.
      for (const bucket of Object.values(this.bytes ?? {})) bucket.configure(Number.MAX_SAFE_INTEGER)
      this.bytes = null
    } else if (this.bytes === null) {
      const bucket = () => new ByteBucket({ perSecond: bytesPerSecond, now: this.#now })
      this.bytes = { sent: bucket(), received: bucket() }
    } else for (const bucket of Object.values(this.bytes)) bucket.configure(bytesPerSecond)
  }

  refuse(now: number): Refusal | null {
    const { sessions, newPerSecond } = this.#limits
    if (sessions !== null && this.#live >= sessions) {
      return { code: this.#codes.sessions, detail: `${this.#name}: ${sessions}` }
    }
    if (this.#starts === null || this.#starts.has(now)) return null
    return { code: this.#codes.starts, detail: `${this.#name}: ${newPerSecond} a second` }
  }

  began(): void {
    this.#live += 1
    this.#starts?.take()
  }

  ended(): void {
    this.#live -= 1
  }
}

class DestinationShare extends Share {
  readonly #destination: string
  readonly #clock: () => number
  readonly #workloads = new Map<string, Share>()
  /** Without live sessions, with the time since then; the longest first. */
  readonly #idle = new Map<string, number>()
  #configured: DestinationLimits | null = null

  constructor(destination: string, limits: DestinationLimits | null, now: () => number) {
    super(destination, { sessions: 'limit-sessions', starts: 'limit-new-sessions' }, now)
    this.#destination = destination
    this.#clock = now
    this.configure(limits)
  }

  get remembered(): number {
    return this.#workloads.size
  }

  override get throttled(): number {
    let waiting = super.throttled
    for (const workload of this.#workloads.values()) waiting += workload.throttled
    return waiting
  }

  configure(limits: DestinationLimits | null): void {
    this.#configured = limits
    this.limit(limits ?? UNLIMITED)
    for (const workload of this.#workloads.values()) workload.limit(perWorkload(limits))
  }

  workload(principal: string, now: number): Share {
    this.#forget(now)
    const known = this.#workloads.get(principal)
    if (known !== undefined) return known
    const codes = {
      sessions: 'limit-sessions-per-workload',
      starts: 'limit-new-sessions-per-workload',
    } as const
    const share = new Share(`${this.#destination}, ${principal}`, codes, this.#clock)
    share.limit(perWorkload(this.#configured))
    this.#workloads.set(principal, share)
    return share
  }

  /** After each change of what a workload has. */
  settle(principal: string, workload: Share, now: number): void {
    this.#idle.delete(principal)
    if (workload.live === 0) this.#idle.set(principal, now)
  }

  #forget(now: number): void {
    for (const [principal, since] of this.#idle) {
      if (now - since < FULL_AGAIN_MS) return
      this.#idle.delete(principal)
      // Else whoever ends and begins anew would owe nothing.
      if (this.#workloads.get(principal)?.inDebt === true) this.#idle.set(principal, now)
      else this.#workloads.delete(principal)
    }
  }
}

function perWorkload(limits: DestinationLimits | null): ShareLimits {
  if (limits === null) return UNLIMITED
  return {
    sessions: limits.sessionsPerWorkload,
    newPerSecond: limits.newPerSecondPerWorkload,
    bytesPerSecond: limits.bytesPerSecondPerWorkload,
  }
}
