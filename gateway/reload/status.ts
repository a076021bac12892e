// How it stands with the configuration: which is in force since when, how long ago its source could be asked, and what is
// wrong with the newest one. For the admin port and metrics.
import type { Revision } from '../audit/events.ts'

export interface ConfigFault {
  /** When it was first seen. */
  readonly since: Date
  /** One line each. */
  readonly faults: readonly string[]
}

export interface ConfigView {
  readonly source: string
  readonly revision: Revision
  /** When it was put in force, as ISO 8601. */
  readonly since: string
  /** Since the source could last be asked. */
  readonly ageSeconds: number
  /** Why the newest configuration is not in force; null where it is. */
  readonly fault: { readonly since: string; readonly faults: readonly string[] } | null
  /** Keys whose new value counts after a restart alone. */
  readonly needsRestart: readonly string[]
}

export interface ConfigStatusOptions {
  readonly source: string
  readonly now: () => Date
  /** Milliseconds that only grow. */
  readonly monotonic?: () => number
}

export class ConfigStatus {
  fault: ConfigFault | null = null
  readonly #options: ConfigStatusOptions
  #inForce: { readonly revision: Revision; readonly since: Date; readonly needsRestart: readonly string[] }
  #contactAt: number

  constructor(revision: Revision, options: ConfigStatusOptions) {
    this.#options = options
    this.#inForce = { revision, since: options.now(), needsRestart: [] }
    this.#contactAt = this.#monotonic()
  }

  get revision(): Revision {
    return this.#inForce.revision
  }

  get ageMs(): number {
    return this.#monotonic() - this.#contactAt
  }

  /** The source was asked, whatever it said. */
  contact(): void {
    this.#contactAt = this.#monotonic()
  }

  applied(revision: Revision, needsRestart: readonly string[]): void {
    this.#inForce = { revision, since: this.#options.now(), needsRestart }
  }

  view(): ConfigView {
    const { revision, since, needsRestart } = this.#inForce
    const { fault } = this
    return {
      source: this.#options.source,
      revision,
      since: since.toISOString(),
      ageSeconds: Math.round(this.ageMs) / 1000,
      fault: fault === null ? null : { since: fault.since.toISOString(), faults: fault.faults },
      needsRestart,
    }
  }

  #monotonic(): number {
    return (this.#options.monotonic ?? (() => performance.now()))()
  }
}
