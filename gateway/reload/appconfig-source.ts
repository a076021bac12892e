// The configuration as a bundle in AWS AppConfig. At a start at which it cannot be asked, or holds a fault, the last known
// good one of the same profile stands in, as old as its last contact was; where there is none, the gateway does not start.
import path from 'node:path'
import type { Fault } from '../../common/fault.ts'
import { AppConfigPoller, type AppConfigProfile, type Polled } from '../config/appconfig.ts'
import { type BundleFiles, ENTRY, parseBundle, readFromBundle } from '../config/bundle.ts'
import {
  DEFAULT_DIRECTORY,
  DIRECTORY_VARIABLE,
  type KeptConfig,
  readKept,
  touchKept,
  writeKept,
} from '../config/last-known-good.ts'
import type { LoadOptions } from '../config/load.ts'
import { type AcceptedConfig, acceptConfig, type AcceptResult } from './accept.ts'
import {
  type Begun,
  type ConfigSource,
  FIRST_LOOK,
  type Look,
  type LookOptions,
  type RevocationOptions,
} from './source.ts'

/** What is at fault may become right without a new document: a certificate on the disk, a port. */
const RETRY_MS = 60_000

/**
 * Of what nobody knows how old it is: a hundred years, beyond every `maxAge`, and still a number that an alarm can compare.
 */
const UNKNOWN_AGE_MS = 3_155_760_000_000

export type AppConfigSourceOptions = Omit<LoadOptions, keyof RevocationOptions | 'readFile'>

/** What the last document was. */
type Held =
  | { readonly ok: true; readonly files: BundleFiles; readonly versionLabel: string | null }
  | { readonly ok: false; readonly faults: readonly Fault[] }

export class AppConfigSource implements ConfigSource {
  readonly name: string
  readonly #options: AppConfigSourceOptions
  readonly #poller: AppConfigPoller
  readonly #monotonic: () => number
  #held: Held | null = null
  #faulty = false
  #triedAt = Number.NEGATIVE_INFINITY
  /** What each accepted configuration was read from: the newest document may be another one, and at fault. */
  readonly #from = new WeakMap<AcceptedConfig, Extract<Held, { ok: true }>>()
  /** Where what is in force was written to; null = nowhere. */
  #keptIn: string | null = null

  constructor(profile: AppConfigProfile, options: AppConfigSourceOptions = {}) {
    this.name = profile.name
    this.#options = options
    this.#poller = new AppConfigPoller(profile, options.appConfig)
    this.#monotonic = options.appConfig?.monotonic ?? (() => performance.now())
  }

  async begin(): Promise<Begun> {
    const { contact, problem, result } = await this.look(FIRST_LOOK)
    if (result?.ok === true) return { result, ageMs: 0, problem: null }
    const faults = result === null ? [this.#unreachable(problem)] : result.faults
    const directory = this.#directory(DEFAULT_DIRECTORY)
    const { kept, problem: notKept } = await readKept(directory, this.name)
    const because = faults.map(({ message }) => message).join('; ')
    if (kept === null) {
      const message = `there is no last known good configuration either: ${notKept}`
      const fault = { file: this.name, line: null, key: null, message, remedy: null }
      return { result: { ok: false, faults: [...faults, fault], files: [] }, ageMs: 0, problem: null }
    }
    const stored = await this.#accept(kept.files, FIRST_LOOK)
    this.#keptIn = directory
    if (contact) await this.#touch()
    const ageMs = contact ? 0 : ageOf(kept)
    const doubt =
      kept.contactAt === null ? ', which lies in the future, so that nobody knows how old it is' : ''
    const used = `the last known good one of ${kept.stamp.toISOString()}${doubt} is used`
    return { result: stored, ageMs, problem: `${used}: ${because}` }
  }

  async look({ force, ...revocations }: LookOptions): Promise<Look> {
    const polled = await this.#poller.poll(force)
    if (polled.document !== null) this.#held = this.#read(polled)
    if (polled.contact) await this.#touch()
    const { contact, problem } = polled
    const retry = this.#faulty && this.#monotonic() - this.#triedAt >= RETRY_MS
    const nothingNew = polled.document === null && !retry && !force
    if (this.#held === null || nothingNew) return { contact, problem, result: null }
    this.#triedAt = this.#monotonic()
    const held = this.#held
    const result: AcceptResult = held.ok
      ? await this.#accept(held.files, revocations)
      : { ok: false, faults: held.faults, files: [] }
    this.#faulty = !result.ok
    if (result.ok && held.ok) this.#from.set(result.accepted, held)
    return { contact, problem, result }
  }

  async keep(accepted: AcceptedConfig): Promise<string | null> {
    const { lastKnownGood } = accepted.loaded.config
    const from = this.#from.get(accepted)
    // The stand-in is kept already.
    if (lastKnownGood === null || from === undefined) return null
    const directory = this.#directory(lastKnownGood.directory)
    const { files, versionLabel } = from
    await writeKept(directory, { source: this.name, versionLabel, files })
    this.#keptIn = directory
    const looked = this.#directory(DEFAULT_DIRECTORY)
    return directory === looked
      ? null
      : `lastKnownGood.directory is ${directory}, and a start looks in ${looked}: set ${DIRECTORY_VARIABLE}`
  }

  #read({ document }: Polled): Held {
    const bundle = parseBundle(this.name, document?.content ?? new Uint8Array())
    return bundle.ok ? { ...bundle, versionLabel: document?.versionLabel ?? null } : bundle
  }

  #accept(
    files: BundleFiles,
    { keptRevocations, awaitRevocations }: RevocationOptions,
  ): Promise<AcceptResult> {
    const readFile = readFromBundle(files)
    return acceptConfig(ENTRY, { ...this.#options, readFile, keptRevocations, awaitRevocations })
  }

  /** A disk that is full costs the age at the next start, and nothing now. */
  async #touch(): Promise<void> {
    if (this.#keptIn !== null) await touchKept(this.#keptIn, new Date()).catch(() => undefined)
  }

  #directory(configured: string): string {
    const { environment = process.env } = this.#options
    const named = environment[DIRECTORY_VARIABLE] ?? ''
    return path.resolve(named === '' ? configured : named)
  }

  #unreachable(problem: string | null): Fault {
    const message = `cannot be read: ${problem ?? 'the service holds no document for it'}`
    const remedy =
      'the role of this process needs appconfig:StartConfigurationSession and appconfig:GetLatestConfiguration, and a way to the service'
    return { file: this.name, line: null, key: null, message, remedy }
  }
}

/** Milliseconds since the last contact. */
function ageOf({ contactAt }: KeptConfig): number {
  return contactAt === null ? UNKNOWN_AGE_MS : Math.max(0, Date.now() - contactAt.getTime())
}
