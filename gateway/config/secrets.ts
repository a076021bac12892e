// Reads the secrets that a configuration refers to, each once in a reading, so that a certificate and its key that stand in
// one secret are of one version. What is in them is shown by no message.
import { SallyportError } from '../../common/errors.ts'
import type { KeyPath } from '../../common/schema-faults.ts'
import { Secret } from '../../common/secret.ts'
import type { Report } from './rules.ts'
import type { SecretReference } from './secret-reference.ts'

/** What Secrets Manager takes, in bytes (quotas of Secrets Manager). */
export const MAX_SECRET_BYTES = 65_536

const AT_ONCE = 8

export type SecretErrorCode =
  | 'missing'
  | 'not-permitted'
  | 'not-decrypted'
  | 'no-credentials'
  | 'unreachable'
  | 'unusable'

/** `message` begins with AWS's own name of the error where there is one. */
export class SecretError extends SallyportError<SecretErrorCode> {}

export type SecretLocation = Pick<SecretReference, 'arn' | 'region'>

/** The whole text of the version that is AWSCURRENT. Rejects with a SecretError, also where the signal ends it. */
export type ReadSecret = (secret: SecretLocation, signal?: AbortSignal) => Promise<Secret>

/** The secrets of one reading of the configuration. */
export class ReferencedSecrets {
  readonly #read: ReadSecret | null
  readonly #report: Report
  readonly #texts = new Map<string, Promise<Secret>>()

  /** `read` null: nothing is read, and every reference that has the right form is without fault. */
  constructor(read: ReadSecret | null, report: Report) {
    this.#read = read
    this.#report = report
  }

  /** Whether nothing is read. */
  get offline(): boolean {
    return this.#read === null
  }

  /** Reads those that are not read yet, some at once. What is wrong with one is told where it is used. */
  async fetch(locations: readonly SecretLocation[]): Promise<void> {
    const queue = [...locations]
    const work = async (): Promise<void> => {
      for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
        await this.#fetch(next).catch(() => undefined)
      }
    }
    await Promise.all(Array.from({ length: AT_ONCE }, work))
  }

  #fetch(location: SecretLocation): Promise<Secret> {
    if (this.#read === null) return Promise.reject(new Error('offline'))
    const text = this.#texts.get(location.arn) ?? this.#read(location)
    this.#texts.set(location.arn, text)
    return text
  }

  /** The text that is referred to; null after a fault at `key`, and where nothing is read. */
  async text(reference: SecretReference, key: KeyPath): Promise<Secret | null> {
    if (this.#read === null) return null
    try {
      return fieldOf(await this.#fetch(reference), reference.field)
    } catch (error) {
      if (!(error instanceof SecretError)) throw error
      this.#report(key, `${String(reference)}: ${error.message}`, error.hint)
      return null
    }
  }
}

function fieldOf(text: Secret, field: string | null): Secret {
  if (field === null) return text
  let value: unknown
  try {
    value = JSON.parse(text.reveal())
  } catch {
    // The parser's message quotes the text.
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new SecretError('unusable', 'the secret is no JSON object', {
      hint: 'leave out the # and what follows where it is the PEM text itself',
    })
  }
  const found: unknown = Object.hasOwn(value, field) ? Reflect.get(value, field) : undefined
  if (typeof found === 'string') return new Secret(found)
  throw new SecretError('unusable', `the secret has no text under "${field}"`, {
    hint: 'name a key of its JSON object whose value is a string',
  })
}
