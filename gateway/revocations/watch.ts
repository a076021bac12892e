// Keeps the revocation list as its file has it: looks every other second whether it has changed, and takes the new list
// whole or not at all. A list that is gone or broken is an alarm and never an empty list: the last one stays for as long
// as the process lives.
import type { Logger } from 'pino'
import { type Fault, formatFault } from '../../common/fault.ts'
import type { RevocationReading, RevocationSource } from '../config/revocations.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import type { RevocationStore } from './store.ts'

/** A revocation counts within a second of being seen, and is to be seen soon. */
const INTERVAL_MS = 2_000

export interface RevocationWatchOptions {
  readonly source: RevocationSource
  readonly store: RevocationStore
  readonly metrics: Pick<Metrics, 'reload'>
  readonly log: Pick<Logger, 'info' | 'warn' | 'error'>
  /** The list was read, whether it is a new one or not. */
  readonly onRead: () => void
  readonly intervalMs?: number
  /** Milliseconds that only grow; default that of the process. */
  readonly monotonic?: () => number
}

export interface RevocationWatch extends AsyncDisposable {
  readonly file: string
  /** Since the list was last known to be as its source has it. */
  ageMs(): number
}

/** Watches until it is disposed of. */
export function watchRevocations(options: RevocationWatchOptions): RevocationWatch {
  const { monotonic = () => performance.now() } = options
  const watch = new Watcher(options, monotonic)
  let looking: Promise<void> | null = null
  const timer = setInterval(() => {
    looking ??= watch.look().finally(() => {
      looking = null
    })
  }, options.intervalMs ?? INTERVAL_MS)
  timer.unref()
  return {
    file: options.source.file,
    ageMs: () => monotonic() - watch.contactAt,
    async [Symbol.asyncDispose]() {
      clearInterval(timer)
      watch.stop()
      await looking
    },
  }
}

class Watcher {
  /** When the list was last known to be as its source has it. */
  contactAt: number
  readonly #options: RevocationWatchOptions
  readonly #monotonic: () => number
  #stopped = false
  #digest: string
  /** Told once, though it is found at every look. */
  #complaint: string | null = null

  constructor(options: RevocationWatchOptions, monotonic: () => number) {
    this.#options = options
    this.#monotonic = monotonic
    this.#digest = JSON.stringify(options.store.current().entries)
    this.contactAt = monotonic()
  }

  /** What is being read counts no more. */
  stop(): void {
    this.#stopped = true
  }

  /** Never rejects. */
  async look(): Promise<void> {
    try {
      const { contact, reading } = await this.#options.source.look()
      // By now another list may be in force.
      if (this.#stopped) return
      if (reading !== null) this.#take(reading)
      if (contact) this.contactAt = this.#monotonic()
    } catch (error) {
      this.#complain(error instanceof Error ? error.message : String(error))
    }
  }

  #take({ list, faults, warnings }: RevocationReading): void {
    const { source, store, log, metrics, onRead } = this.#options
    if (list === null) return this.#complain(describe(faults))
    if (this.#complaint !== null) log.info({ file: source.file }, 'the revocation list can be read again')
    this.#complaint = null
    const digest = JSON.stringify(list.entries)
    if (digest !== this.#digest) {
      this.#digest = digest
      store.replace(list)
      metrics.reload('revocations', 'applied')
      log.info({ file: source.file, entries: list.entries.length }, 'the revocation list was replaced')
      if (warnings.length > 0) log.warn({ warnings: describe(warnings) }, 'entries that revoke nothing here')
    }
    onRead()
  }

  #complain(faults: string): void {
    if (faults === this.#complaint) return
    this.#complaint = faults
    const { log, metrics, store } = this.#options
    metrics.reload('revocations', 'rejected')
    const entries = store.current().entries.length
    log.error({ faults, entries }, 'the revocation list is lost, and the last one is kept')
  }
}

function describe(faults: readonly Fault[]): string {
  return faults.map(formatFault).join('; ')
}
