// IMAP (RFC 9051, RFC 3501) with STARTTLS (§6.2.1). The greeting may list capabilities; what they are before TLS is of
// no use after it, so the gateway asks again and gives the client the greeting with the new list.
import { AdaptedStream } from './adapted-stream.ts'
import { ascend } from './ascend.ts'
import { malformed, quote, refused } from './failures.ts'
import { ImapAdapter } from './imap/adapter.ts'
import { capabilitiesOf, offersTls } from './imap/lines.ts'
import { type Complete, type Dialogue, dialogueAscent } from './lines/dialogue.ts'
import { type Command, linePreamble } from './lines/preamble.ts'
import type { Ascent } from './machine.ts'
import { refusingAtOnce } from './refusals.ts'
import type { Preamble, Refusing, RefusalWords, StartTls } from './types.ts'

const GREETING = /^\* (?:OK|PREAUTH|BYE)(?: |$)/i
/** A tag has no argument's room: it is short, and what may pass before TLS takes no arguments. */
const COMMAND = /^([A-Za-z0-9._-]{1,32}) (CAPABILITY|NOOP|LOGOUT|STARTTLS)$/i
/** RFC 9051 §4.3: a line that ends so is not over with its CRLF. */
const LITERAL = /\{[0-9]+\+?\}$/

function greetingLine(): Complete {
  return (line) => {
    if (!GREETING.test(line) || LITERAL.test(line))
      throw malformed(`the server sent ${quote(line)} for an IMAP greeting`)
    return true
  }
}

/** Untagged lines, then the one with the tag. */
function tagged(tag: string): Complete {
  return (line) => {
    if (line.startsWith(`${tag} `)) return true
    if (!line.startsWith('* ') || LITERAL.test(line))
      throw malformed(`the server sent ${quote(line)} for an IMAP response`)
    return false
  }
}

/** Keeps the greeting. */
export function imapAscent(): Ascent<string> {
  return dialogueAscent(climb())
}

function* climb(): Dialogue<string> {
  const [greeting = ''] = yield { say: null, complete: greetingLine() }
  // PREAUTH: authenticated before TLS, which cannot be begun in that state (RFC 9051 §7.1.4).
  if (!/^\* OK(?: |$)/i.test(greeting)) throw refused(`the server greeted with ${quote(greeting)}`)
  let abilities = capabilitiesOf([greeting])
  if (abilities === null) {
    const answer = yield { say: 'sally1 CAPABILITY', complete: tagged('sally1') }
    need(answer, 'CAPABILITY')
    abilities = capabilitiesOf(answer)
  }
  if (abilities === null || !abilities.some(offersTls)) throw refused('the server does not offer STARTTLS')
  need(yield { say: 'sally2 STARTTLS', complete: tagged('sally2') }, 'STARTTLS')
  return greeting
}

function need(answer: readonly string[], what: string): void {
  const last = answer.at(-1) ?? ''
  if (!agreed(last)) throw refused(`the server answered ${what} with ${quote(last)}`)
}

function agreed(last: string): boolean {
  return /^[^ ]+ OK(?: |$)/i.test(last)
}

export function imapPreamble(): Preamble {
  return linePreamble({
    greeting: greetingLine,
    verb: (line) => line.split(' ', 2)[1] ?? '',
    command(line): Command | null {
      const [, tag = '', name = ''] = COMMAND.exec(line) ?? []
      if (tag === '') return null
      return { complete: tagged(tag), agrees: name.toUpperCase() === 'STARTTLS' ? agreed : null }
    },
  })
}

/** RFC 9051 §7.1.5: BYE as greeting says that the server takes no connection. */
export function imapRefusal(words: RefusalWords): Refusing {
  return refusingAtOnce(words, ({ kind, text }) =>
    Buffer.from(`* BYE ${kind === 'unavailable' ? '[UNAVAILABLE] ' : ''}${text}\r\n`, 'latin1'),
  )
}

export function createImap(): StartTls {
  return {
    name: 'imap',
    async upgrade(raw) {
      const greeting = await ascend(raw, imapAscent())
      return { adapt: (tls) => new AdaptedStream(tls, new ImapAdapter(greeting)) }
    },
    preamble: imapPreamble,
    refusal: imapRefusal,
  }
}
