// The plaintext that may pass where the client itself does STARTTLS through the gateway, for protocols of lines. In turn
// and message by message: one command of a short list, then its whole answer. Before the name is proven nothing else
// goes up, so a command takes no argument that could carry more than its name.
import type { ReasonCode } from '../../../audit/reasons.ts'
import { UpstreamError } from '../../types.ts'
import { quote } from '../failures.ts'
import { LineError, LineReader, toWire } from './reader.ts'
import { type Complete, SERVER_LIMITS } from './dialogue.ts'
import { NOTHING } from '../machine.ts'
import type { Preamble, PreambleStep } from '../types.ts'

export interface Command {
  /** A new one for each answer. */
  readonly complete: Complete
  /** Asks for TLS: does the last line of the answer agree? Null for every other command. */
  readonly agrees: ((last: string) => boolean) | null
}

export interface PreambleDialect {
  /** For the greeting. */
  readonly greeting: () => Complete
  /** Null = may not pass before TLS. */
  readonly command: (line: string) => Command | null
  /** The command's name in a line that may not pass, and nothing more of it: what follows may be a password. */
  readonly verb: (line: string) => string
}

/** The longest command is an EHLO with a name of 255 characters. */
const CLIENT_LIMITS = { lineBytes: 300, totalBytes: 2048 }
const MAX_VERB = 16

class Refusal extends Error {
  readonly code: ReasonCode
  constructor(code: ReasonCode, detail: string) {
    super(detail)
    this.code = code
  }
}

export function linePreamble(dialect: PreambleDialect): Preamble {
  const client = new LineReader(CLIENT_LIMITS)
  const server = new LineReader(SERVER_LIMITS)
  // The greeting is an answer to nothing.
  let awaited: Command | null = { complete: dialect.greeting(), agrees: null }
  let answer: string[] = []

  const fromClient = (bytes: Buffer): PreambleStep => {
    if (awaited !== null && bytes.length > 0) throw outOfTurn(awaited)
    client.push(bytes)
    const line = clientLine(client)
    if (line === null) return plain(NOTHING, NOTHING)
    awaited = dialect.command(line)
    if (awaited === null)
      throw new Refusal('request-start-tls', `${quote(dialect.verb(line).slice(0, MAX_VERB))} before TLS`)
    if (client.rest.length > 0) throw outOfTurn(awaited)
    return plain(toWire([line]), NOTHING)
  }

  const fromServer = (bytes: Buffer): PreambleStep => {
    server.push(bytes)
    if (awaited === null && server.rest.length > 0) {
      throw new Refusal('upstream-starttls-malformed', 'the server spoke before it was asked')
    }
    for (let line = serverLine(server); line !== null; line = serverLine(server)) {
      answer.push(line)
      if (awaited === null || !awaited.complete(line)) continue
      const agreed = awaited.agrees?.(line) === true
      if (server.rest.length > 0) throw tooMuch(agreed)
      const whole = toWire(answer)
      awaited = null
      answer = []
      return { toServer: NOTHING, toClient: whole, next: agreed ? 'tls' : 'plain' }
    }
    return plain(NOTHING, NOTHING)
  }

  return { fromClient: guarded(fromClient), fromServer: guarded(fromServer) }
}

function plain(toServer: Buffer, toClient: Buffer): PreambleStep {
  return { toServer, toClient, next: 'plain' }
}

function outOfTurn({ agrees }: Command): Refusal {
  const detail =
    agrees === null
      ? 'the client spoke before it was answered'
      : 'bytes came behind the request for TLS, before the answer'
  return new Refusal('request-start-tls', detail)
}

function tooMuch(agreed: boolean): Refusal {
  return agreed
    ? new Refusal('upstream-starttls-injected', 'plaintext came behind the agreement to begin TLS')
    : new Refusal('upstream-starttls-malformed', 'the server spoke before it was asked')
}

function clientLine(reader: LineReader): string | null {
  try {
    return reader.next()
  } catch (error) {
    throw error instanceof LineError
      ? new Refusal('request-start-tls', `the client sent ${error.message}`)
      : error
  }
}

function serverLine(reader: LineReader): string | null {
  try {
    return reader.next()
  } catch (error) {
    if (!(error instanceof LineError)) throw error
    throw new Refusal('upstream-starttls-malformed', `the server sent ${error.message}`)
  }
}

function guarded(act: (bytes: Buffer) => PreambleStep): (bytes: Buffer) => PreambleStep {
  return (bytes) => {
    try {
      return act(bytes)
    } catch (error) {
      if (!(error instanceof Refusal || error instanceof UpstreamError)) throw error
      return { toServer: NOTHING, toClient: NOTHING, next: { code: error.code, detail: error.message } }
    }
  }
}
