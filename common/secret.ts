// A value that must never reach a log, a record or an answer. Every way of printing it shows `[redacted]`;
// only `reveal()` gives it, so a reviewer finds each use by searching for that one word.
import { inspect } from 'node:util'

export class Secret<T extends string | Uint8Array = string> {
  readonly #value: T

  constructor(value: T) {
    this.#value = value
  }

  /** The value itself. Hand it straight to the API that needs it and keep no copy. */
  reveal(): T {
    return this.#value
  }

  toString(): string {
    return '[redacted]'
  }

  toJSON(): string {
    return '[redacted]'
  }

  [inspect.custom](): string {
    return '[redacted]'
  }
}
