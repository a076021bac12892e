// Lines that wait to be written to a file, taken many at a time: whoever writes each by itself pays for a write what the
// line itself costs many times over.

/** Some lines with their ends, as bytes, and where in them each ends. */
export interface Lines {
  readonly data: Buffer
  readonly ends: readonly number[]
}

export class LineQueue {
  readonly #lines: { readonly text: string; readonly bytes: number }[] = []
  #first = 0

  get length(): number {
    return this.#lines.length - this.#first
  }

  /** `bytes` with the line's end. */
  add(text: string, bytes: number): void {
    this.#lines.push({ text, bytes })
  }

  /** The oldest, one at least, and as many as `maxBytes` holds. */
  take(maxBytes: number): Lines {
    const texts: string[] = []
    const ends: number[] = []
    let size = 0
    for (let next = this.#lines[this.#first]; next !== undefined; next = this.#lines[this.#first]) {
      if (size > 0 && size + next.bytes > maxBytes) break
      size += next.bytes
      texts.push(next.text)
      ends.push(size)
      this.#first += 1
    }
    // `shift` would copy the whole array each time; this copies it once for every doubling.
    if (this.#first * 2 > this.#lines.length) {
      this.#lines.splice(0, this.#first)
      this.#first = 0
    }
    return { data: Buffer.from(`${texts.join('\n')}\n`), ends }
  }
}
