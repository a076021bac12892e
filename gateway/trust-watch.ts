// Keeps the gateway's certificates and roots as the files have them: looks every other second whether one of them has
// changed, then reads them all and takes them whole or not at all. A symlink that was swapped is a change too. Trusts what
// the configuration's own checks pass.
import { createHash } from 'node:crypto'
import { stat } from 'node:fs/promises'
import type { Logger } from 'pino'
import { formatFault } from '../common/fault.ts'
import { readGatewayConfig } from './config/read.ts'
import type { TrustMaterial } from './config/types.ts'
import type { TrustStore } from './trust-store.ts'

const INTERVAL_MS = 2_000

export interface TrustWatchOptions {
  readonly configFile: string
  /** Those whose change is a reason to read again. */
  readonly files: readonly string[]
  readonly trust: TrustStore
  readonly log: Pick<Logger, 'info' | 'error'>
  readonly intervalMs?: number
}

/** Watches until it is disposed of. */
export function watchTrust(options: TrustWatchOptions): AsyncDisposable {
  const watch = new TrustWatch(options)
  let looking: Promise<void> | null = null
  const timer = setInterval(() => {
    looking ??= watch
      .look()
      .catch((error: unknown) =>
        options.log.error({ err: error }, 'certificates and roots cannot be looked at'),
      )
      .finally(() => {
        looking = null
      })
  }, options.intervalMs ?? INTERVAL_MS)
  timer.unref()
  return {
    async [Symbol.asyncDispose]() {
      clearInterval(timer)
      await looking
    },
  }
}

class TrustWatch {
  readonly #options: TrustWatchOptions
  #stamps = ''
  #digest: string

  constructor(options: TrustWatchOptions) {
    this.#options = options
    this.#digest = digestOf(options.trust.current())
  }

  async look(): Promise<void> {
    const { configFile, files, trust, log } = this.#options
    const stamps = (await Promise.all(files.map(stampOf))).join()
    if (stamps === this.#stamps) return
    const { config, faults } = await readGatewayConfig(configFile)
    // Read when it had changed in the middle of the reading, it is read again in a moment.
    this.#stamps = stamps
    if (config === null) {
      const text = faults.map(formatFault).join('; ')
      return log.error({ faults: text }, 'certificates and roots are kept as they were')
    }
    const digest = digestOf(config.material)
    if (digest === this.#digest) return
    this.#digest = digest
    trust.replace(config.material)
    const notAfter = config.material.identity.leaf.validToDate.toISOString()
    log.info({ notAfter }, 'certificates and roots were replaced')
  }
}

/** Follows symlinks. A file that is not there has a stamp too: that is a change when it comes back. */
async function stampOf(file: string): Promise<string> {
  try {
    const { ino, size, mtimeMs, ctimeMs } = await stat(file)
    return `${ino}/${size}/${mtimeMs}/${ctimeMs}`
  } catch {
    return 'missing'
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
