// Between a client that speaks plaintext LDAP and the TLS to the server, until the client binds: a StartTLS of the client
// is answered here, since TLS is there already. After a bind a SASL layer may wrap what follows, so it passes as it comes.
import type { Moves, Translator } from '../adapted-stream.ts'
import { BerError, readHeader } from './ber.ts'
import {
  EXTENDED_REQUEST,
  EXTENDED_RESPONSE,
  isStartTls,
  type LdapMessage,
  readMessage,
  response,
  RESULT,
  SEARCH_REQUEST,
  SEQUENCE,
} from './messages.ts'
import { transparentSides } from '../lines/adapter.ts'
import { NOTHING } from '../machine.ts'

/** Of a client's message that is looked at; a longer one is its work already. */
const MAX_WATCHED_BYTES = 8192
const MAX_WAITING = 16
const TEXT = 'TLS is established already between the gateway and the server'

/** Never fails, as LineAdapter. */
export class LdapAdapter implements Translator {
  #client: Buffer = NOTHING
  /** A cut header of the server's next message. */
  #header: Buffer = NOTHING
  /** How much of the server's current message is still to come. */
  #left = 0
  #answers: Buffer[] = []
  #clientDone = false
  #serverDone = false

  start(): Moves {
    return {}
  }

  fromClient(bytes: Buffer): Moves {
    const toServer: Buffer[] = []
    this.#client = Buffer.concat([this.#client, bytes])
    while (!this.#clientDone) {
      const message = watched(this.#client)
      if (message === null) break
      if (message === 'other') this.#clientDone = true
      else {
        this.#client = this.#client.subarray(message.bytes.length)
        if (isStartTls(message))
          this.#answers.push(response(EXTENDED_RESPONSE, message.id, RESULT.operationsError, TEXT))
        else toServer.push(message.bytes)
      }
      if (this.#answers.length > MAX_WAITING) this.#clientDone = true
    }
    return this.#moves(toServer, [])
  }

  fromServer(bytes: Buffer): Moves {
    const toClient: Buffer[] = []
    let rest = bytes
    while (rest.length > 0 && !this.#serverDone) {
      if (this.#left === 0) rest = this.#begin(rest, toClient)
      const part = rest.subarray(0, this.#left)
      toClient.push(part)
      this.#left -= part.length
      rest = rest.subarray(part.length)
      if (this.#atBoundary()) toClient.push(...this.#answers.splice(0))
    }
    toClient.push(rest)
    return this.#moves([], toClient)
  }

  serverEnded(): Moves {
    this.#clientDone = true
    this.#serverDone = true
    const header = this.#header
    this.#header = NOTHING
    return this.#moves([], [header])
  }

  /** Reads the header of the next message out of `rest`, and gives back what comes behind it. */
  #begin(rest: Buffer, toClient: Buffer[]): Buffer {
    const held = this.#header.length
    const bytes = Buffer.concat([this.#header, rest.subarray(0, 6)])
    try {
      const header = bytes[0] === SEQUENCE ? readHeader(bytes) : null
      if (header === null && bytes[0] === SEQUENCE) {
        this.#header = bytes
        return rest.subarray(rest.length)
      }
      this.#header = NOTHING
      if (header === null) return this.#giveUp(bytes, rest, held, toClient)
      toClient.push(bytes.subarray(0, header.start))
      this.#left = header.length
      return rest.subarray(header.start - held)
    } catch (error) {
      if (!(error instanceof BerError)) throw error
      this.#header = NOTHING
      return this.#giveUp(bytes, rest, held, toClient)
    }
  }

  /** No LDAP any more: it all passes, and nothing is answered in the middle of it. */
  #giveUp(bytes: Buffer, rest: Buffer, held: number, toClient: Buffer[]): Buffer {
    toClient.push(bytes.subarray(0, held))
    this.#answers = []
    this.#clientDone = true
    this.#serverDone = true
    return rest
  }

  #atBoundary(): boolean {
    return this.#left === 0 && this.#header.length === 0
  }

  #moves(toServer: Buffer[], toClient: Buffer[]): Moves {
    if (this.#clientDone) {
      toServer.push(this.#client)
      this.#client = NOTHING
    }
    if (!this.#serverDone && this.#atBoundary()) toClient.push(...this.#answers.splice(0))
    if (this.#clientDone && this.#answers.length === 0 && this.#atBoundary()) this.#serverDone = true
    const transparent = transparentSides(this.#clientDone, this.#serverDone)
    return { toServer: Buffer.concat(toServer), toClient: Buffer.concat(toClient), ...transparent }
  }
}

/** `other`: what ends the watch, a bind above all. Null = not all there. */
function watched(bytes: Buffer): LdapMessage | null | 'other' {
  try {
    const message = readMessage(bytes, MAX_WATCHED_BYTES)
    if (message === null) return null
    const { tag } = message.operation
    return tag === EXTENDED_REQUEST || tag === SEARCH_REQUEST ? message : 'other'
  } catch (error) {
    if (error instanceof BerError) return 'other'
    throw error
  }
}
