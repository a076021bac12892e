// Dials the permitted addresses of a host, the next one a little later each time, and keeps the first connection that
// comes up (RFC 8305 §5). Nothing was sent yet, so trying again is safe; what fails after TCP is up is never tried again,
// since the server may have judged us by then.
import type { Socket } from 'node:net'
import { type Budget, interruption, openBudget, within } from './budget.ts'
import { type Endpoints, type Lease, SILENCE_MS } from './endpoints.ts'
import type { Progress } from './progress.ts'
import { formatEndpoint, ignoreErrors } from './sockets.ts'
import { resetSocket } from '../reset.ts'
import { type AttemptResult, type Dial, UpstreamError } from './types.ts'

/** The next address is dialled after this, while the ones before are still silent (RFC 8305 §8: 250 ms). */
export const ATTEMPT_DELAY_MS = SILENCE_MS
/** Before an address is tried again: a server that restarts refuses at once, and three tries would be over with it. */
export const PAUSE_MS = 50

export interface AttemptsOptions {
  /** Permitted, in the order to try, each once; not empty. */
  readonly addresses: readonly string[]
  readonly port: number
  /** In total, over all addresses; the addresses are gone through again where there are fewer. */
  readonly attempts: number
  readonly dial: Dial
  readonly budget: Budget
  readonly now: () => number
  readonly progress: Progress
  readonly endpoints: Endpoints
  readonly onAttempt?: (result: AttemptResult) => void
}

/**
 * The first connection that comes up; the others are reset. One address is never dialled twice at the same time. Rejects
 * with the `connect-…` error of the attempt that failed last, or `connect-breaker-open` where none could be made.
 */
export async function dialRacing(options: AttemptsOptions): Promise<Socket> {
  return new Race(options).run()
}

interface Candidate {
  readonly address: string
  tries: number
  /** When it may be tried again. */
  readyAt: number
  /** While it is dialled. */
  flight: Flight | null
}

interface Flight {
  readonly lease: Lease
  readonly endpoint: string
  readonly startedAt: number
  /** Its time; cancelled where it is decided without it. */
  readonly share: Budget
}

/** Without a reason of ours each `abort` would make a DOMException with its stack. Nobody is told of it. */
const DECIDED = new Error('the race is over')

class Race {
  readonly #options: AttemptsOptions
  readonly #candidates: readonly Candidate[]
  readonly #result = Promise.withResolvers<Socket>()
  #timer: NodeJS.Timeout | undefined
  #made = 0
  #decided = false
  #last: UpstreamError | null = null

  constructor(options: AttemptsOptions) {
    this.#options = options
    this.#candidates = options.addresses.map((address) => ({ address, tries: 0, readyAt: 0, flight: null }))
  }

  async run(): Promise<Socket> {
    const { signal } = this.#options.budget
    if (signal.aborted) throw interruption(signal, 'connect-timeout')
    const onAbort = (): void => this.#interrupted(signal)
    signal.addEventListener('abort', onAbort, { once: true })
    this.#advance()
    try {
      return await this.#result.promise
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
  }

  /** Starts what is to be started now, and sees to it that it is called again when the next one is. */
  #advance(): void {
    clearTimeout(this.#timer)
    // The budget's own signal is about to end it.
    if (this.#options.budget.remainingMs() === 0) return
    const next = this.#next()
    const waitMs = next === null ? null : Math.max(0, next.readyAt - this.#options.now())
    if (next !== null && waitMs === 0) {
      const endpoint = { address: next.address, port: this.#options.port }
      const lease = this.#options.endpoints.begin(endpoint)
      if (lease === null) {
        next.tries = Number.POSITIVE_INFINITY
        return this.#again(0)
      }
      void this.#fly(next, lease)
      // Where no other can be dialled meanwhile, the end of this one is what goes on.
      if (this.#next() !== null) this.#again(ATTEMPT_DELAY_MS)
      return
    }
    if (waitMs !== null) this.#again(waitMs)
    else if (this.#candidates.every(({ flight }) => flight === null)) this.#exhausted()
  }

  #again(waitMs: number): void {
    if (waitMs === 0) this.#advance()
    else this.#timer = setTimeout(() => this.#advance(), waitMs)
  }

  /** Of those not being dialled the one with the fewest tries, in the given order. */
  #next(): Candidate | null {
    if (this.#made >= this.#options.attempts) return null
    let best: Candidate | null = null
    for (const other of this.#candidates) {
      if (other.flight !== null || !Number.isFinite(other.tries)) continue
      if (best === null || other.tries < best.tries) best = other
    }
    return best
  }

  async #fly(candidate: Candidate, lease: Lease): Promise<void> {
    const { budget, dial, now, port, attempts, progress } = this.#options
    const { address } = candidate
    const left = Math.ceil((attempts - this.#made) / this.#candidates.length)
    // An address that is to be tried again has a share of the time alone: its silence must leave some for the next try.
    using share = openBudget(budget.remainingMs() / left, null, now)
    const flight = { lease, endpoint: formatEndpoint({ address, port }), startedAt: now(), share }
    candidate.flight = flight
    candidate.tries += 1
    this.#made += 1
    progress.facts.attempts = this.#made
    progress.facts.address = flight.endpoint
    try {
      const raw = await within(
        share.signal,
        'connect-timeout',
        (signal) => dial({ address, port }, signal),
        discard,
      )
      if (this.#decided) discard(raw)
      else this.#won(candidate, flight, raw)
    } catch (error) {
      if (!this.#decided) this.#failed(candidate, flight, error)
    }
  }

  #won(candidate: Candidate, flight: Flight, raw: Socket): void {
    ignoreErrors(raw)
    this.#land(candidate, flight, 'up')
    flight.lease.up()
    this.#options.progress.facts.address = flight.endpoint
    this.#decide('lost')
    this.#result.resolve(raw)
  }

  #failed(candidate: Candidate, flight: Flight, error: unknown): void {
    if (!(error instanceof UpstreamError) || !error.code.startsWith('connect-')) {
      this.#land(candidate, flight, error instanceof UpstreamError ? error.code : 'session-internal-error')
      flight.lease.abandoned()
      this.#decide('abandoned')
      return this.#result.reject(error)
    }
    this.#land(candidate, flight, error.code)
    flight.lease.failed(error.code)
    candidate.readyAt = this.#options.now() + PAUSE_MS
    this.#last = error
    this.#options.progress.facts.address = flight.endpoint
    this.#advance()
  }

  /** The client went away, or the time of everything together is over. */
  #interrupted(signal: AbortSignal): void {
    const error = interruption(signal, 'connect-timeout')
    this.#decide(error.code === 'connect-timeout' ? error.code : 'abandoned')
    this.#result.reject(error)
  }

  #exhausted(): void {
    this.#decide('abandoned')
    this.#result.reject(this.#last ?? this.#breakerOpen())
  }

  #breakerOpen(): UpstreamError {
    const { addresses, port } = this.#options
    const [first = ''] = addresses
    const others = addresses.length > 1 ? ` and ${addresses.length - 1} more` : ''
    const endpoint = formatEndpoint({ address: first, port })
    return new UpstreamError(
      'connect-breaker-open',
      `${endpoint}${others}: failed again and again; being probed`,
    )
  }

  /** Ends everything that is still under way. */
  #decide(fate: 'lost' | 'abandoned' | 'connect-timeout'): void {
    clearTimeout(this.#timer)
    this.#decided = true
    for (const candidate of this.#candidates) {
      const { flight } = candidate
      if (flight === null) continue
      const waitedMs = this.#land(candidate, flight, fate)
      // Cut off early, a silence says nothing: resolving may have used up the time.
      if (fate === 'lost') flight.lease.lost(waitedMs)
      else if (fate === 'connect-timeout' && waitedMs >= SILENCE_MS) flight.lease.failed(fate)
      else flight.lease.abandoned()
      flight.share.cancel(DECIDED)
    }
  }

  /** Writes down how an attempt ended; how long it took, in milliseconds. */
  #land(candidate: Candidate, { endpoint, startedAt }: Flight, result: AttemptResult): number {
    const { now, progress, onAttempt } = this.#options
    const ms = now() - startedAt
    candidate.flight = null
    progress.trace.attempts.push({ endpoint, result, ms })
    onAttempt?.(result)
    return ms
  }
}

function discard(late: Socket): void {
  ignoreErrors(late)
  resetSocket(late)
}
