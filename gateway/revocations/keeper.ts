// The revocation list over the life of a gateway, which outlives configurations: a configuration that names another file
// brings that file's list, read with it, and one that names none takes nothing back. Who wants to be without a list restarts: else a
// roll-back of the configuration would bring back what was revoked.
import type { Logger } from 'pino'
import type { ReadRevocations } from '../config/read.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import { NO_REVOCATIONS } from './list.ts'
import { createRevocationStore, type RevocationStore } from './store.ts'
import { type RevocationWatch, watchRevocations } from './watch.ts'

export type FirstRevocations = ReadRevocations

export interface RevocationKeeperOptions {
  readonly metrics: Pick<Metrics, 'reload' | 'sampleRevocations'>
  readonly log: Pick<Logger, 'info' | 'warn' | 'error'>
  readonly now: () => Date
  readonly intervalMs?: number | undefined
}

export class RevocationKeeper implements AsyncDisposable {
  readonly store: RevocationStore
  readonly #options: RevocationKeeperOptions
  #pending: boolean
  #watch: RevocationWatch | null = null
  #ending: Promise<unknown> = Promise.resolve()

  constructor(first: FirstRevocations | null, options: RevocationKeeperOptions) {
    this.#options = options
    this.store = createRevocationStore(first?.first?.list ?? NO_REVOCATIONS, options.now)
    this.#pending = first !== null && first.first === null
    if (first !== null) this.#begin(first)
  }

  /** Whether there is a list that nobody has read yet: until then nobody can say who is revoked. */
  get pending(): boolean {
    return this.#pending
  }

  /** The file of the list in force; null = there is none. */
  get file(): string | null {
    return this.#watch?.file ?? null
  }

  /** Goes by the list of a new configuration. Returns the keys that count after a restart alone. */
  follow(next: FirstRevocations | null): readonly string[] {
    if (next === null) return this.#watch === null ? [] : ['revocations']
    if (next.file === this.file) return []
    this.#stop()
    // It was read before its configuration came into force (config/load.ts); without that nobody new may be let in.
    const list = next.first?.list ?? null
    if (list !== null) this.store.replace(list)
    this.#pending = list === null
    this.#begin(next)
    return []
  }

  #begin(source: FirstRevocations): void {
    const { metrics, log, intervalMs } = this.#options
    const first = this.#watch === null
    const interval = intervalMs === undefined ? {} : { intervalMs }
    const onRead = () => {
      this.#pending = false
    }
    this.#watch = watchRevocations({ source, store: this.store, metrics, log, onRead, ...interval })
    if (!first) return
    metrics.sampleRevocations(() => ({
      entries: this.store.current().entries.length,
      ageSeconds: (this.#watch?.ageMs() ?? 0) / 1000,
    }))
  }

  #stop(): void {
    this.#ending = Promise.all([this.#ending, this.#watch?.[Symbol.asyncDispose]()])
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop()
    await this.#ending
  }
}
