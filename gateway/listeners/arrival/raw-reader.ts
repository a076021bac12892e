// Reads the first bytes of a raw connection, before TLS gets it: chunk by chunk for an incremental parser, and puts back
// what the parser did not take. Nothing is read ahead of demand, so the kernel's buffer is the only one that a client
// can fill.
import type net from 'node:net'

/** The client ended or reset the connection, or the gateway gave it up. */
export class ConnectionGoneError extends Error {
  constructor() {
    super('the connection is gone')
    this.name = 'ConnectionGoneError'
  }
}

export class RawReader {
  readonly #raw: net.Socket
  #wake: (() => void) | null = null
  #gone = false

  constructor(raw: net.Socket) {
    this.#raw = raw
    raw.on('readable', this.#onReadable)
    raw.on('end', this.#onGone)
    raw.on('close', this.#onGone)
  }

  /** The next bytes, at least one. @throws ConnectionGoneError */
  async next(): Promise<Buffer> {
    for (;;) {
      const chunk: Buffer | null = this.#raw.read()
      if (chunk !== null) return chunk
      if (this.#gone || this.#raw.readableEnded || this.#raw.destroyed) throw new ConnectionGoneError()
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  /** Gives the socket up: the next one to read gets `rest` first. */
  release(rest: Uint8Array): void {
    this.#raw.off('readable', this.#onReadable)
    this.#raw.off('end', this.#onGone)
    this.#raw.off('close', this.#onGone)
    if (rest.length > 0 && !this.#raw.destroyed) this.#raw.unshift(rest)
  }

  readonly #onReadable = (): void => {
    // With nothing to read, this event is how an end announces itself; read() then lets 'end' come.
    if (this.#wake === null && this.#raw.readableLength === 0) this.#raw.read(0)
    this.#awaken()
  }

  readonly #onGone = (): void => {
    this.#gone = true
    this.#awaken()
  }

  #awaken(): void {
    const wake = this.#wake
    this.#wake = null
    wake?.()
  }
}
