// What is read again while one configuration is in force: certificates and roots of identity and trust, and those of
// destinations. With the next configuration the watching begins anew, and what the old watches still read counts no more.
import type { Logger } from 'pino'
import type { AuthoritySource } from '../config/authority.ts'
import type { PartnerReading } from '../config/partners.ts'
import type { ReadTrust } from '../config/read.ts'
import type { ReadSecret } from '../config/secrets.ts'
import type { DestinationStore } from '../destinations/store.ts'
import { watchPartners } from '../partner-watch.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import type { TrustStore } from '../trust-store.ts'
import { watchTrust } from '../trust-watch.ts'

/** Where things are read from again. */
export interface Sources {
  readonly trustFiles: readonly string[]
  readonly readTrust: ReadTrust
  readonly authority: AuthoritySource | null
  readonly partners: PartnerReading
}

export interface WatchesOptions {
  readonly trust: TrustStore
  readonly destinations: DestinationStore
  readonly readSecret: ReadSecret
  /** Another one after each change of what the authority has issued. */
  readonly issued: () => string
  readonly metrics: Pick<Metrics, 'partnerReload' | 'partnerGone' | 'reload'>
  readonly log: Pick<Logger, 'info' | 'error'>
  /** Defaults: every other second; secrets as the configuration says. */
  readonly filesIntervalMs?: number
  readonly secretsIntervalMs?: number
}

export class Watches implements AsyncDisposable {
  readonly #options: WatchesOptions
  #running: AsyncDisposable[] = []
  #ending: Promise<unknown> = Promise.resolve()

  constructor(options: WatchesOptions) {
    this.#options = options
  }

  /** Watches these and no others; to be called when what they were read to is in the stores. */
  watch({ trustFiles, readTrust, partners }: Sources): void {
    this.#stop()
    const { trust, destinations, filesIntervalMs, issued, metrics, log } = this.#options
    const interval = filesIntervalMs === undefined ? {} : { intervalMs: filesIntervalMs }
    this.#running = [
      watchTrust({ files: trustFiles, issued, readTrust, trust, metrics, log, ...interval }),
      watchPartners({ ...this.#options, partners, destinations }),
    ]
  }

  #stop(): void {
    const ended = this.#running.map((one) => one[Symbol.asyncDispose]())
    this.#running = []
    this.#ending = Promise.all([this.#ending, ...ended])
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop()
    await this.#ending
  }
}
