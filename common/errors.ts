// The base class of every error that Sallyport raises on purpose. A subclass fixes `Code` to a closed union, so that
// callers switch on `code` and never on the message. Trusts nothing and imports nothing.

/** An expected failure with a machine-readable `code`; `hint` says what an operator can do about it. */
export class SallyportError<Code extends string = string> extends Error {
  readonly code: Code
  readonly hint: string | null

  constructor(code: Code, message: string, options: { cause?: unknown; hint?: string | null } = {}) {
    super(message, options.cause === undefined ? {} : { cause: options.cause })
    this.name = new.target.name
    this.code = code
    this.hint = options.hint ?? null
  }
}
