// Keeps the configuration as its source has it: looks every other second, and puts what is new in force as a whole or not
// at all. What is wrong is told once, counted, and shown on the admin port; the configuration that was good stays.
import type { Logger } from 'pino'
import { type Fault, formatFault } from '../../common/fault.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import type { AcceptedConfig, AcceptResult } from './accept.ts'
import type { ConfigSource } from './source.ts'
import type { ConfigStatus } from './status.ts'

const INTERVAL_MS = 2_000

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
    try {
      const { contact, result } = await source.look({ force, keptRevocations: keptRevocations() })
      if (contact) status.contact()
      if (result !== null && !this.#stopped) await this.#take(result, force)
    } catch (error) {
      log.error({ err: error }, 'the configuration could not be looked at')
    }
  }

  async #take(result: AcceptResult, force: boolean): Promise<void> {
    if (!result.ok) return this.#complain(result.faults, force)
    const { accepted } = result
    const { config } = accepted.loaded
    const { status, log, metrics, apply } = this.#options
    const revision = { config: config.revision, policy: accepted.policy.revision }
    const same = JSON.stringify(revision) === JSON.stringify(status.revision)
    if (!same) {
      const applying = apply(accepted)
      this.#applying = applying.catch(() => {})
      const applied = await applying
      if (!applied.ok) return this.#complain(applied.faults, force)
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
