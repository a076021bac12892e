// The gateway's own identity from the authority, over the life of the process and of several configurations: fetched,
// renewed at half life, its bundle asked for again at the hint that it carries. The key is in memory alone. What cannot be
// had now is asked for again with growing pauses, and what is at hand stays: an authority that is down closes nothing.
import { setTimeout } from 'node:timers/promises'
import type { Logger } from 'pino'
import { IdentityFetchError } from '../../common/authority/errors.ts'
import type { KeyRing } from '../../common/authority/keys.ts'
import type { AuthorityFetch } from '../../common/authority/request.ts'
import { jitter, renewalDelay, retryDelay } from '../../common/authority/timing.ts'
import type { Bundle } from '../../spiffe/bundle.ts'
import { verifyOwnSvid } from '../../spiffe/own-svid.ts'
import { SvidError } from '../../spiffe/svid-error.ts'
import type { AuthoritySource } from '../config/authority.ts'
import type { IssuedIdentity } from '../config/types.ts'
import { askForBundle, askForSvid, createKeys, type JudgedSvid, judgeBundle, judgeSvid } from './ask.ts'
import { type AuthorityRequestKind, type AuthorityState, AuthorityTally } from './tally.ts'

/** Between two looks at the bundle: what `spiffe_refresh_hint` may say, and what counts without one. Milliseconds. */
const REFRESH_MS = { least: 30_000, default: 300_000, most: 3_600_000 } as const
/** The clock is looked at this often: a timer that a sleeping machine stopped would come as much too late. */
const LONGEST_SLEEP_MS = 60_000

export interface KeeperOptions {
  readonly log: Pick<Logger, 'info' | 'warn' | 'error'>
  readonly now?: () => Date
  readonly random?: () => number
  /** Rejects where the signal ends it. */
  readonly sleep?: (ms: number, signal: AbortSignal) => Promise<unknown>
  /** Between the tries of one request. */
  readonly pause?: (ms: number) => Promise<unknown>
  readonly fetch?: AuthorityFetch
}

interface Held extends IssuedIdentity, JudgedSvid {}

/** When to ask again, in milliseconds since 1970, and how often it has failed in a row. */
interface Plan {
  renewAt: number
  refreshAt: number
  failures: { svid: number; bundle: number }
}

export class IdentityKeeper implements AsyncDisposable {
  readonly #options: KeeperOptions
  readonly #now: () => Date
  readonly #tally: AuthorityTally
  #source: AuthoritySource | null = null
  #held: Held | null = null
  #version = 0
  #stop = new AbortController()
  #running: Promise<unknown> = Promise.resolve()
  #waiting: (() => void)[] = []
  #keys: Promise<KeyRing> | null = null

  constructor(options: KeeperOptions) {
    this.#options = options
    this.#now = options.now ?? (() => new Date())
    this.#tally = new AuthorityTally(this.#now)
  }

  /** What was issued last; null = nothing yet. */
  current(): IssuedIdentity | null {
    return this.#held
  }

  /** Another one after each change of the SVID or the bundle. */
  get stamp(): string {
    return String(this.#version)
  }

  /** Null where no authority is asked. */
  state(): AuthorityState | null {
    return this.#source === null ? null : this.#tally.state()
  }

  /** Asks this authority from now on; null = none. What another one issued stays until this one has. */
  follow(source: AuthoritySource | null): void {
    const same = JSON.stringify(source?.settings ?? null) === JSON.stringify(this.#source?.settings ?? null)
    this.#source = source
    if (same) return
    this.#stop.abort()
    this.#stop = new AbortController()
    if (source === null) this.#held = null
    else this.#running = Promise.all([this.#running, this.#run(this.#stop.signal)])
  }

  /** Resolves when there is an identity; rejects with the reason of a signal that comes first. */
  async untilIssued(signal?: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const stop = () => reject(signal?.reason)
    signal?.throwIfAborted()
    signal?.addEventListener('abort', stop)
    if (this.#held === null) this.#waiting.push(resolve)
    else resolve()
    await promise.finally(() => signal?.removeEventListener('abort', stop))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    await this.#running
  }

  /** Never rejects. */
  async #run(signal: AbortSignal): Promise<void> {
    const plan = { renewAt: 0, refreshAt: Number.POSITIVE_INFINITY, failures: { svid: 0, bundle: 0 } }
    // One ring for good: a token that was shown for a key may be good for no other.
    const keys = await (this.#keys ??= createKeys())
    while (!signal.aborted) {
      const wait = Math.min(plan.renewAt, plan.refreshAt) - this.#now().getTime()
      if (wait > 0) await this.#sleep(Math.min(wait, LONGEST_SLEEP_MS), signal)
      else if (plan.renewAt <= this.#now().getTime()) {
        await this.#try('svid', plan, signal, (source) => this.#renew(source, keys, plan, signal))
      } else await this.#try('bundle', plan, signal, (source) => this.#refresh(source, plan, signal))
    }
  }

  async #renew(source: AuthoritySource, keys: KeyRing, plan: Plan, signal: AbortSignal): Promise<void> {
    const issuance = await askForSvid(source, keys, this.#patience(signal))
    const bundle = await this.#bundleFor(source, signal)
    const judged = judgeSvid(issuance, bundle, this.#now())
    if (signal.aborted) return
    this.#take({ ...judged, bundle })
    const { renewAfter, keyPair, spiffeId } = judged
    plan.renewAt = this.#after(renewalDelay(renewAfter, this.#now(), this.#random()))
    this.#planRefresh(plan, bundle)
    const notAfter = keyPair.leaf.validToDate.toISOString()
    const serialNumber = keyPair.leaf.serialNumber.toLowerCase()
    const next = new Date(plan.renewAt).toISOString()
    this.#options.log.info(
      { spiffeId, serialNumber, notAfter, next },
      'the authority has issued the identity',
    )
  }

  /** One that went back is refused, and is no reason to be without a new SVID: the one that was seen before counts. */
  async #bundleFor(source: AuthoritySource, signal: AbortSignal): Promise<Bundle> {
    const text = await askForBundle(source, this.#patience(signal))
    const before = this.#held?.bundle ?? null
    try {
      return judgeBundle(text, source.settings.trustDomain, before)
    } catch (error) {
      if (before === null || !(error instanceof IdentityFetchError) || error.code !== 'bundle-went-back')
        throw error
      this.#tally.count('bundle', error.code)
      this.#options.log.error(
        { code: error.code, cause: error.message },
        'the trust bundle is kept as it was',
      )
      return before
    }
  }

  async #refresh(source: AuthoritySource, plan: Plan, signal: AbortSignal): Promise<void> {
    const text = await askForBundle(source, this.#patience(signal))
    const held = this.#held
    if (held === null || signal.aborted) return
    const bundle = judgeBundle(text, source.settings.trustDomain, held.bundle)
    this.#planRefresh(plan, bundle)
    if (!isSame(bundle, held.bundle)) this.#take({ ...held, bundle })
    if (this.#holds(held, bundle)) return
    this.#options.log.warn('the own identity leads to no root of the new trust bundle: it is renewed at once')
    plan.renewAt = 0
  }

  /** Its time apart, which is no reason to hurry: it is being renewed. */
  #holds({ chain, keyPair }: Held, bundle: Bundle): boolean {
    try {
      const now = new Date(Math.min(this.#now().getTime(), keyPair.leaf.validToDate.getTime()))
      verifyOwnSvid({ chain, bundles: [bundle], now })
      return true
    } catch (error) {
      if (error instanceof SvidError) return false
      throw error
    }
  }

  #planRefresh(plan: Plan, { refreshHintSeconds }: Bundle): void {
    const hint = refreshHintSeconds === null ? REFRESH_MS.default : refreshHintSeconds * 1000
    const within = Math.min(Math.max(hint, REFRESH_MS.least), REFRESH_MS.most)
    plan.refreshAt = this.#after(jitter(within, this.#random()))
  }

  #take(held: Held): void {
    this.#held = held
    this.#version += 1
    for (const resolve of this.#waiting.splice(0)) resolve()
  }

  async #try(
    request: AuthorityRequestKind,
    plan: Plan,
    signal: AbortSignal,
    work: (source: AuthoritySource) => Promise<void>,
  ): Promise<void> {
    try {
      // What a library does for a proof cannot be stopped; nobody waits for it either.
      if (this.#source !== null) await unlessEnded(work(this.#source), signal)
      if (signal.aborted) return
      this.#tally.count(request, 'ok')
      plan.failures[request] = 0
    } catch (error) {
      if (!signal.aborted) this.#fail(request, plan, error)
    }
  }

  #fail(request: AuthorityRequestKind, plan: Plan, error: unknown): void {
    plan.failures[request] += 1
    const next = this.#after(retryDelay(plan.failures[request], this.#random()))
    if (request === 'svid') plan.renewAt = next
    else plan.refreshAt = next
    const known = error instanceof IdentityFetchError
    const code = known ? error.code : 'internal-error'
    this.#tally.count(request, code)
    const notAfter = this.#held?.keyPair.leaf.validToDate ?? null
    const facts = {
      ...(known ? { code, cause: error.message } : { code, err: error }),
      failures: plan.failures[request],
      nextAttempt: new Date(next).toISOString(),
      ...(notAfter === null ? {} : { notAfter: notAfter.toISOString() }),
    }
    const { log } = this.#options
    if (notAfter === null) log.error(facts, 'there is no identity yet, and nobody is let in before')
    else if (request === 'bundle') log.warn(facts, 'the trust bundle is kept as it was')
    else if (notAfter > this.#now()) log.warn(facts, 'the own identity could not be renewed, and is kept')
    else log.error(facts, 'the own identity has expired and could not be renewed: workloads refuse it')
  }

  #patience(signal: AbortSignal) {
    const { pause: sleep, fetch, random } = this.#options
    return {
      signal,
      ...(sleep === undefined ? {} : { sleep }),
      ...(fetch === undefined ? {} : { fetch }),
      ...(random === undefined ? {} : { random }),
    }
  }

  async #sleep(ms: number, signal: AbortSignal): Promise<void> {
    const sleep =
      this.#options.sleep ?? ((wait: number) => setTimeout(wait, undefined, { signal, ref: false }))
    try {
      await sleep(ms, signal)
    } catch (error) {
      if (!signal.aborted) throw error
    }
  }

  #random(): number {
    return (this.#options.random ?? Math.random)()
  }

  #after(ms: number): number {
    return this.#now().getTime() + ms
  }
}

/** The same signal lives for months, so nothing is left on it. */
async function unlessEnded(work: Promise<void>, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const stop = () => resolve()
  signal.addEventListener('abort', stop)
  await Promise.race([work, promise]).finally(() => signal.removeEventListener('abort', stop))
}

function isSame(a: Bundle, b: Bundle): boolean {
  const text = ({ x509Authorities, jwtAuthorities, sequence, refreshHintSeconds }: Bundle) =>
    JSON.stringify([x509Authorities.map(String), jwtAuthorities, sequence, refreshHintSeconds])
  return text(a) === text(b)
}
