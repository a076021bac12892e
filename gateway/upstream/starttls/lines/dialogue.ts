// Upgrades of protocols of lines (SMTP, IMAP, POP3), told as a dialogue: say this, read lines until the answer is
// complete, go on. Strictly in turn: a server that has said more than its answer is refused, for what it said was
// prepared by somebody who knew our next question.
import { injected, malformed } from '../failures.ts'
import { LineError, type LineLimits, LineReader, toWire } from './reader.ts'
import { type Ascent, type AscentStep, NOTHING } from '../machine.ts'

/** Asked with each line of an answer in turn: is it the last? @throws UpstreamError */
export type Complete = (line: string) => boolean

export interface Ask {
  /** A line for the server; null = it speaks by itself. */
  readonly say: string | null
  /** A new one for each answer. */
  readonly complete: Complete
}

/** Yields questions, is given the lines of the answers, returns what is to be kept when the server has agreed to TLS. */
export type Dialogue<Kept> = Generator<Ask, Kept, readonly string[]>

/** Postfix, Exim, Exchange and Dovecot stay below 2 KiB in all. */
export const SERVER_LIMITS: LineLimits = { lineBytes: 4096, totalBytes: 65_536 }

export function dialogueAscent<Kept>(dialogue: Dialogue<Kept>): Ascent<Kept> {
  const reader = new LineReader(SERVER_LIMITS)
  const first = dialogue.next()
  if (first.done === true) throw new Error('a dialogue without a question')
  let ask: Ask = first.value
  let lines: string[] = []

  const answered = (): AscentStep<Kept> => {
    const step = dialogue.next(lines)
    if (step.done === true) {
      if (reader.rest.length > 0) throw injected()
      return { next: 'tls', say: NOTHING, kept: step.value }
    }
    if (reader.rest.length > 0) throw malformed('the server spoke before it was asked')
    ask = step.value
    lines = []
    return { next: 'plain', say: ask.say === null ? NOTHING : toWire([ask.say]) }
  }

  return {
    opening: ask.say === null ? NOTHING : toWire([ask.say]),
    feed(bytes) {
      reader.push(bytes)
      for (let line = nextLine(reader); line !== null; line = nextLine(reader)) {
        lines.push(line)
        if (ask.complete(line)) return answered()
      }
      return { next: 'plain', say: NOTHING }
    },
  }
}

function nextLine(reader: LineReader): string | null {
  try {
    return reader.next()
  } catch (error) {
    throw error instanceof LineError ? malformed(`the server sent ${error.message}`) : error
  }
}
