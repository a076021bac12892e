// Sees the first bytes that a server answers a ClientHello with. Node hands the socket's handle to OpenSSL and gives what
// was no TLS to nobody, and seeing it takes a stream of our own in between, which each byte of the session would pay for.
// So it is done for an endpoint alone that has just answered in plaintext: the second failure tells what the first could
// not. Nothing is dialled or sent for it.
import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { MAX_PLAINTEXT_BYTES } from './plaintext.ts'

const REMEMBERED_MS = 600_000
const MAX_REMEMBERED = 1_000

/** Endpoints that have answered in plaintext, for ten minutes each. */
export class PlaintextSuspects {
  readonly #until = new Map<string, number>()
  readonly #now: () => number

  /** `now` in milliseconds since any moment. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now
  }

  has(endpoint: string): boolean {
    return (this.#until.get(endpoint) ?? Number.NEGATIVE_INFINITY) > this.#now()
  }

  add(endpoint: string): void {
    this.#until.delete(endpoint)
    this.#until.set(endpoint, this.#now() + REMEMBERED_MS)
    if (this.#until.size <= MAX_REMEMBERED) return
    const [oldest] = this.#until.keys()
    if (oldest !== undefined) this.#until.delete(oldest)
  }

  delete(endpoint: string): void {
    this.#until.delete(endpoint)
  }
}

export interface Tapped {
  /** To speak TLS over. */
  readonly stream: Duplex
  /** What came first, up to a limit. */
  first(): Uint8Array
}

/** A stream over the socket, which keeps a copy of what comes first. The socket stays the caller's to reset. */
export function tap(raw: Socket): Tapped {
  const parts: Buffer[] = []
  let kept = 0
  const stream = new Duplex({
    // Its own end must not close what lies over it, where a slow reader still has the rest to read.
    autoDestroy: false,
    // As for the socket itself: each side ends alone.
    allowHalfOpen: true,
    read: () => void raw.resume(),
    write: (chunk: Buffer, _encoding, done) => void raw.write(chunk, done),
    final: (done) => void raw.end(done),
    destroy(error, done) {
      raw.destroy()
      done(error)
    },
  })
  raw.on('data', (chunk: Buffer) => {
    if (kept < MAX_PLAINTEXT_BYTES) {
      const part = chunk.subarray(0, MAX_PLAINTEXT_BYTES - kept)
      parts.push(part)
      kept += part.length
    }
    if (!stream.push(chunk)) raw.pause()
  })
  raw.on('end', () => stream.push(null))
  raw.on('error', (error) => stream.destroy(error))
  raw.on('close', () => {
    // After an end in good order a slow reader still has the rest to read.
    if (!raw.readableEnded) stream.destroy()
  })
  raw.pause()
  return { stream, first: () => Buffer.concat(parts) }
}
