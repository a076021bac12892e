// Writes the chunks of one direction of a relay and frees the memory of each as soon as it is written. Left to V8, 16 to
// 64 KiB outside of its heap wait for each until the young generation is collected: every read then gets memory that no
// processor cache holds any more, and V8 collects its whole heap when 64 MiB of them have come. That cost a third of what a
// byte costs in all. Trusts the sides to say whose chunks are nobody else's.
import type { RelaySide } from './tunnel.ts'

/** Of less there is little to free. */
const WORTH_FREEING_BYTES = 4096

export class ChunkWriter {
  readonly #output: RelaySide['stream']
  readonly #mayFree: boolean
  readonly #onLeft: ((bytes: number) => void) | undefined
  /** Written and to be freed, in the order in which their callbacks come. */
  readonly #waiting: ArrayBuffer[] = []
  #first = true

  /** `onLeft` is told of bytes whose memory is left to V8. */
  constructor(source: RelaySide, sink: RelaySide, onLeft?: (bytes: number) => void) {
    this.#output = sink.stream
    this.#mayFree = source.chunks === 'both' && sink.chunks !== undefined
    this.#onLeft = onLeft
  }

  /** As the stream's own `write`; the chunk is the writer's from here on. */
  write(chunk: Buffer): boolean {
    const memory = this.#freeable(chunk)
    if (memory === null) {
      this.#onLeft?.(chunk.length)
      return this.#output.write(chunk)
    }
    this.#waiting.push(memory)
    return this.#output.write(chunk, this.#onWritten)
  }

  /** The memory of a chunk that has all of it; a slice of something larger shares it. */
  #freeable(chunk: Buffer): ArrayBuffer | null {
    const { buffer } = chunk
    // The first one may have been put back by who read it before the relay, and looks at it still.
    const first = this.#first
    this.#first = false
    if (first || !this.#mayFree || chunk.length < WORTH_FREEING_BYTES) return null
    return buffer instanceof ArrayBuffer && buffer.byteLength === chunk.length ? buffer : null
  }

  readonly #onWritten = (error?: Error | null): void => {
    const memory = this.#waiting.shift()
    // After an error the kernel may still be reading it: then it is V8's.
    if (error === undefined || error === null) memory?.transfer(0)
  }
}
