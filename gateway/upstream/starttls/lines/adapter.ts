// For SMTP and POP3, where answers come in the order of the commands: replays the greeting, hides the server's offer of
// TLS from the answers that list it, and answers a client that asks for TLS all the same. It is out of the way with the
// first command that is neither, so that no mail ever passes through it.
import { LineError, LineReader, toWire } from './reader.ts'
import type { Complete } from './dialogue.ts'
import type { Moves, Translator } from '../adapted-stream.ts'

export type Tracked =
  | {
      readonly kind: 'forward'
      readonly complete: Complete
      /** What the client sees of the answer; null = all of it. */
      readonly show: ((lines: readonly string[]) => readonly string[]) | null
    }
  /** Not the server's to answer. */
  | { readonly kind: 'answer'; readonly lines: readonly string[] }

export interface AdapterDialect {
  readonly greeting: readonly string[]
  /** Null = the client has begun its work: everything passes from here on. */
  readonly track: (line: string) => Tracked | null
}

export const ADAPTER_LIMITS = { lineBytes: 4096, totalBytes: Number.POSITIVE_INFINITY }
const MAX_OUTSTANDING = 64
const MAX_HELD_LINES = 256

/**
 * Never fails: all of this runs inside verified TLS, so what it does not understand it passes on, and the server judges.
 * It holds back what is no whole message yet, within limits, and nothing else.
 */
export class LineAdapter implements Translator {
  readonly #dialect: AdapterDialect
  readonly #client = new LineReader(ADAPTER_LIMITS)
  readonly #server = new LineReader(ADAPTER_LIMITS)
  readonly #outstanding: Tracked[] = []
  #held: string[] = []
  #clientDone = false
  #serverDone = false

  constructor(dialect: AdapterDialect) {
    this.#dialect = dialect
  }

  start(): Moves {
    return { toClient: toWire(this.#dialect.greeting) }
  }

  fromClient(bytes: Buffer): Moves {
    const toServer: Buffer[] = []
    const toClient: Buffer[] = []
    this.#client.push(bytes)
    while (!this.#clientDone) {
      const line = lineOf(this.#client)
      if (line === 'none') break
      this.#asked(line === 'bad' ? null : line.text, toServer, toClient)
    }
    return this.#moves(toServer, toClient)
  }

  fromServer(bytes: Buffer): Moves {
    const toClient: Buffer[] = []
    this.#server.push(bytes)
    while (!this.#serverDone) {
      const line = lineOf(this.#server)
      if (line === 'none') break
      if (line === 'bad') this.#giveUp(toClient)
      else this.#answered(line.text, toClient)
    }
    return this.#moves([], toClient)
  }

  serverEnded(): Moves {
    const toClient: Buffer[] = []
    this.#giveUp(toClient)
    return this.#moves([], toClient)
  }

  #asked(line: string | null, toServer: Buffer[], toClient: Buffer[]): void {
    const full = this.#outstanding.length >= MAX_OUTSTANDING
    const tracked = line === null || full ? null : this.#dialect.track(line)
    if (line !== null && tracked?.kind !== 'answer') toServer.push(toWire([line]))
    if (tracked === null) this.#clientDone = true
    else if (tracked.kind === 'answer' && this.#outstanding.length === 0) toClient.push(toWire(tracked.lines))
    else this.#outstanding.push(tracked)
  }

  #answered(line: string, toClient: Buffer[]): void {
    const [head] = this.#outstanding
    // Nobody asked: a server that says goodbye.
    if (head?.kind !== 'forward') return void toClient.push(toWire([line]))
    if (head.show === null) toClient.push(toWire([line]))
    else this.#held.push(line)
    if (this.#held.length > MAX_HELD_LINES) return this.#giveUp(toClient)
    if (!head.complete(line)) return
    if (head.show !== null) toClient.push(toWire(head.show(this.#held)))
    this.#held = []
    this.#outstanding.shift()
    for (let next = this.#outstanding[0]; next?.kind === 'answer'; next = this.#outstanding[0]) {
      toClient.push(toWire(next.lines))
      this.#outstanding.shift()
    }
  }

  #giveUp(toClient: Buffer[]): void {
    toClient.push(toWire(this.#held))
    this.#held = []
    this.#outstanding.length = 0
    this.#clientDone = true
    this.#serverDone = true
  }

  /** The server's side is watched for as long as an answer of it may have to be changed. */
  #moves(toServer: Buffer[], toClient: Buffer[]): Moves {
    if (this.#clientDone) toServer.push(this.#client.takeRest())
    if (this.#clientDone && this.#outstanding.length === 0) this.#serverDone = true
    if (this.#serverDone) toClient.push(this.#server.takeRest())
    const transparent = transparentSides(this.#clientDone, this.#serverDone)
    return { toServer: Buffer.concat(toServer), toClient: Buffer.concat(toClient), ...transparent }
  }
}

export function transparentSides(client: boolean, server: boolean): Pick<Moves, 'transparent'> {
  if (client && server) return { transparent: 'both' }
  if (client) return { transparent: 'client' }
  return server ? { transparent: 'server' } : {}
}

/** `bad`: no line of the protocol, and never will be. */
export function lineOf(reader: LineReader): { readonly text: string } | 'none' | 'bad' {
  try {
    const text = reader.next()
    return text === null ? 'none' : { text }
  } catch (error) {
    if (error instanceof LineError) return 'bad'
    throw error
  }
}
