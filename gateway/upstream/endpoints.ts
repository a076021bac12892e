// What the gateway has seen of endpoints (address and port) when it dialled them: whom to set aside for a while, and
// whom to spare all but one attempt at a time (the breaker of design §6). It counts TCP alone: what fails in TLS may be
// one workload's expired certificate, and must not close the way for the others.
import { LRUCache } from 'lru-cache'
import { orderEndpoints } from './endpoint-order.ts'
import { formatEndpoint } from './sockets.ts'
import type { ReasonCode } from '../audit/reasons.ts'

interface Endpoint {
  readonly address: string
  readonly port: number
}

/** The right to one attempt. Exactly one of its methods is called, once. */
export interface Lease {
  up(): void
  failed(code: ReasonCode): void
  /** Another endpoint came up first, after this one had been silent for `waitedMs`. */
  lost(waitedMs: number): void
  /** It says nothing of the endpoint: the client went away. */
  abandoned(): void
}

export interface Endpoints {
  /** The permitted addresses of a host in the order to try them now; each call moves the start on by one. */
  order(host: string, port: number, addresses: readonly string[]): readonly string[]
  /** Null where the breaker is open and another session's probe is on its way. */
  begin(endpoint: Endpoint): Lease | null
  /** How many are set aside now. */
  readonly aside: number
}

export interface EndpointsOptions {
  /** Monotonic, in milliseconds. */
  readonly now: () => number
  /** From 0 up to 1. */
  readonly random: () => number
  /** Endpoints and hosts that are remembered at most. */
  readonly max?: number
}

interface State {
  /** In a row, lost races apart. */
  failures: number
  /** How often it was set aside in a row: many sessions may find out about one failure together. */
  steps: number
  asideAt: number
  asideUntil: number
  probing: boolean
}

const MAX = 10_000
const FIRST_ASIDE_MS = 1_000
const LONGEST_ASIDE_MS = 60_000
/** Failures in a row that open the breaker (Envoy's outlier detection has 5 too). One alone is a server that restarts. */
export const BREAK_AFTER = 5
/** A silence shorter than this is a distance, not a failure: the next address is not even dialled before (RFC 8305 §8). */
export const SILENCE_MS = 250
/** Failures so long ago say nothing about today. */
const FORGET_MS = 600_000

/** The endpoint's own doing; `connect-failed` is the gateway's (no port or file left). */
const COUNTED: ReadonlySet<ReasonCode> = new Set<ReasonCode>([
  'connect-refused',
  'connect-timeout',
  'connect-reset',
  'connect-unreachable',
])

export function createEndpoints(options: EndpointsOptions): Endpoints {
  return new SeenEndpoints(options)
}

class SeenEndpoints implements Endpoints {
  readonly #now: () => number
  readonly #random: () => number
  /** Those alone that have failed since they last came up. */
  readonly #states: LRUCache<string, State>
  readonly #turns: LRUCache<string, number>

  constructor({ now, random, max = MAX }: EndpointsOptions) {
    this.#now = now
    this.#random = random
    this.#states = new LRUCache({ max })
    this.#turns = new LRUCache({ max })
  }

  get aside(): number {
    const now = this.#now()
    return [...this.#states.values()].filter(({ asideUntil }) => asideUntil > now).length
  }

  order(host: string, port: number, addresses: readonly string[]): readonly string[] {
    if (addresses.length < 2) return addresses
    // Tasks that start together do not all begin with the same address.
    const turn = this.#turns.get(host) ?? Math.floor(this.#random() * 2 ** 16)
    this.#turns.set(host, turn + 1)
    const asideUntil = (address: string): number =>
      this.#stateOf(formatEndpoint({ address, port }))?.asideUntil ?? 0
    return orderEndpoints({ addresses, asideUntil, now: this.#now(), turn })
  }

  begin(endpoint: Endpoint): Lease | null {
    const key = formatEndpoint(endpoint)
    const state = this.#stateOf(key)
    const probed = state !== undefined && state.failures >= BREAK_AFTER ? state : null
    if (probed?.probing === true) return null
    if (probed !== null) probed.probing = true
    const startedAt = this.#now()
    const end = (): void => {
      if (probed !== null) probed.probing = false
    }
    return {
      abandoned: end,
      up: () => {
        end()
        this.#states.delete(key)
      },
      failed: (code) => {
        end()
        if (COUNTED.has(code)) this.#setAside(key, startedAt, true)
      },
      lost: (waitedMs) => {
        end()
        // It puts the endpoint behind the others and is no failure to the breaker: it might have come up.
        if (waitedMs >= SILENCE_MS) this.#setAside(key, startedAt, false)
      },
    }
  }

  #stateOf(key: string): State | undefined {
    const state = this.#states.get(key)
    if (state !== undefined && this.#now() - state.asideAt < FORGET_MS) return state
    this.#states.delete(key)
    return undefined
  }

  /** `failed`: it counts towards the breaker. */
  #setAside(key: string, startedAt: number, failed: boolean): void {
    const state = this.#stateOf(key) ?? { failures: 0, steps: 0, asideAt: 0, asideUntil: 0, probing: false }
    this.#states.set(key, state)
    if (failed) state.failures += 1
    // Begun before the failure was known: a thousand sessions that wait for one dead server are one failure, not a thousand.
    if (state.steps > 0 && startedAt < state.asideAt) return
    const base = Math.min(FIRST_ASIDE_MS * 2 ** state.steps, LONGEST_ASIDE_MS)
    state.steps += 1
    state.asideAt = this.#now()
    // Down to half of it, so that tasks and sessions do not all come back at one moment.
    state.asideUntil = state.asideAt + base * (1 - this.#random() / 2)
  }
}
