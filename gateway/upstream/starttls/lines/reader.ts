// Lines that end with CRLF, out of bytes that come in pieces. Trusts nobody: the length of a line and of all together
// are bounded, and a CR or LF of its own is an error, since the two sides of a relay may read it differently.

const CR = 0x0d
const LF = 0x0a

export interface LineLimits {
  /** Of one line, with its CRLF. */
  readonly lineBytes: number
  /** Of all lines together. */
  readonly totalBytes: number
}

export class LineError extends Error {}

export class LineReader {
  readonly #limits: LineLimits
  #rest: Buffer = Buffer.alloc(0)
  #total = 0

  constructor(limits: LineLimits) {
    this.#limits = limits
  }

  /** What was pushed and is no whole line yet, or was not asked for. */
  get rest(): Buffer {
    return this.#rest
  }

  /** Gives the rest away: it is not read as lines any more. */
  takeRest(): Buffer {
    const rest = this.#rest
    this.#rest = Buffer.alloc(0)
    return rest
  }

  push(bytes: Buffer): void {
    this.#rest = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes])
  }

  /** The next whole line without its CRLF, a byte a character (latin1). @throws LineError */
  next(): string | null {
    const end = this.#rest.indexOf(LF)
    const length = end === -1 ? this.#rest.length : end + 1
    if (length > this.#limits.lineBytes)
      throw new LineError(`a line of more than ${this.#limits.lineBytes} bytes`)
    if (this.#total + length > this.#limits.totalBytes) {
      throw new LineError(`more than ${this.#limits.totalBytes} bytes before TLS`)
    }
    const cr = this.#rest.subarray(0, length).indexOf(CR)
    // The CR of a CRLF that is cut in two stands last.
    if (end === -1) {
      if (cr !== -1 && cr !== length - 1) throw new LineError('a CR without LF')
      return null
    }
    if (cr === -1) throw new LineError('a LF without CR')
    if (cr !== end - 1) throw new LineError('a CR without LF')
    const line = this.#rest.toString('latin1', 0, end - 1)
    this.#total += length
    this.#rest = this.#rest.subarray(length)
    return line
  }
}

/** Lines as they go over the wire. */
export function toWire(lines: readonly string[]): Buffer {
  return Buffer.from(lines.map((line) => `${line}\r\n`).join(''), 'latin1')
}
