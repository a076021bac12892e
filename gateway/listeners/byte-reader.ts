// Reads big-endian numbers and length-prefixed vectors from bytes that are all there, and never past their end. Trusts
// no length: what is cut short throws, and the parser that owns the reader says which of its codes that is.

export class CutShortError extends Error {}

export class ByteReader {
  readonly #bytes: Uint8Array
  #offset = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  /** How many bytes are read already: where the next one stands. */
  get offset(): number {
    return this.#offset
  }

  get left(): number {
    return this.#bytes.length - this.#offset
  }

  /** @throws CutShortError, as all that follow. */
  uint8(): number {
    const byte = this.#bytes[this.#offset]
    if (byte === undefined) throw new CutShortError('cut short')
    this.#offset += 1
    return byte
  }

  uint16(): number {
    return this.uint8() * 0x100 + this.uint8()
  }

  uint32(): number {
    return this.uint16() * 0x1_0000 + this.uint16()
  }

  /** A view, not a copy. */
  take(length: number): Uint8Array {
    if (length > this.left) throw new CutShortError('cut short')
    this.#offset += length
    return this.#bytes.subarray(this.#offset - length, this.#offset)
  }

  /** Passes over so many bytes, and says how many. */
  skip(length: number): number {
    if (length > this.left) throw new CutShortError('cut short')
    this.#offset += length
    return length
  }

  /** A vector behind a length of one octet (RFC 8446 §3.4). */
  vector8(): Uint8Array {
    return this.take(this.uint8())
  }

  /** A vector behind a length of two octets. */
  vector16(): Uint8Array {
    return this.take(this.uint16())
  }
}
