// What an HTTP/2 stream was sent and nobody has read yet, in one piece. Node keeps each DATA frame as an object of its own,
// a slice of the 64 KiB that came from the socket: a client that sends its window in frames of one byte to a service that
// does not read would fill 170 times the window, and with a hundred such streams the whole heap. Here what comes to a
// paused stream is copied together, and the window is given back only when it is read.
import http2, { type Http2Stream } from 'node:http2'
import { letGoWhenClosed } from '../let-go.ts'

const FIRST_CAPACITY = 1024
/** What is handed on at once: Node's own measure of a full buffer, so that a reader that stops after it is heeded. */
const SLICE_BYTES = 64 * 1024
const NOTHING: Buffer = Buffer.alloc(0)
const { NGHTTP2_NO_ERROR } = http2.constants

export class H2Inbox {
  readonly #stream: Http2Stream
  readonly #push: (chunk: Buffer | null) => boolean
  readonly #onGrow: (bytes: number) => void
  #held: Buffer = NOTHING
  #length = 0
  #ended = false
  #rest: Buffer | null = null

  /** From the turn in which the stream was born; `onGrow` is told of bytes that nobody took at once. */
  constructor(stream: Http2Stream, onGrow: (bytes: number) => void) {
    this.#stream = stream
    this.#onGrow = onGrow
    this.#push = stream.push.bind(stream)
    // Node's own reading calls this method, and gives no window back where it says false.
    const push = (chunk: Buffer | null) => this.#take(chunk)
    stream.push = push
    letGoWhenClosed(stream)
    stream.on('resume', () => this.#flush())
    stream.once('close', () => {
      this.#rest =
        this.#ended && !stream.aborted && stream.rstCode === NGHTTP2_NO_ERROR ? this.#unread() : null
      this.#held = NOTHING
      this.#length = 0
    })
    this.#compactEarly()
    this.#ended = stream.endAfterHeaders || stream.state.remoteClose === 1
  }

  /** Bytes that nobody has read yet. */
  get length(): number {
    return this.#length + this.#stream.readableLength
  }

  /** The peer's END_STREAM has come; Node's 'end' comes after a reset too, where our side had ended before. */
  get ended(): boolean {
    return this.#ended
  }

  /**
   * Of a stream that is closed: what came before the peer's END_STREAM and was not read in time; it is given once. Node closes
   * a stream that both sides have ended when its connection is left, and forgets what nobody has read. Null where its end
   * was none.
   */
  takeRest(): Buffer | null {
    const rest = this.#rest
    this.#rest = null
    return rest
  }

  #unread(): Buffer {
    const pieces: Buffer[] = []
    for (let piece = this.#stream.read(); piece !== null; piece = this.#stream.read())
      pieces.push(piece as Buffer)
    return Buffer.concat([...pieces, this.#held.subarray(0, this.#length)])
  }

  #take(chunk: Buffer | null): boolean {
    if (chunk === null) {
      // Whatever else ends a stream has closed it before.
      this.#ended ||= !this.#stream.closed
      this.#flush()
      return this.#push(null)
    }
    // Between resume() and its event nothing may overtake what is held.
    if (this.#length === 0 && this.#stream.readableFlowing === true) return this.#push(chunk)
    this.#append(chunk)
    this.#onGrow(chunk.length)
    return false
  }

  #append(chunk: Buffer): void {
    const length = this.#length + chunk.length
    if (length > this.#held.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(length, 2 * this.#held.length, FIRST_CAPACITY))
      this.#held.copy(grown, 0, 0, this.#length)
      this.#held = grown
    }
    chunk.copy(this.#held, this.#length)
    this.#length = length
  }

  #flush(): void {
    const held = this.#held.subarray(0, this.#length)
    this.#held = NOTHING
    this.#length = 0
    for (let offset = 0; offset < held.length; offset += SLICE_BYTES) {
      this.#push(held.subarray(offset, offset + SLICE_BYTES))
    }
  }

  /** Frames that came in the same bytes as the request are there before anybody could look. */
  #compactEarly(): void {
    const early = this.#stream.readableLength > 0 ? (this.#stream.read() as Buffer | null) : null
    if (early !== null) this.#stream.unshift(Buffer.from(early))
  }
}
