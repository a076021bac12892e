// One end of a session, client's or server's, which does what its script says and writes down what it did and what it saw. It
// never throws: whatever becomes of its stream stands in the report.
import type { Duplex } from 'node:stream'
import { setTimeout as wait } from 'node:timers/promises'
import { Checker, type Direction, header, patternAt } from './pattern.ts'
import type { Script } from './plan.ts'

export interface Report {
  /** Bytes handed to the stream, header included; those that arrive are never more. */
  sent: number
  received: number
  /** How the other's direction ended, as far as it was looked at. */
  saw: 'end' | 'reset' | null
  /** It ended its own direction by itself. */
  ended: boolean
  /** It went away by itself before both directions were over. */
  aborted: boolean
  /** It reads whatever comes, so that what it was sent has to arrive. */
  readsAll: boolean
  /** What must never be. */
  fault: string | null
}

export interface End {
  readonly stream: Duplex
  /** An RST, whatever the stream is. */
  reset(): void
  /** Whether an 'end' is one, asked in its turn; HTTP/2 says it after a reset too. */
  readonly endIsReal?: () => boolean
  /** Calls its argument once an 'end' is known to be one; missing = it is. */
  readonly holdEnd?: (pass: () => void) => void
}

export interface Side {
  readonly report: Report
  /** Resolves when the stream is gone. */
  readonly done: Promise<void>
  /** Goes away at once. */
  abort(): void
}

export function newReport(): Report {
  return {
    sent: 0,
    received: 0,
    saw: null,
    ended: false,
    aborted: false,
    readsAll: true,
    fault: null,
  }
}

/** Milliseconds that a slow reader rests after each stretch, and how many bytes that is. */
const REST_MS = 5
const STRETCH = 128 * 1024
/** After which who reads late begins. */
const LATE_MS = 2_000

/**
 * Plays `script` on `end`, as the sender of `direction`. `first` is what came already.
 */
export function play(
  end: End,
  { session, direction, script, first }: PlayOptions,
  report: Report = newReport(),
): Side {
  const side = new Player(
    end,
    { session, direction, script, ...(first === undefined ? {} : { first }) },
    report,
  )
  side.start()
  return side
}

export interface PlayOptions {
  readonly session: number
  readonly direction: Direction
  readonly script: Script
  readonly first?: Buffer
}

class Player implements Side {
  readonly report: Report
  readonly done: Promise<void>
  readonly #end: End
  readonly #options: PlayOptions
  readonly #checker: Checker
  readonly #gone = new AbortController()
  #onEnded: () => void = () => {}
  #sawEnd: Promise<void>
  #sinceRest = 0

  constructor(end: End, options: PlayOptions, report: Report) {
    this.report = report
    this.#end = end
    this.#options = options
    this.#checker = new Checker(options.session, options.direction === 'up' ? 'down' : 'up')
    this.#sawEnd = new Promise((resolve) => {
      this.#onEnded = resolve
    })
    report.readsAll = options.script.read !== 'never'
    this.done = new Promise((resolve) => {
      const onClose = () => {
        if (report.readsAll) this.#saw('reset')
        this.#gone.abort()
        resolve()
      }
      end.stream.once('close', onClose)
      if (end.stream.closed) setImmediate(onClose)
    })
  }

  start(): void {
    const { stream } = this.#end
    stream.on('error', () => this.#saw('reset'))
    stream.on('aborted', () => this.#saw('reset'))
    // It may have ended behind its first bytes already.
    if (stream.readableEnded) setImmediate(() => this.#over())
    else stream.on('end', () => this.#over())
    const { first, script } = this.#options
    if (first !== undefined && first.length > 0) this.#take(first)
    if (script.read === 'late') void this.#readLate()
    else if (script.read !== 'never') this.#read()
    void this.#send()
  }

  #over(): void {
    const { endIsReal, holdEnd = (pass) => pass() } = this.#end
    if (endIsReal?.() === false) return this.#ended('reset')
    holdEnd(() => this.#ended('end'))
  }

  #ended(how: 'end' | 'reset'): void {
    this.#saw(how)
    this.#onEnded()
  }

  #read(): void {
    const { stream } = this.#end
    stream.on('data', (chunk: Buffer) => this.#take(chunk))
    stream.resume()
  }

  async #readLate(): Promise<void> {
    const { signal } = this.#gone
    await wait(LATE_MS, undefined, { signal }).catch(() => {})
    if (!signal.aborted) this.#read()
  }

  abort(): void {
    if (this.#gone.signal.aborted) return
    const over = this.report.ended && this.report.saw !== null
    if (!over) this.report.aborted = true
    this.#end.reset()
    // What lies above a socket that is gone does not always say so.
    setImmediate(() => this.#end.stream.destroy())
  }

  /** What is seen after one has gone away oneself says nothing of the other. */
  #saw(how: 'end' | 'reset'): void {
    if (!this.report.aborted) this.report.saw ??= how
  }

  #take(chunk: Buffer): void {
    this.report.received += chunk.length
    this.#checker.take(chunk)
    this.report.fault ??= this.#checker.fault
    if (this.#options.script.read !== 'slow') return
    this.#sinceRest += chunk.length
    if (this.#sinceRest < STRETCH) return
    this.#sinceRest = 0
    this.#end.stream.pause()
    setTimeout(() => this.#end.stream.resume(), REST_MS)
  }

  async #send(): Promise<void> {
    const { script, session, direction } = this.#options
    const { signal } = this.#gone
    if (direction === 'up') await this.#write(header(session))
    for (let offset = 0; offset < script.bytes && !signal.aborted; ) {
      const chunk = patternAt(session, direction, offset, Math.min(script.chunk, script.bytes - offset))
      offset += chunk.length
      await this.#write(chunk)
      if (script.pauseMs > 0) await wait(script.pauseMs, undefined, { signal }).catch(() => {})
    }
    if (!signal.aborted) await this.#finish()
  }

  /** Until there is room for more. */
  async #write(chunk: Buffer): Promise<void> {
    const { stream } = this.#end
    if (stream.destroyed || stream.writableEnded) return
    this.report.sent += chunk.length
    if (stream.write(chunk)) return
    await new Promise<void>((resolve) => {
      const go = () => {
        stream.off('drain', go)
        this.#gone.signal.removeEventListener('abort', go)
        resolve()
      }
      stream.on('drain', go)
      this.#gone.signal.addEventListener('abort', go)
      if (this.#gone.signal.aborted) go()
    })
  }

  async #finish(): Promise<void> {
    const { finish } = this.#options.script
    const { stream } = this.#end
    if (finish === 'end-last') await Promise.race([this.#sawEnd, this.done])
    if (this.#gone.signal.aborted || stream.destroyed) return
    if (finish === 'reset') return this.abort()
    this.report.ended = true
    if (finish !== 'close') return void stream.end()
    // Gone without having read what is under way: the kernel turns that into a reset, or not, as it comes.
    this.report.aborted = true
    stream.end(() => stream.destroy())
  }
}
