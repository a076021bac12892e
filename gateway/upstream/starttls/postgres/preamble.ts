// What may pass in plaintext between a client and a server of PostgreSQL before the client's own ClientHello: SSLRequest and
// its `S`, before it maybe a GSSENCRequest and its `N`. All else would go on in plaintext, where no name can be proven.
import type { ReasonCode } from '../../../audit/reasons.ts'
import { printable } from '../upgrade-reader.ts'
import type { Preamble, PreambleStep } from '../types.ts'
import { readFirstPacket, REQUEST_BYTES } from './wire.ts'

const NOTHING = Buffer.alloc(0)
const STAY: PreambleStep = { toServer: NOTHING, toClient: NOTHING, next: 'plain' }
const TO_TLS: PreambleStep = { ...STAY, next: 'tls' }

export class PostgresPreamble implements Preamble {
  #held: Buffer = NOTHING
  #asked: 'ssl' | 'gssenc' | null = null
  #gssencRefused = false

  fromClient(bytes: Buffer): PreambleStep {
    if (bytes.length === 0) return STAY
    if (this.#asked !== null) return wrong('bytes came with the request for encryption')
    this.#held = this.#held.length === 0 ? bytes : Buffer.concat([this.#held, bytes])
    const packet = readFirstPacket(this.#held)
    switch (packet.kind) {
      case 'incomplete':
        return STAY
      case 'tls':
        return this.#gssencRefused ? wrong('TLS without SSLRequest behind a GSSENCRequest') : TO_TLS
      case 'ssl':
      case 'gssenc':
        return this.#request(packet.kind)
      case 'startup':
        return wrong('the client began without TLS')
      case 'cancel':
        return wrong('a CancelRequest without TLS')
      case 'malformed':
        return wrong(packet.detail)
    }
  }

  #request(kind: 'ssl' | 'gssenc'): PreambleStep {
    if (this.#held.length > REQUEST_BYTES) return wrong('bytes came with the request for encryption')
    if (kind === 'gssenc' && this.#gssencRefused) return wrong('a second GSSENCRequest')
    const toServer = this.#held
    this.#held = NOTHING
    this.#asked = kind
    return { ...STAY, toServer }
  }

  fromServer(bytes: Buffer): PreambleStep {
    if (bytes.length === 0) return STAY
    const answer = bytes.toString('latin1', 0, 1)
    if (this.#asked === null)
      return end('upstream-starttls-malformed', 'the server spoke before it was asked')
    if ((answer === 'S' || answer === 'N') && bytes.length > 1) {
      return end('upstream-starttls-injected', `${bytes.length - 1} bytes came with the server's answer`)
    }
    if (this.#asked === 'gssenc') return this.#gssencAnswer(answer, bytes)
    if (answer === 'S') return { ...TO_TLS, toClient: bytes }
    if (answer === 'N') {
      return end('upstream-starttls-refused', 'the server has TLS switched off (N to SSLRequest)')
    }
    return unexpected(answer, 'SSLRequest')
  }

  #gssencAnswer(answer: string, bytes: Buffer): PreambleStep {
    if (answer === 'G') {
      return end('upstream-starttls-refused', 'the server chose GSSAPI encryption, where no name is proven')
    }
    if (answer !== 'N') return unexpected(answer, 'GSSENCRequest')
    this.#asked = null
    this.#gssencRefused = true
    return { ...STAY, toClient: bytes }
  }
}

function unexpected(answer: string, request: string): PreambleStep {
  if (answer === 'E') return end('upstream-starttls-refused', `the server answered ${request} with an error`)
  return end('upstream-starttls-malformed', `"${printable(answer)}" is no answer to ${request}`)
}

function wrong(detail: string): PreambleStep {
  return end('request-start-tls', detail)
}

function end(code: ReasonCode, detail: string): PreambleStep {
  return { ...STAY, next: { code, detail } }
}
