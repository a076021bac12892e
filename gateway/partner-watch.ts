// Keeps certificates, keys and roots of destinations as files and secrets have them: looks at files every other second and
// at secrets every few minutes, and takes each part whole or keeps the old one. So the order in which a certificate and its
// key are written does not matter: until both are there they do not fit, and what fitted stays. Live sessions are not
// touched, the next dial has the new one. Trusts what the configuration's own checks pass.
import type { Logger } from 'pino'
import { formatFault } from '../common/fault.ts'
import type { PartnerMaterial, PartnerPart, PartnerReading, PartRead } from './config/partners.ts'
import type { ReadSecret } from './config/secrets.ts'
import type { DestinationStore } from './destinations/store.ts'
import { stampOf } from './file-stamp.ts'
import { describeMaterial, digestOf, digestOfMaterial, withMaterial } from './partner-material.ts'
import { SecretShelf } from './secret-shelf.ts'
import type { Metrics } from './telemetry/metrics.ts'

const FILES_INTERVAL_MS = 2_000
/** Tasks that were started together shall not ask together. */
const JITTER = 0.1

export interface PartnerWatchOptions {
  readonly partners: PartnerReading
  readonly readSecret: ReadSecret
  readonly destinations: DestinationStore
  readonly metrics: Pick<Metrics, 'partnerReload' | 'partnerGone'>
  readonly log: Pick<Logger, 'info' | 'error'>
  readonly filesIntervalMs?: number
  /** Default: as the configuration has it. */
  readonly secretsIntervalMs?: number
  /** Of 0 to 1; default `Math.random`. */
  readonly random?: () => number
}

/** Watches until it is disposed of. */
export function watchPartners(options: PartnerWatchOptions): AsyncDisposable {
  const { filesIntervalMs = FILES_INTERVAL_MS, random = Math.random, partners } = options
  const watch = new PartnerWatch(options)
  let looking: Promise<void> | null = null
  const files = setInterval(() => {
    looking ??= watch.look().finally(() => {
      looking = null
    })
  }, filesIntervalMs)
  const interval = options.secretsIntervalMs ?? partners.secretsIntervalMs
  let secrets: NodeJS.Timeout | null = null
  let polling: Promise<void> | null = null
  let stopped = false
  const schedule = () => {
    const delay = interval * (1 - JITTER + 2 * JITTER * random())
    secrets = setTimeout(() => {
      polling = watch.poll().finally(() => {
        polling = null
        if (!stopped) schedule()
      })
    }, delay)
    secrets.unref()
  }
  files.unref()
  if (partners.parts.some((part) => part.secrets.length > 0)) schedule()
  return {
    async [Symbol.asyncDispose]() {
      stopped = true
      clearInterval(files)
      if (secrets !== null) clearTimeout(secrets)
      watch.stop()
      await Promise.all([looking, polling])
    },
  }
}

/** What is known of one part. */
interface State {
  stamps: string
  digest: string
  /** At fault at one look, which may have come between two writings: it is told when it is so at the next. */
  doubtful: boolean
  /** Told once, though it is found at every look; null = it is as files and secrets have it. */
  complaint: string | null
}

class PartnerWatch {
  readonly #options: PartnerWatchOptions
  readonly #states = new Map<PartnerPart, State>()
  readonly #secrets: SecretShelf
  #stopped = false
  /** One reading at a time, so that none is taken over a later one. */
  #turn: Promise<void> = Promise.resolve()

  constructor(options: PartnerWatchOptions) {
    this.#options = options
    this.#secrets = new SecretShelf(options.readSecret)
    const byName = new Map(options.destinations.current().map((one) => [one.name, one]))
    for (const part of options.partners.parts) {
      options.metrics.partnerReload(whichOf(part), 'fresh')
      this.#states.set(part, {
        stamps: '',
        digest: digestOf(byName.get(part.destination), part),
        doubtful: false,
        complaint: null,
      })
    }
  }

  /** Parts of files that have changed, and those that are at fault: a certificate becomes valid without a change. */
  async look(): Promise<void> {
    const stamps = new Map<string, Promise<string>>()
    const stamp = (file: string): Promise<string> => {
      const known = stamps.get(file) ?? stampOf(file)
      stamps.set(file, known)
      return known
    }
    const dirty: { part: PartnerPart; state: State; seen: string }[] = []
    for (const [part, state] of this.#states) {
      if (part.files.length === 0) continue
      const seen = (await Promise.all(part.files.map(stamp))).join()
      if (seen !== state.stamps || state.doubtful || state.complaint !== null)
        dirty.push({ part, state, seen })
    }
    if (dirty.length === 0) return
    const changed = new Set(dirty.filter(({ state, seen }) => seen !== state.stamps).map(({ part }) => part))
    await this.#inTurn(
      dirty.map(({ part }) => part),
      changed,
      (secret) => this.#secrets.known(secret),
    )
    // What changed in the middle of the reading has another stamp by now, and is read again in a moment.
    for (const { state, seen } of dirty) state.stamps = seen
  }

  /** Every part that has to do with secrets. */
  async poll(): Promise<void> {
    const parts = this.#options.partners.parts.filter(({ secrets }) => secrets.length > 0)
    // Before its turn: a way that is blocked must not keep files from being looked at.
    await this.#secrets.refresh(parts.flatMap(({ secrets }) => secrets))
    if (this.#stopped) return
    await this.#inTurn(parts, new Set(parts), (secret) => this.#secrets.latest(secret))
  }

  stop(): void {
    this.#stopped = true
    this.#secrets.stop()
    // Whoever watches next may not know these parts any more, and nobody would take the alarm back.
    for (const part of this.#states.keys()) this.#options.metrics.partnerGone(whichOf(part))
  }

  /** `counted` are those whose failure is a new one. Never rejects. */
  async #inTurn(
    parts: readonly PartnerPart[],
    counted: ReadonlySet<PartnerPart>,
    readSecret: ReadSecret,
  ): Promise<void> {
    const work = async () => {
      try {
        const results = await this.#options.partners.read(parts, readSecret)
        // By now the destinations of another configuration may be in force.
        if (!this.#stopped) this.#take(results, counted)
      } catch (error) {
        this.#options.log.error({ err: error }, 'certificates of partners could not be looked at')
      }
    }
    this.#turn = this.#turn.then(work)
    await this.#turn
  }

  #take(results: ReadonlyMap<PartnerPart, PartRead>, counted: ReadonlySet<PartnerPart>): void {
    const { log, metrics, destinations } = this.#options
    const taken = new Map<string, [PartnerPart, PartnerMaterial][]>()
    for (const [part, { material, faults }] of results) {
      const state = this.#states.get(part)
      if (state === undefined) continue
      const which = whichOf(part)
      if (material === null) {
        // Secrets are read whole, and not again for minutes.
        if (part.secrets.length === 0 && state.complaint === null && !state.doubtful) {
          state.doubtful = true
          continue
        }
        const text = faults.map(formatFault).join('; ')
        if (counted.has(part) || state.complaint === null) metrics.partnerReload(which, 'failed')
        if (text !== state.complaint) log.error({ ...which, faults: text }, 'kept as it was')
        state.complaint = text
        continue
      }
      if (state.complaint !== null) log.info(which, 'can be read again')
      metrics.partnerReload(which, 'fresh')
      state.complaint = null
      state.doubtful = false
      const digest = digestOfMaterial(material)
      if (digest === state.digest) continue
      state.digest = digest
      taken.set(part.destination, [...(taken.get(part.destination) ?? []), [part, material]])
      log.info({ ...which, ...describeMaterial(material) }, 'was replaced')
    }
    if (taken.size === 0) return
    destinations.replace(
      destinations.current().map((one) => (taken.get(one.name) ?? []).reduce(withMaterial, one)),
    )
  }
}

function whichOf({ destination, of }: PartnerPart): { destination: string; part: string } {
  return { destination, part: of === 'roots' ? of : `clientCertificates[${of}]` }
}
