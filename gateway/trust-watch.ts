// Keeps the gateway's certificates and roots as the files have them, and as the authority issued them: looks every other
// second whether one of them has changed, then reads them all and takes them whole or not at all. A symlink that was swapped is a change too. Trusts what
// the configuration's own checks pass.
import { createHash } from 'node:crypto'
import type { Logger } from 'pino'
import { formatFault } from '../common/fault.ts'
import type { ReadTrust } from './config/read.ts'
import type { TrustMaterial } from './config/types.ts'
import { stampOf } from './file-stamp.ts'
import type { Metrics } from './telemetry/metrics.ts'
import type { TrustStore } from './trust-store.ts'

const INTERVAL_MS = 2_000

export interface TrustWatchOptions {
  /** Those whose change is a reason to read again. */
  readonly files: readonly string[]
  /** Another one after each change of what the authority has issued, which is a reason too. */
  readonly issued: () => string
  readonly readTrust: ReadTrust
  readonly trust: TrustStore
  readonly metrics: Pick<Metrics, 'reload'>
  readonly log: Pick<Logger, 'info' | 'error'>
  readonly intervalMs?: number
}

/** Watches until it is disposed of. */
export function watchTrust(options: TrustWatchOptions): AsyncDisposable {
  const watch = new TrustWatch(options)
  let looking: Promise<void> | null = null
  const timer = setInterval(() => {
    looking ??= watch.look().finally(() => {
      looking = null
    })
  }, options.intervalMs ?? INTERVAL_MS)
  timer.unref()
  return {
    async [Symbol.asyncDispose]() {
      clearInterval(timer)
      watch.stop()
      await looking
    },
  }
}

class TrustWatch {
  readonly #options: TrustWatchOptions
  #stamps = ''
  #digest: string
  #stopped = false
  /** Told once, though it is found at every look. */
  #complaint: string | null = null

  constructor(options: TrustWatchOptions) {
    this.#options = options
    this.#digest = digestOf(options.trust.current())
  }

  /** What is being read counts no more. */
  stop(): void {
    this.#stopped = true
  }

  /** Never rejects. */
  async look(): Promise<void> {
    try {
      const { files, issued } = this.#options
      const stamps = [issued(), ...(await Promise.all(files.map(stampOf)))].join()
      if (stamps === this.#stamps) return
      // Read when it had changed in the middle of the reading, it is read again in a moment; so is what is at fault, since
      // a certificate that is not valid yet becomes so without a change.
      if (await this.#read()) this.#stamps = stamps
    } catch (error) {
      this.#complain(error instanceof Error ? error.message : String(error))
    }
  }

  async #read(): Promise<boolean> {
    const { readTrust, trust, metrics, log } = this.#options
    const { material, faults } = await readTrust()
    // By now the files of another configuration may be in force.
    if (this.#stopped) return true
    if (material === null) {
      // Nothing is wrong: the authority has not issued yet what the new configuration wants.
      if (faults.length === 0) return false
      this.#complain(faults.map(formatFault).join('; '))
      return false
    }
    if (this.#complaint !== null) log.info('certificates and roots can be read again')
    this.#complaint = null
    const digest = digestOf(material)
    if (digest === this.#digest) return true
    trust.replace(material)
    this.#digest = digest
    metrics.reload('trust', 'applied')
    const notAfter = material.identity.leaf.validToDate.toISOString()
    log.info({ notAfter }, 'certificates and roots were replaced')
    return true
  }

  #complain(faults: string): void {
    if (faults === this.#complaint) return
    this.#complaint = faults
    const { metrics, log } = this.#options
    metrics.reload('trust', 'rejected')
    log.error({ faults }, 'certificates and roots are kept as they were')
  }
}

/** Over all that is shown and believed; keys belong to certificates, so they need not be in it. */
function digestOf({ identities, identity, bundles, linkerd }: TrustMaterial): string {
  const hash = createHash('sha256').update(identity.chainPem)
  for (const [name, { chainPem }] of identities) hash.update(`${name}:${chainPem}`)
  for (const [name, { x509Authorities, jwtAuthorities }] of bundles) {
    hash.update(`${name}:${x509Authorities.map(String).join('')}${JSON.stringify(jwtAuthorities)}`)
  }
  return hash.update((linkerd?.anchors ?? []).map(String).join('')).digest('hex')
}
