// POP3 (RFC 1939) with STLS (RFC 2595 §4). The greeting may hold the timestamp of APOP (RFC 1939 §7), so the client is
// given it as it came.
import { AdaptedStream, type Translator } from './adapted-stream.ts'
import { ascend } from './ascend.ts'
import { malformed, quote, refused } from './failures.ts'
import { LineAdapter } from './lines/adapter.ts'
import { type Complete, type Dialogue, dialogueAscent } from './lines/dialogue.ts'
import { type Command, linePreamble } from './lines/preamble.ts'
import type { Ascent } from './machine.ts'
import { refusingAtOnce } from './refusals.ts'
import type { Preamble, Refusing, RefusalWords, StartTls } from './types.ts'

const STATUS = /^(?:\+OK|-ERR)(?: |$)/
const OK = /^\+OK(?: |$)/
const CAPA = /^CAPA$/i
const STLS = /^STLS$/i
const QUIT = /^QUIT$/i
const OFFERS_TLS = /^STLS[ \t]*$/i

export function statusLine(): Complete {
  return (line) => {
    if (!STATUS.test(line)) throw malformed(`the server sent ${quote(line)} for a POP3 status`)
    return true
  }
}

/** A status, and after +OK lines up to one that is a dot (RFC 1939 §3). */
export function capabilityList(): Complete {
  let begun = false
  return (line) => {
    if (begun) return line === '.'
    if (!STATUS.test(line)) throw malformed(`the server sent ${quote(line)} for a POP3 status`)
    begun = true
    return !OK.test(line)
  }
}

/** Keeps the greeting. */
export function pop3Ascent(): Ascent<readonly string[]> {
  return dialogueAscent(climb())
}

function* climb(): Dialogue<readonly string[]> {
  const greeting = yield { say: null, complete: statusLine() }
  need(greeting, 'greeted')
  const abilities = yield { say: 'CAPA', complete: capabilityList() }
  need(abilities, 'answered CAPA')
  if (!abilities.some((line) => OFFERS_TLS.test(line))) throw refused('the server does not offer STLS')
  need(yield { say: 'STLS', complete: statusLine() }, 'answered STLS')
  return greeting
}

function need([status = '']: readonly string[], what: string): void {
  if (!OK.test(status)) throw refused(`the server ${what} with ${quote(status)}`)
}

const POP3_ANSWER = ['-ERR STLS is not offered: the connection to the server is encrypted already']

/** As `capabilityList`; inside TLS a status that is none is the client's to judge. */
function tolerantList(): Complete {
  let begun = false
  return (line) => {
    if (begun) return line === '.'
    begun = true
    return !OK.test(line)
  }
}

export function pop3Adapter(greeting: readonly string[]): Translator {
  return new LineAdapter({
    greeting,
    track(line) {
      if (STLS.test(line)) return { kind: 'answer', lines: POP3_ANSWER }
      if (!CAPA.test(line)) return null
      return {
        kind: 'forward',
        complete: tolerantList(),
        show: (lines) => lines.filter((each) => !OFFERS_TLS.test(each)),
      }
    },
  })
}

export function pop3Preamble(): Preamble {
  return linePreamble({
    greeting: statusLine,
    verb: (line) => line.split(' ', 1)[0] ?? '',
    command(line): Command | null {
      if (CAPA.test(line)) return { complete: capabilityList(), agrees: null }
      if (QUIT.test(line)) return { complete: statusLine(), agrees: null }
      return STLS.test(line) ? { complete: statusLine(), agrees: (last) => OK.test(last) } : null
    },
  })
}

export function pop3Refusal(words: RefusalWords): Refusing {
  return refusingAtOnce(words, ({ text }) => Buffer.from(`-ERR ${text}\r\n`, 'latin1'))
}

export function createPop3(): StartTls {
  return {
    name: 'pop3',
    async upgrade(raw) {
      const greeting = await ascend(raw, pop3Ascent())
      return { adapt: (tls) => new AdaptedStream(tls, pop3Adapter(greeting)) }
    },
    preamble: pop3Preamble,
    refusal: pop3Refusal,
  }
}
