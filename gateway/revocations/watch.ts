// Keeps the revocation list as its file has it: looks every other second whether it has changed, and takes the new list
// whole or not at all. A list that is gone or broken is an alarm and never an empty list: the last one stays for as long
// as the process lives.
import type { Logger } from 'pino'
import { type Fault, formatFault } from '../../common/fault.ts'
import type { RevocationSource } from '../config/revocations.ts'
import { MISSING, stampOf } from '../file-stamp.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import type { RevocationStore } from './store.ts'

/** A revocation counts within a second of being seen, and is to be seen soon. */
const INTERVAL_MS = 2_000

export interface RevocationWatchOptions {
  readonly source: RevocationSource
  readonly store: RevocationStore
  readonly metrics: Pick<Metrics, 'reload'>
  readonly log: Pick<Logger, 'info' | 'warn' | 'error'>
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
  #stamp = ''
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
      const stamp = await stampOf(this.#options.source.file)
      // What changes while it is read has another stamp by then, and is read again at the next look.
      const same = stamp === this.#stamp && stamp !== MISSING
      if (same || (await this.#read())) {
        this.#stamp = stamp
        this.contactAt = this.#monotonic()
      }
    } catch (error) {
      this.#complain(error instanceof Error ? error.message : String(error))
    }
  }

  /** False where there is no list to be had. */
  async #read(): Promise<boolean> {
    const { source, store, log, metrics } = this.#options
    const { list, faults, warnings } = await source.read()
    // By now another list may be in force.
    if (this.#stopped) return true
    if (list === null) {
      this.#complain(describe(faults))
      return false
    }
    if (this.#complaint !== null) log.info({ file: source.file }, 'the revocation list can be read again')
    this.#complaint = null
    const digest = JSON.stringify(list.entries)
    if (digest === this.#digest) return true
    this.#digest = digest
    store.replace(list)
    metrics.reload('revocations', 'applied')
    log.info({ file: source.file, entries: list.entries.length }, 'the revocation list was replaced')
    if (warnings.length > 0) log.warn({ warnings: describe(warnings) }, 'entries that revoke nothing here')
    return true
  }

  #complain(faults: string): void {
    if (faults === this.#complaint) return
    this.#complaint = faults
    // No word of it may be an old stamp's when the same bytes come back.
    this.#stamp = ''
    const { log, metrics, store } = this.#options
    metrics.reload('revocations', 'rejected')
    const entries = store.current().entries.length
    log.error({ faults, entries }, 'the revocation list is lost, and the last one is kept')
  }
}

function describe(faults: readonly Fault[]): string {
  return faults.map(formatFault).join('; ')
}
