// Secrets as they were last read: what is read again by the clock, and what stands in for it in between, so that a file
// that changes beside a secret asks nobody for the secret anew.
import type { Secret } from '../common/secret.ts'
import { type ReadSecret, SecretError, type SecretLocation } from './config/secrets.ts'

interface Shelved {
  /** The last that could be read. */
  readonly secret: Secret | null
  /** Why the last reading failed; null = it did not. */
  readonly error: SecretError | null
}

const AT_ONCE = 8

export class SecretShelf {
  readonly #read: ReadSecret
  readonly #shelved = new Map<string, Shelved>()
  readonly #stop = new AbortController()

  constructor(read: ReadSecret) {
    this.#read = read
  }

  /** Reads all of them, each once. Never rejects for what is wrong with one. */
  async refresh(locations: readonly SecretLocation[]): Promise<void> {
    const queue = [...new Map(locations.map((location) => [location.arn, location])).values()]
    const work = async (): Promise<void> => {
      for (let next = queue.shift(); next !== undefined && !this.#stop.signal.aborted; next = queue.shift()) {
        await this.#fetch(next)
      }
    }
    await Promise.all(Array.from({ length: AT_ONCE }, work))
  }

  /** As the last reading had it, its error included. */
  latest: ReadSecret = async (location) => {
    const { secret, error } = this.#shelved.get(location.arn) ?? (await this.#fetch(location))
    if (error !== null || secret === null) throw error ?? unread()
    return secret
  }

  /** The last that could be read, however the reading after it went. */
  known: ReadSecret = async (location) => {
    const { secret, error } = this.#shelved.get(location.arn) ?? (await this.#fetch(location))
    if (secret === null) throw error ?? unread()
    return secret
  }

  /** Ends what is being read; nothing is read any more. */
  stop(): void {
    this.#stop.abort()
  }

  async #fetch(location: SecretLocation): Promise<Shelved> {
    const last = this.#shelved.get(location.arn)?.secret ?? null
    let shelved: Shelved
    try {
      shelved = { secret: await this.#read(location, this.#stop.signal), error: null }
    } catch (error) {
      if (!(error instanceof SecretError)) throw error
      shelved = { secret: last, error }
    }
    this.#shelved.set(location.arn, shelved)
    return shelved
  }
}

function unread(): SecretError {
  return new SecretError('unreachable', 'not read yet')
}
