// Keeps the configuration as its source has it: looks every other second, and puts what is new in force as a whole or not
// at all. What is wrong is told once, counted, and shown on the admin port; the configuration that was good stays.
import type { Logger } from 'pino'
import { type Fault, formatFault } from '../../common/fault.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import type { AcceptedConfig, AcceptResult } from './accept.ts'
import type { ConfigSource } from './source.ts'
import type { ConfigStatus } from './status.ts'

const INTERVAL_MS = 2_000
/**
 * What is right and could not be put in force, because of a port, is tried again though nothing has changed: the source
 * knows of no fault. Each wait is twice the one before, since a listener that makes room at each try loses connections.
 */
const AGAIN_MS = { first: 60_000, last: 3_600_000 } as const

export type ApplyResult =
  | { readonly ok: true; readonly needsRestart: readonly string[] }
  /** Nothing has changed. */
  | { readonly ok: false; readonly faults: readonly Fault[] }

export interface ConfigWatchOptions {
  readonly source: ConfigSource
  readonly apply: (accepted: AcceptedConfig) => Promise<ApplyResult>
  readonly status: ConfigStatus
  /** The list that the gateway goes by; null = none. */
  readonly keptRevocations: () => string | null
  readonly metrics: Pick<Metrics, 'reload'>
  readonly log: Pick<Logger, 'info' | 'warn' | 'error'>
  readonly now: () => Date
  readonly intervalMs?: number
  /** Milliseconds that only grow; default that of the process. */
  readonly monotonic?: () => number
}

export interface ConfigWatch extends AsyncDisposable {
  /** Reads at once, whatever has changed; resolves when it is in force or refused. */
  reload(): Promise<void>
}

/** Watches until it is disposed of. */
export function watchConfig(options: ConfigWatchOptions): ConfigWatch {
  const watcher = new Watcher(options)
  let turn: Promise<void> = Promise.resolve()
  let looking = false
  const timer = setInterval(() => {
    if (looking) return
    looking = true
    turn = turn
      .then(() => watcher.look(false))
      .finally(() => {
        looking = false
      })
  }, options.intervalMs ?? INTERVAL_MS)
  timer.unref()
  return {
    reload() {
      turn = turn.then(() => watcher.look(true))
      return turn
    },
    async [Symbol.asyncDispose]() {
      clearInterval(timer)
      // Not for a look that waits for a secret: what it finds counts no more.
      await watcher.stop()
    },
  }
}

class Watcher {
  readonly #options: ConfigWatchOptions
  #stopped = false
  #applying: Promise<unknown> = Promise.resolve()
  /** Of the fault that was told. */
  #complaint: string | null = null
  /** When what could not be put in force is tried again, and how long that was after the try; null = there is none. */
  #again: { readonly at: number; readonly waitMs: number } | null = null

  constructor(options: ConfigWatchOptions) {
    this.#options = options
  }

  /** Resolves when nothing is being put in force. */
  async stop(): Promise<void> {
    this.#stopped = true
    await this.#applying
  }

  /** Never rejects. */
  async look(force: boolean): Promise<void> {
    if (this.#stopped) return
    const { source, status, keptRevocations, log } = this.#options
    const again = this.#again !== null && this.#monotonic() >= this.#again.at
    try {
      const options = {
        force: force || again,
        keptRevocations: keptRevocations(),
        awaitRevocations: true,
      }
      const { contact, problem, result } = await source.look(options)
      if (contact) status.contact()
      if (contact || problem !== null) this.#reached(problem)
      if (result !== null && !this.#stopped) await this.#take(result, force)
    } catch (error) {
      log.error({ err: error }, 'the configuration could not be looked at')
    }
  }

  async #take(result: AcceptResult, force: boolean): Promise<void> {
    const tried = this.#again
    this.#again = null
    if (!result.ok) return this.#complain(result.faults, force)
    const { accepted } = result
    const { config } = accepted.loaded
    const { status, log, metrics } = this.#options
    const revision = { config: config.revision, policy: accepted.policy.revision }
    const same = JSON.stringify(revision) === JSON.stringify(status.revision)
    if (!same) {
      const applying = this.#apply(accepted)
      this.#applying = applying
      const applied = await applying
      if (!applied.ok) {
        const waitMs = tried === null ? AGAIN_MS.first : Math.min(tried.waitMs * 2, AGAIN_MS.last)
        this.#again = { at: this.#monotonic() + waitMs, waitMs }
        return this.#complain(applied.faults, force)
      }
      const { needsRestart } = applied
      status.applied(revision, needsRestart)
      metrics.reload('configuration', 'applied')
      log.info({ revision }, 'a new configuration is in force')
      for (const warning of accepted.warnings) log.warn(formatFault(warning))
      if (needsRestart.length > 0) log.warn({ needsRestart }, 'these keys count after a restart alone')
    } else if (this.#complaint !== null || force) {
      log.info({ revision }, 'the configuration is the one that is in force')
    }
    this.#complaint = null
    status.fault = null
    await this.#keep(accepted)
  }

  /** Never rejects: an error of our own is a fault too, else nobody would see that what is new is not in force. */
  async #apply(accepted: AcceptedConfig): Promise<ApplyResult> {
    const { source, apply, log } = this.#options
    try {
      return await apply(accepted)
    } catch (error) {
      log.error({ err: error }, 'the configuration could not be put in force')
      const message = `could not be put in force: ${error instanceof Error ? error.message : String(error)}`
      return { ok: false, faults: [{ file: source.name, line: null, key: null, message, remedy: null }] }
    }
  }

  #monotonic(): number {
    return (this.#options.monotonic ?? (() => performance.now()))()
  }

  /** Told once for each way of not being reached. */
  #reached(problem: string | null): void {
    const { status, log } = this.#options
    if (problem === status.unreachable) return
    if (problem === null) log.info('the source of the configuration can be asked again')
    else log.error({ problem }, 'the source of the configuration cannot be asked')
    status.unreachable = problem
  }

  async #keep(accepted: AcceptedConfig): Promise<void> {
    const { source, log } = this.#options
    try {
      const said = await source.keep?.(accepted)
      if (typeof said === 'string') log.warn(said)
    } catch (error) {
      log.error({ err: error }, 'the configuration in force could not be kept for the next start')
    }
  }

  #complain(faults: readonly Fault[], force: boolean): void {
    const lines = faults.map(formatFault)
    const text = lines.join('; ')
    const { status, metrics, log, now } = this.#options
    if (text === this.#complaint && !force) return
    metrics.reload('configuration', 'rejected')
    log.error({ faults: lines }, 'the new configuration is refused, and the last one is kept')
    if (text !== this.#complaint) status.fault = { since: now(), faults: lines }
    this.#complaint = text
  }
}
