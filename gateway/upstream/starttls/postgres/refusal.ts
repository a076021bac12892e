// A refusal in PostgreSQL's own words: an ErrorResponse, which clients show only as the answer to their StartupMessage.
// (In answer to SSLRequest libpq hides an error's text, since anybody could have written it: CVE-2024-10977.)
import type { Refusing, RefusalWords } from '../types.ts'
import { errorResponse, readFirstPacket } from './wire.ts'

/** invalid_authorization_specification, which is what pg_hba.conf gives; cannot_connect_now. */
const SQL_STATES = { denied: '28000', unavailable: '57P03' } as const
/** One of each request for encryption, and one more for nobody. */
const MAX_REQUESTS = 3

export class PostgresRefusal implements Refusing {
  readonly #words: RefusalWords
  #held: Buffer = Buffer.alloc(0)
  #requests = 0

  constructor(words: RefusalWords) {
    this.#words = words
  }

  answer(bytes: Buffer): { readonly reply: Buffer; readonly over: boolean } {
    this.#held = Buffer.concat([this.#held, bytes])
    let reply = ''
    for (;;) {
      const packet = readFirstPacket(this.#held)
      if (packet.kind === 'incomplete') return { reply: Buffer.from(reply, 'latin1'), over: false }
      if (packet.kind === 'startup') {
        const { kind, text } = this.#words
        const error = errorResponse(SQL_STATES[kind], text)
        return { reply: Buffer.concat([Buffer.from(reply, 'latin1'), error]), over: true }
      }
      this.#requests += 1
      if ((packet.kind !== 'ssl' && packet.kind !== 'gssenc') || this.#requests > MAX_REQUESTS) {
        return { reply: Buffer.from(reply, 'latin1'), over: true }
      }
      reply += 'N'
      this.#held = this.#held.subarray(packet.length)
    }
  }
}
