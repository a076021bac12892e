// What is done and when, from a seed alone: the same seed is the same schedule, whatever the gateway answers.
import { Random } from '../fuzz/random.ts'

export const PROTOCOLS = ['h1', 'fixed', 'named', 'sni', 'passthrough', 'inner', 'h2', 'hbone'] as const
export type Protocol = (typeof PROTOCOLS)[number]

/** Of which some are hit by changes; `steady` is never. */
export const WORKLOADS = ['steady', 'denied', 'revoked', 'closed', 'rooted', 'plain'] as const
export type Workload = (typeof WORKLOADS)[number]

/** Where a session goes, by what becomes of it there. */
export const PLACES = [
  'tls',
  'mtls',
  'opaque',
  'paced',
  'tight',
  'spare',
  'refuse',
  'rude',
  'mute',
  'unknown',
] as const
export type Place = (typeof PLACES)[number]

/** How one end of a session behaves. */
export interface Script {
  /** To send, behind the header. */
  readonly bytes: number
  readonly chunk: number
  /** Milliseconds between chunks; 0 = as fast as it goes. */
  readonly pauseMs: number
  /** `late`: not at first. */
  readonly read: 'fast' | 'slow' | 'late' | 'never'
  /**
   * When all is sent: half-close; half-close only after the other's end; reset; close without waiting for the other.
   */
  readonly finish: 'end' | 'end-last' | 'reset' | 'close'
}

export interface SessionPlan {
  readonly workload: Workload
  readonly place: Place
  readonly client: Script
  readonly server: Script
  /** Milliseconds from the answer after which the client resets what still lives. */
  readonly lifeMs: number
  /** The client resets this many milliseconds after asking, whether there is an answer or not; null = it waits for one. */
  readonly abandonMs: number | null
}

export type Operation =
  | {
      readonly kind: 'session'
      readonly protocol: Exclude<Protocol, 'h2' | 'hbone'>
      readonly plan: SessionPlan
    }
  | {
      readonly kind: 'tunnels'
      readonly protocol: 'h2' | 'hbone'
      readonly workload: Workload
      readonly plans: readonly SessionPlan[]
      /** Milliseconds after which the whole connection is reset; null = it is left to end. */
      readonly killMs: number | null
    }
  | { readonly kind: 'junk'; readonly how: Junk }
  | { readonly kind: Change; readonly forMs: number; readonly fault: Fault }

/** What an operator does; all of them come in turn, in an order by chance. */
export const CHANGES = [
  'deny',
  'revoke',
  'revoke-serial',
  'distrust',
  'withdraw',
  'close-workload',
  'close-one',
  'rotate-gateway',
  'rotate-partner',
  'bad',
  'good',
] as const
export type Change = (typeof CHANGES)[number]

export const JUNK = [
  'silent',
  'garbage',
  'half-hello',
  'no-certificate',
  'stranger',
  'expired',
  'no-request',
] as const
export type Junk = (typeof JUNK)[number]

export const FAULTS = ['yaml', 'unknown-key', 'policy', 'missing-file'] as const
export type Fault = (typeof FAULTS)[number]

export interface Step {
  /** Milliseconds from the beginning of the round. */
  readonly atMs: number
  readonly operation: Operation
}

export interface RoundOptions {
  readonly ms: number
  /** Milliseconds between two steps, by and large. */
  readonly everyMs: number
  /** The same between two changes. */
  readonly changeEveryMs: number
}

/** Gives the steps of one round after the other, each in their order. */
export class Planner {
  readonly #random: Random
  #deck: Change[] = []

  constructor(seed: number) {
    this.#random = new Random(seed)
  }

  round({ ms, everyMs, changeEveryMs }: RoundOptions): readonly Step[] {
    const random = this.#random
    const steps: Step[] = []
    for (let atMs = 0; atMs < ms; atMs += 1 + random.below(2 * everyMs))
      steps.push({ atMs, operation: planTraffic(random) })
    for (let atMs = random.below(changeEveryMs); atMs < ms; atMs += 1 + random.below(2 * changeEveryMs))
      steps.push({ atMs, operation: this.#change() })
    return steps.toSorted((a, b) => a.atMs - b.atMs)
  }

  #change(): Operation {
    if (this.#deck.length === 0) this.#deck = shuffled(this.#random, CHANGES)
    const kind = this.#deck.pop() ?? 'good'
    return { kind, forMs: 200 + this.#random.below(1_500), fault: this.#random.pick(FAULTS) }
  }
}

function shuffled<T>(random: Random, list: readonly T[]): T[] {
  const left = [...list]
  return list.flatMap(() => left.splice(random.below(left.length), 1))
}

function planTraffic(random: Random): Operation {
  const dice = random.below(100)
  if (dice < 8) return { kind: 'junk', how: random.pick(JUNK) }
  if (dice < 20) return planTunnels(random)
  const protocol = random.pick(['h1', 'h1', 'h1', 'fixed', 'named', 'sni', 'passthrough', 'inner'] as const)
  return { kind: 'session', protocol, plan: planSession(random, protocol, random.pick(WORKLOADS)) }
}

function planTunnels(random: Random): Operation {
  const protocol = random.pick(['h2', 'h2', 'hbone'] as const)
  const workload = random.pick(WORKLOADS)
  const count = random.pick([1, 2, 4, 8, 16])
  const plans = Array.from({ length: count }, () => planSession(random, protocol, workload))
  return {
    kind: 'tunnels',
    protocol,
    workload,
    plans,
    killMs: random.below(5) === 0 ? random.below(800) : null,
  }
}

function planSession(random: Random, protocol: Protocol, workload: Workload): SessionPlan {
  const kind = random.pick(KINDS)
  const never = random.pick(['client', 'server'] as const)
  return {
    workload,
    place: placeOf(random, protocol),
    client: kind === 'stall' ? planStall(random, never === 'client') : planScript(random, kind),
    server: kind === 'stall' ? planStall(random, never === 'server') : planScript(random, kind),
    lifeMs: { plain: 15_000, bulk: 15_000, abandon: 15_000, long: 5_000, stall: 500 + random.below(2_500) }[
      kind
    ],
    abandonMs: kind === 'abandon' ? random.below(12) : null,
  }
}

type Kind = 'plain' | 'bulk' | 'long' | 'stall' | 'abandon'
const KINDS = [
  ...(['plain', 'plain', 'plain', 'plain', 'plain', 'plain', 'bulk'] as const),
  ...(['long', 'long', 'stall', 'abandon'] as const),
] as const

/** More than any number of buffers between the two may hold. */
const FLOOD_BYTES = 32 * 1024 * 1024

function planStall(random: Random, never: boolean): Script {
  const common = { chunk: 64 * KIB, pauseMs: 0, finish: 'end' } as const
  if (never) return { ...common, bytes: random.below(1_000), read: 'never' }
  return { ...common, bytes: FLOOD_BYTES, read: 'fast' }
}

function placeOf(random: Random, protocol: Protocol): Place {
  if (protocol === 'fixed') return 'opaque'
  if (protocol === 'named' || protocol === 'sni' || protocol === 'passthrough' || protocol === 'inner')
    return 'tls'
  return random.pick(
    random.below(6) === 0
      ? (['refuse', 'rude', 'mute', 'unknown', 'spare'] as const)
      : (['tls', 'tls', 'mtls', 'mtls', 'opaque', 'paced', 'tight', 'spare'] as const),
  )
}

const KIB = 1024

function planScript(random: Random, kind: Exclude<Kind, 'stall'>): Script {
  const finish = random.pick(['end', 'end', 'end', 'end-last', 'reset', 'close'] as const)
  if (kind === 'bulk') {
    const bytes = 256 * KIB + random.below(1_500 * KIB)
    return { bytes, chunk: 64 * KIB, pauseMs: 0, read: random.pick(['fast', 'slow']), finish }
  }
  if (kind === 'long') {
    const bytes = 200 + random.below(2_000)
    return { bytes, chunk: 50, pauseMs: 20 + random.below(100), read: 'fast', finish }
  }
  const bytes = random.pick([0, 1, 100, 5_000, 70_000, 200_000])
  const chunk = random.pick([100, 1_400, 16_384, 65_000])
  return { bytes, chunk, pauseMs: 0, read: random.pick(['fast', 'fast', 'slow']), finish }
}
