// Between a client that speaks plaintext IMAP and the TLS to the server, until the client logs in: gives the greeting with
// the capabilities that hold inside TLS, hides STARTTLS, and answers a client that asks for it all the same.
import type { Moves, Translator } from '../adapted-stream.ts'
import { capabilitiesOf, hideStartTls, withCapabilities } from './lines.ts'
import { ADAPTER_LIMITS, lineOf, transparentSides } from '../lines/adapter.ts'
import { LineReader, toWire } from '../lines/reader.ts'
import { NOTHING } from '../machine.ts'

const TAG = 'sally3'
const WATCHED = /^([^ "(){%*\\\]]{1,64}) (CAPABILITY|NOOP|LOGOUT|STARTTLS)$/i
const MAX_ASKED = 64
const MAX_HELD_LINES = 64

/** Never fails, as LineAdapter. */
export class ImapAdapter implements Translator {
  readonly #greeting: string
  readonly #client = new LineReader(ADAPTER_LIMITS)
  readonly #server = new LineReader(ADAPTER_LIMITS)
  /** Lines of the server while the new list is awaited; null = the client has its greeting. */
  #held: string[] | null
  /** Tags of the client's CAPABILITY commands without answer. */
  readonly #asked = new Set<string>()
  #clientDone = false
  #serverDone = false

  constructor(greeting: string) {
    this.#greeting = greeting
    this.#held = capabilitiesOf([greeting]) === null ? null : []
  }

  start(): Moves {
    if (this.#held === null) return { toClient: toWire([this.#greeting]) }
    return { toServer: toWire([`${TAG} CAPABILITY`]) }
  }

  fromClient(bytes: Buffer): Moves {
    const toServer: Buffer[] = []
    const toClient: Buffer[] = []
    this.#client.push(bytes)
    while (!this.#clientDone) {
      const line = lineOf(this.#client)
      if (line === 'none') break
      const [, tag = '', name = ''] = (line === 'bad' ? null : WATCHED.exec(line.text)) ?? []
      if (name.toUpperCase() === 'STARTTLS') {
        // Responses to different tags come in any order (RFC 9051 §5.5), so it can be told at once.
        toClient.push(
          toWire([`${tag} BAD STARTTLS is not offered: the connection to the server is encrypted already`]),
        )
        continue
      }
      if (line !== 'bad') toServer.push(toWire([line.text]))
      if (name.toUpperCase() === 'CAPABILITY') this.#asked.add(tag)
      if (name === '' || this.#asked.size > MAX_ASKED) this.#clientDone = true
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
      else if (this.#held !== null) this.#refreshed(line.text, this.#held, toClient)
      else this.#answered(line.text, toClient)
    }
    return this.#moves([], toClient)
  }

  serverEnded(): Moves {
    const toClient: Buffer[] = []
    this.#giveUp(toClient)
    return this.#moves([], toClient)
  }

  #refreshed(line: string, held: string[], toClient: Buffer[]): void {
    held.push(line)
    if (held.length > MAX_HELD_LINES) return this.#giveUp(toClient)
    if (!line.startsWith(`${TAG} `)) return
    this.#held = null
    toClient.push(toWire([withCapabilities(this.#greeting, capabilitiesOf(held))]))
    // An alert, say, or BYE.
    const others = held.filter((each) => each !== line && capabilitiesOf([each]) === null)
    toClient.push(toWire(others))
  }

  #answered(line: string, toClient: Buffer[]): void {
    toClient.push(toWire([hideStartTls(line)]))
    this.#asked.delete(line.split(' ', 1)[0] ?? '')
  }

  #giveUp(toClient: Buffer[]): void {
    if (this.#held !== null) toClient.push(toWire([withCapabilities(this.#greeting, null), ...this.#held]))
    this.#held = null
    this.#clientDone = true
    this.#serverDone = true
  }

  #moves(toServer: Buffer[], toClient: Buffer[]): Moves {
    if (this.#clientDone) toServer.push(this.#client.takeRest())
    if (this.#clientDone && this.#held === null && this.#asked.size === 0) this.#serverDone = true
    toClient.push(this.#serverDone ? this.#server.takeRest() : NOTHING)
    const transparent = transparentSides(this.#clientDone, this.#serverDone)
    return { toServer: Buffer.concat(toServer), toClient: Buffer.concat(toClient), ...transparent }
  }
}
