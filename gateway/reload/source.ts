// Where a configuration comes from, and gateway.yaml as files: what is looked at to see that it has changed. Files are
// looked at through symlinks, so that a directory that is swapped, as Kubernetes and AppConfig's agent do it, is a change.
import { decodeText, FileError, readRegularFile } from '../config/files.ts'
import type { LoadOptions } from '../config/load.ts'
import { MISSING, stampOf } from '../file-stamp.ts'
import { type AcceptedConfig, acceptConfig, type AcceptResult } from './accept.ts'

export interface LookOptions {
  /** Reads whether anything seems to have changed or not. */
  readonly force: boolean
  /** The list that is in force; null = none is, or it is the first look. */
  readonly keptRevocations: string | null
  /** Whether another list is read before: sessions are taken already. */
  readonly awaitRevocations: boolean
}

export const FIRST_LOOK: LookOptions = { force: true, keptRevocations: null, awaitRevocations: false }

export interface Look {
  /** Whether the source could be asked, whatever it holds. */
  readonly contact: boolean
  /** Why it could not be asked; null where it could, or where the result says it. */
  readonly problem: string | null
  /** Null where there was no reason to read. */
  readonly result: AcceptResult | null
}

export interface Begun {
  readonly result: AcceptResult
  /** How long ago the source could last be asked, in milliseconds. */
  readonly ageMs: number
  /** What is to be said of it; null where it came from its source. */
  readonly problem: string | null
}

export interface ConfigSource {
  /** As `--config` has it. */
  readonly name: string
  /** The configuration to start with. */
  begin(): Promise<Begun>
  /** Never rejects for what the source holds or that it is not there. */
  look(options: LookOptions): Promise<Look>
  /** Told of each configuration that came into force; gives what is to be said of it, or null. Rejects where it cannot be kept. */
  keep?(accepted: AcceptedConfig): Promise<string | null>
}

/** Of what a gateway goes by at a look. */
export type RevocationOptions = Pick<LookOptions, 'keptRevocations' | 'awaitRevocations'>

/** What is at fault may become right without a change: a certificate becomes valid, a port free. */
const RETRY_MS = 60_000

export type FileSourceOptions = Omit<LoadOptions, keyof RevocationOptions> & {
  /** Milliseconds that only grow; default that of the process. */
  readonly monotonic?: () => number
}

export function createFileSource(file: string, options: FileSourceOptions): ConfigSource {
  return new FileSource(file, options)
}

class FileSource implements ConfigSource {
  readonly name: string
  readonly #options: FileSourceOptions
  #watched: readonly string[]
  #stamps = ''
  #faulty = false
  #triedAt = 0

  constructor(file: string, options: FileSourceOptions) {
    this.name = file
    this.#watched = [file]
    this.#options = options
  }

  async begin(): Promise<Begun> {
    const { result } = await this.look(FIRST_LOOK)
    if (result === null) throw new TypeError('the first look gave nothing')
    return { result, ageMs: 0, problem: null }
  }

  async look({ force, ...revocations }: LookOptions): Promise<Look> {
    const { monotonic = () => performance.now(), ...options } = this.#options
    const stamps = await Promise.all(this.#watched.map(stampOf))
    const retry = this.#faulty && monotonic() - this.#triedAt >= RETRY_MS
    if (!force && !retry && stamps.join() === this.#stamps) {
      return { contact: stamps[0] !== MISSING, problem: null, result: null }
    }
    this.#triedAt = monotonic()
    const result = await acceptConfig(this.name, { ...options, ...revocations })
    this.#faulty = !result.ok
    if (result.ok) await this.#watchPolicy(result.accepted, stamps[0] ?? MISSING)
    else this.#watchAll(result.files, stamps)
    return { contact: result.ok || (await readText(this.name)) !== null, problem: null, result }
  }

  /** Certificates and keys are watched by others while all is well. */
  async #watchPolicy({ loaded }: AcceptedConfig, own: string): Promise<void> {
    const { policyFiles } = loaded.config
    this.#watched = [this.name, ...policyFiles.map(({ name }) => name)]
    const stamps = await Promise.all(policyFiles.map(({ name }) => stampOf(name)))
    // What was written since it was read has that stamp too.
    const texts = await Promise.all(policyFiles.map(({ name }) => readText(name)))
    const same = policyFiles.every(({ text }, index) => text === texts[index])
    this.#stamps = same ? [own, ...stamps].join() : ''
  }

  /** Where something is wrong, each of them may be the one to blame. Newly watched, they are read once more. */
  #watchAll(files: readonly string[], stamps: readonly string[]): void {
    this.#stamps = files.join() === this.#watched.join() ? stamps.join() : ''
    this.#watched = files
  }
}

/** Null where it cannot be read. */
async function readText(file: string): Promise<string | null> {
  try {
    return decodeText((await readRegularFile(file)).bytes)
  } catch (error) {
    if (error instanceof FileError) return null
    throw error
  }
}
