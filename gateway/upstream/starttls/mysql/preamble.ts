// MySQL where the client itself begins TLS: the greeting, then an SSLRequest, behind which the ClientHello may come at
// once, since a server does not answer it. A client that logs in instead is refused before its login goes up.
import { UpstreamError } from '../../types.ts'
import { NOTHING } from '../machine.ts'
import type { Preamble, PreambleStep } from '../types.ts'
import { readGreeting } from './greeting.ts'
import { CAPABILITY } from './packets.ts'
import { PREFIX_BYTES } from './response.ts'

const REQUEST_BYTES = 4 + PREFIX_BYTES

export class MysqlPreamble implements Preamble {
  #client: Buffer = NOTHING
  #server: Buffer = NOTHING
  #greeted = false

  fromServer(bytes: Buffer): PreambleStep {
    if (bytes.length === 0) return PLAIN
    if (this.#greeted) return refused('upstream-starttls-malformed', 'the server spoke before it was asked')
    this.#server = Buffer.concat([this.#server, bytes])
    try {
      const read = readGreeting(this.#server)
      if (read === null) return PLAIN
      if (this.#server.length > read.first.bytes.length) {
        return refused('upstream-starttls-malformed', 'bytes came behind the MySQL greeting')
      }
      this.#greeted = true
      return { toServer: NOTHING, toClient: read.first.bytes, next: 'plain' }
    } catch (error) {
      if (!(error instanceof UpstreamError)) throw error
      return { toServer: NOTHING, toClient: NOTHING, next: { code: error.code, detail: error.message } }
    }
  }

  fromClient(bytes: Buffer): PreambleStep {
    if (bytes.length === 0) return PLAIN
    if (!this.#greeted) return refused('request-start-tls', 'the client spoke before the greeting')
    this.#client = Buffer.concat([this.#client, bytes])
    if (this.#client.length < 4) return PLAIN
    if (this.#client.readUInt32LE(0) !== PREFIX_BYTES + 0x100_0000) return NO_REQUEST
    if (this.#client.length < REQUEST_BYTES) return PLAIN
    const request = this.#client.subarray(0, REQUEST_BYTES)
    const needed = CAPABILITY.ssl | CAPABILITY.protocol41
    if ((request.readUInt32LE(4) & needed) !== needed) return NO_REQUEST
    return { toServer: request, toClient: NOTHING, next: 'tls', hello: this.#client.subarray(REQUEST_BYTES) }
  }
}

const PLAIN: PreambleStep = { toServer: NOTHING, toClient: NOTHING, next: 'plain' }

function refused(code: 'request-start-tls' | 'upstream-starttls-malformed', detail: string): PreambleStep {
  return { toServer: NOTHING, toClient: NOTHING, next: { code, detail } }
}

const NO_REQUEST = refused('request-start-tls', 'the client did not answer the greeting by an SSLRequest')
