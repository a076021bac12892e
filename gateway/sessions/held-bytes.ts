// Bytes that wait to go on, copied together. A list of the chunks as they came would let a client that sends byte by byte
// hold, with each of them, the 64 KiB that its socket was read into.

const FIRST_CAPACITY = 1024
const NOTHING: Buffer = Buffer.alloc(0)

export class HeldBytes {
  #buffer: Buffer = NOTHING
  #length = 0

  get length(): number {
    return this.#length
  }

  append(chunk: Uint8Array): void {
    const length = this.#length + chunk.length
    if (length > this.#buffer.length) {
      const grown = Buffer.alloc(Math.max(length, 2 * this.#buffer.length, FIRST_CAPACITY))
      grown.set(this.#buffer.subarray(0, this.#length))
      this.#buffer = grown
    }
    this.#buffer.set(chunk, this.#length)
    this.#length = length
  }

  /** Forgets the first `count` bytes, which must be there. */
  drop(count: number): void {
    if (count === 0) return
    this.#buffer.copyWithin(0, count, this.#length)
    this.#length -= count
  }

  /** All of it, as a view that the next call may change. */
  get all(): Buffer {
    return this.#buffer.subarray(0, this.#length)
  }
}
