// TLS to a server as a plaintext client expects it: a protocol's translator sits between the two until it is out of the
// way, and from then on bytes pass as they come. Keeps backpressure, half-close and errors as the relay needs them.
import { Duplex } from 'node:stream'
import { letGoWhenClosed } from '../../let-go.ts'
import { ignoreErrors } from '../sockets.ts'
import type { UpstreamError } from '../types.ts'
import type { Reopened } from './types.ts'

/** What a translator makes of bytes: a missing key is nothing. */
export interface Moves {
  readonly toServer?: Buffer
  readonly toClient?: Buffer
  /** Whose bytes pass untouched from here on, after those above. */
  readonly transparent?: 'client' | 'server' | 'both'
  /** Ends the session: both sides see a reset, and the record has its code. */
  readonly failure?: UpstreamError
  /** The session is this work instead of a relay: both sides end in order when it is done. Rejects with an UpstreamError. */
  readonly instead?: () => Promise<void>
  /** Goes on over another connection to the same server; until it is there the client waits. Rejects with an UpstreamError. */
  readonly exchange?: () => Promise<Exchanged>
}

export interface Exchanged {
  readonly reopened: Reopened
  readonly toClient: Buffer
}

/** A bounded state machine. It is never asked again about a side that it made transparent, nor after a failure. */
export interface Translator {
  /** Asked once, before any byte: what the client reads first. */
  start(): Moves
  fromClient(bytes: Buffer): Moves
  fromServer(bytes: Buffer): Moves
  /** The server has ended while its side was not transparent. */
  serverEnded(): Moves
}

/** Nothing is read ahead here: what waits, waits in the stream below. */
const READ_AHEAD = 1

export class AdaptedStream extends Duplex {
  #inner: Duplex
  #resetInner: (() => void) | null = null
  readonly #translator: Translator
  readonly #transparent = { client: false, server: false }
  #afterDrain: (() => void) | null = null
  #instead = false

  /** `inner` is this stream's from now on. */
  constructor(inner: Duplex, translator: Translator) {
    super({ readableHighWaterMark: READ_AHEAD })
    letGoWhenClosed(this)
    this.#inner = inner
    this.#translator = translator
    this.#take(inner)
    if (inner.errored !== null) this.destroy(inner.errored)
    else {
      this.#do(translator.start())
      if (inner.readableEnded) this.#onEnd()
    }
  }

  /** For a session whose connection was exchanged: the socket that the caller of the constructor knows is closed then. */
  reset(): void {
    if (this.#resetInner === null) return
    this.#resetInner()
    this.destroy()
  }

  override _read(): void {
    this.#inner.resume()
  }

  override _write(bytes: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    const flushed = this.#transparent.client
      ? this.#inner.write(bytes)
      : this.#do(this.#instead ? {} : this.#translator.fromClient(bytes))
    if (flushed) done()
    else this.#afterDrain = done
  }

  override _final(done: (error?: Error | null) => void): void {
    const inner = this.#inner
    if (inner.writableFinished || inner.destroyed) return done()
    // Both come in good order, and a second call is an error that a slow reader would lose the rest by.
    const once = (): void => {
      inner.off('finish', once).off('close', once)
      done()
    }
    inner.on('finish', once).on('close', once)
    inner.end()
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#inner.destroy()
    done(error)
  }

  #take(inner: Duplex): void {
    const ours = (act: () => void) => (): void => {
      if (this.#inner === inner) act()
    }
    ignoreErrors(inner)
    inner.pause()
    inner.on('data', (bytes: Buffer) => {
      if (this.#inner === inner) this.#onData(bytes)
    })
    inner.on(
      'drain',
      ours(() => this.#drained()),
    )
    inner.on(
      'error',
      ours(() => this.destroy(inner.errored ?? undefined)),
    )
    inner.on(
      'end',
      ours(() => this.#onEnd()),
    )
    inner.on(
      'close',
      ours(() => {
        // In order, both sides have ended by now and this stream closes by itself.
        if (!inner.readableEnded || !inner.writableFinished) this.destroy(inner.errored ?? undefined)
        else this.#drained()
      }),
    )
  }

  #onData(bytes: Buffer): void {
    if (this.#instead) return
    if (!this.#transparent.server) this.#do(this.#translator.fromServer(bytes))
    else if (!this.push(bytes)) this.#inner.pause()
  }

  #onEnd(): void {
    if (!this.#transparent.server && !this.#instead) this.#do(this.#translator.serverEnded())
    if (!this.destroyed && !this.#instead) this.push(null)
  }

  /** False where what went up has to wait for `drain`. */
  #do({ toServer, toClient, transparent, failure, instead, exchange }: Moves): boolean {
    if (toClient !== undefined && toClient.length > 0 && !this.push(toClient)) this.#inner.pause()
    const flushed = toServer === undefined || toServer.length === 0 || this.#inner.write(toServer)
    if (transparent === 'client' || transparent === 'both') this.#transparent.client = true
    if (transparent === 'server' || transparent === 'both') this.#transparent.server = true
    if (failure !== undefined) this.destroy(failure)
    else if (instead !== undefined) this.#doInstead(instead)
    else if (exchange !== undefined) this.#exchange(exchange)
    return flushed && exchange === undefined
  }

  #exchange(reach: () => Promise<Exchanged>): void {
    reach().then(
      ({ reopened, toClient }) => {
        if (this.destroyed) return reopened.reset()
        const left = this.#inner
        this.#inner = reopened.stream
        const resetInner = () => reopened.reset()
        this.#resetInner = resetInner
        left.destroy()
        this.#take(reopened.stream)
        if (reopened.stream.errored !== null) return void this.destroy(reopened.stream.errored)
        if (this.push(toClient)) reopened.stream.resume()
        if (reopened.stream.readableEnded) this.#onEnd()
        this.#drained()
      },
      (error: unknown) => this.destroy(error instanceof Error ? error : new Error(String(error))),
    )
  }

  #doInstead(work: () => Promise<void>): void {
    this.#instead = true
    work().then(
      () => {
        this.push(null)
        if (!this.#inner.writableEnded) this.#inner.end()
      },
      (error: unknown) => this.destroy(error instanceof Error ? error : new Error(String(error))),
    )
  }

  #drained(): void {
    const done = this.#afterDrain
    this.#afterDrain = null
    done?.()
  }
}
