// Between a client that speaks PostgreSQL in plaintext and a server that is spoken to over TLS: answers the client's
// requests for encryption with no, takes channel binding out of the server's offer, notes the key by which the session can
// be cancelled, and is out of the way from the server's first ReadyForQuery on.
import { UpstreamError } from '../../types.ts'
import type { Moves, Translator } from '../adapted-stream.ts'
import { frame, MAX_SECRET_BYTES, readFirstPacket } from './wire.ts'

/** Of one message before the first ReadyForQuery; libpq takes 30,000 of an error and 2,000 of anything else there. */
const MAX_MESSAGE_BYTES = 65_536
/** One of each request for encryption: the server's own rule. */
const MAX_REQUESTS = 2
const AUTHENTICATION_SASL = 10
/** Binds the password's proof to the TLS channel that the client sees, which is not the server's. */
const CHANNEL_BINDING = 'SCRAM-SHA-256-PLUS'
const NOTHING = Buffer.alloc(0)

export interface PostgresEvents {
  /** BackendKeyData: process id and secret. */
  readonly onKey: (key: Buffer) => void
  /** The client's whole session is a CancelRequest. */
  readonly onCancel: (packet: Buffer, key: Buffer) => Moves
}

export class PostgresTranslator implements Translator {
  readonly #events: PostgresEvents
  #client: Buffer = NOTHING
  #server: Buffer = NOTHING
  #requests = 0
  #cancelled = false

  constructor(events: PostgresEvents) {
    this.#events = events
  }

  start(): Moves {
    return {}
  }

  fromClient(bytes: Buffer): Moves {
    // A CancelRequest is all that its connection is for.
    if (this.#cancelled) return {}
    this.#client = this.#client.length === 0 ? bytes : Buffer.concat([this.#client, bytes])
    let answer = ''
    for (;;) {
      const packet = readFirstPacket(this.#client)
      const toClient = Buffer.from(answer, 'latin1')
      switch (packet.kind) {
        case 'incomplete':
          return { toClient }
        case 'ssl':
        case 'gssenc':
          this.#requests += 1
          if (this.#requests > MAX_REQUESTS) return wrong('a request for encryption after it was refused')
          this.#client = this.#client.subarray(packet.length)
          answer += 'N'
          break
        case 'startup':
          return { toClient, toServer: this.#client, transparent: 'client' }
        case 'cancel':
          this.#cancelled = true
          return { toClient, ...this.#events.onCancel(this.#client.subarray(0, packet.length), packet.key) }
        case 'tls':
          return wrong(
            'the client speaks TLS inside its tunnel, and the gateway speaks it outside: sslmode=disable',
          )
        case 'malformed':
          return wrong(packet.detail)
      }
    }
  }

  fromServer(bytes: Buffer): Moves {
    this.#server = this.#server.length === 0 ? bytes : Buffer.concat([this.#server, bytes])
    const passed: Buffer[] = []
    while (this.#server.length >= 5) {
      const length = this.#server.readUInt32BE(1) + 1
      if (length < 5 || length > MAX_MESSAGE_BYTES) return malformed(`a message of ${length} bytes`)
      if (this.#server.length < length) break
      const type = this.#server.toString('latin1', 0, 1)
      const message = this.#server.subarray(0, length)
      // An error here is the session's end, and ReadyForQuery the beginning of what is none of our business.
      if (type === 'Z' || type === 'E') {
        passed.push(this.#server)
        this.#server = NOTHING
        return { toClient: Buffer.concat(passed), transparent: 'server' }
      }
      this.#server = this.#server.subarray(length)
      if (type === 'K') this.#noteKey(message.subarray(5))
      const kept = type === 'R' ? withoutChannelBinding(message) : message
      if (kept === null) return bindingAlone()
      passed.push(kept)
    }
    return { toClient: Buffer.concat(passed) }
  }

  serverEnded(): Moves {
    return this.#server.length === 0 ? {} : malformed('the server ended within a message')
  }

  #noteKey(key: Buffer): void {
    if (key.length > 4 && key.length <= 4 + MAX_SECRET_BYTES) this.#events.onKey(Buffer.from(key))
  }
}

/** Null where nothing else is offered. */
function withoutChannelBinding(message: Buffer): Buffer | null {
  if (message.length < 9 || message.readUInt32BE(5) !== AUTHENTICATION_SASL) return message
  const offered = message
    .toString('latin1', 9)
    .split('\0')
    .filter((name) => name !== '')
  if (!offered.includes(CHANNEL_BINDING)) return message
  const kept = offered.filter((name) => name !== CHANNEL_BINDING)
  if (kept.length === 0) return null
  const list = kept.map((name) => `${name}\0`).join('')
  return frame('R', Buffer.concat([message.subarray(5, 9), Buffer.from(`${list}\0`, 'latin1')]))
}

function bindingAlone(): Moves {
  const detail = `the server takes ${CHANNEL_BINDING} alone, which cannot go through a second TLS connection`
  return { failure: new UpstreamError('upstream-starttls-refused', detail) }
}

function wrong(detail: string): Moves {
  return { failure: new UpstreamError('request-start-tls', detail) }
}

function malformed(detail: string): Moves {
  return { failure: new UpstreamError('upstream-starttls-malformed', detail) }
}
