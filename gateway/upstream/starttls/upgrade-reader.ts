// Reads a server's plaintext before TLS, and never a byte more than asked for: what was taken off the socket by then
// would be missing from the handshake, and what is left over is how injected plaintext is found (CVE-2021-23222's class).
import type { Socket } from 'node:net'
import { UpstreamError } from '../types.ts'

export class UpgradeReader implements Disposable {
  readonly #raw: Socket
  #wake: (() => void) | null = null

  /** Must be disposed before TLS begins on `raw`. */
  constructor(raw: Socket) {
    this.#raw = raw
    raw.on('readable', this.#onChange)
    raw.on('end', this.#onChange)
    raw.on('close', this.#onChange)
  }

  /** Exactly `count` bytes. @throws UpstreamError `upstream-starttls-closed` */
  async take(count: number): Promise<Buffer> {
    for (;;) {
      const bytes: Buffer | null = this.#raw.read(count)
      if (bytes?.length === count) return bytes
      await this.#more()
    }
  }

  /**
   * All up to and with the first line feed. @throws UpstreamError `upstream-starttls-closed`, or
   * `upstream-starttls-malformed` where there is none in `maxBytes`.
   */
  async line(maxBytes: number): Promise<Buffer> {
    let held: Buffer = Buffer.alloc(0)
    for (;;) {
      const bytes: Buffer | null = this.#raw.read()
      if (bytes !== null) {
        held = held.length === 0 ? bytes : Buffer.concat([held, bytes])
        const end = held.indexOf(0x0a) + 1
        if (end > maxBytes || (end === 0 && held.length >= maxBytes)) {
          throw new UpstreamError('upstream-starttls-malformed', `no line within ${maxBytes} bytes`)
        }
        if (end > 0) {
          if (held.length > end) this.#raw.unshift(held.subarray(end))
          return held.subarray(0, end)
        }
      }
      await this.#more()
    }
  }

  [Symbol.dispose](): void {
    this.#raw.off('readable', this.#onChange)
    this.#raw.off('end', this.#onChange)
    this.#raw.off('close', this.#onChange)
    // Whoever still waits does so for a socket that is given up.
    this.#awaken()
  }

  async #more(): Promise<void> {
    const { errored, readableEnded, destroyed } = this.#raw
    if (errored !== null || readableEnded || destroyed) {
      const detail = errored === null ? 'the server ended the connection' : errored.message
      throw new UpstreamError('upstream-starttls-closed', detail, errored === null ? {} : { cause: errored })
    }
    await new Promise<void>((resolve) => {
      this.#wake = resolve
    })
  }

  readonly #onChange = (): void => {
    // With nothing to read, 'readable' is how an end announces itself; read() then lets 'end' come.
    if (this.#wake === null && this.#raw.readableLength === 0) this.#raw.read(0)
    this.#awaken()
  }

  #awaken(): void {
    const wake = this.#wake
    this.#wake = null
    wake?.()
  }
}

/** A peer's text for a record: printable ASCII, the rest escaped, cut at 200 characters. */
export function printable(text: Buffer | string): string {
  const latin = typeof text === 'string' ? text : text.toString('latin1')
  const escaped = latin.replaceAll(
    /[^ -[\]-~]/g,
    (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
  return escaped.length > 200 ? `${escaped.slice(0, 199)}…` : escaped
}
