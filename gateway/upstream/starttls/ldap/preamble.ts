// LDAP where the client itself does StartTLS: the one ExtendedRequest and its response, and nothing else before TLS.
import { BerError } from './ber.ts'
import {
  EXTENDED_RESPONSE,
  isStartTls,
  type LdapMessage,
  readMessage,
  readResult,
  RESULT,
} from './messages.ts'
import { NOTHING } from '../machine.ts'
import type { Preamble, PreambleStep } from '../types.ts'

/** The request is of 31 bytes; longer forms of the lengths make it a little more. */
const MAX_REQUEST_BYTES = 64
const MAX_RESPONSE_BYTES = 16_384

export class LdapPreamble implements Preamble {
  #client: Buffer = NOTHING
  #server: Buffer = NOTHING
  /** messageID of the request under way. */
  #asked: number | null = null

  fromClient(bytes: Buffer): PreambleStep {
    if (bytes.length === 0) return PLAIN
    if (this.#asked !== null) {
      return refusedStep('request-start-tls', 'bytes came behind the request for TLS, before the answer')
    }
    this.#client = Buffer.concat([this.#client, bytes])
    const request = read(this.#client, MAX_REQUEST_BYTES)
    if (request === null) return PLAIN
    if (request === 'malformed' || !isStartTls(request)) {
      return refusedStep('request-start-tls', 'an LDAP operation other than StartTLS before TLS')
    }
    if (this.#client.length > request.bytes.length) {
      return refusedStep('request-start-tls', 'bytes came behind the request for TLS, before the answer')
    }
    this.#asked = request.id
    this.#client = NOTHING
    return { toServer: request.bytes, toClient: NOTHING, next: 'plain' }
  }

  fromServer(bytes: Buffer): PreambleStep {
    this.#server = Buffer.concat([this.#server, bytes])
    const answer = read(this.#server, MAX_RESPONSE_BYTES)
    if (answer === null) return PLAIN
    const code = answer === 'malformed' ? null : codeOf(answer, this.#asked)
    if (answer === 'malformed' || code === null) {
      return refusedStep(
        'upstream-starttls-malformed',
        'the server did not answer StartTLS by an ExtendedResponse',
      )
    }
    const agreed = answer.id === this.#asked && code === RESULT.success
    if (this.#server.length > answer.bytes.length) {
      return agreed
        ? refusedStep('upstream-starttls-injected', 'plaintext came behind the agreement to begin TLS')
        : refusedStep('upstream-starttls-malformed', 'more than one message before TLS')
    }
    this.#server = NOTHING
    // A Notice of Disconnection answers nothing.
    if (answer.id === this.#asked) this.#asked = null
    return { toServer: NOTHING, toClient: answer.bytes, next: agreed ? 'tls' : 'plain' }
  }
}

const PLAIN: PreambleStep = { toServer: NOTHING, toClient: NOTHING, next: 'plain' }

function refusedStep(
  code: 'request-start-tls' | 'upstream-starttls-malformed' | 'upstream-starttls-injected',
  detail: string,
): PreambleStep {
  return { toServer: NOTHING, toClient: NOTHING, next: { code, detail } }
}

function read(bytes: Buffer, max: number): LdapMessage | null | 'malformed' {
  try {
    return readMessage(bytes, max)
  } catch (error) {
    if (error instanceof BerError) return 'malformed'
    throw error
  }
}

/** Null = not the answer to `asked`, and no Notice of Disconnection either. */
function codeOf({ id, operation }: LdapMessage, asked: number | null): number | null {
  if (operation.tag !== EXTENDED_RESPONSE || (id !== asked && id !== 0)) return null
  try {
    return readResult(operation).code
  } catch (error) {
    if (error instanceof BerError) return null
    throw error
  }
}
