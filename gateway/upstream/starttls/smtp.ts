// SMTP and submission (RFC 5321) with STARTTLS (RFC 3207). The server greets; EHLO lists what it can do; it forgets
// everything when TLS begins and sends no second greeting, so a client is given the first one and says EHLO itself.
import { isIPv6 } from 'node:net'
import { AdaptedStream, type Translator } from './adapted-stream.ts'
import { ascend } from './ascend.ts'
import { malformed, quote, refused } from './failures.ts'
import { LineAdapter, type Tracked } from './lines/adapter.ts'
import { type Ask, type Complete, dialogueAscent, type Dialogue } from './lines/dialogue.ts'
import { type Command, linePreamble } from './lines/preamble.ts'
import type { Ascent } from './machine.ts'
import { refusingAtOnce } from './refusals.ts'
import type { Preamble, Refusing, RefusalWords, StartTls } from './types.ts'

const REPLY = /^([2-5][0-9]{2})(?:([ -])(.*))?$/s
/** A name or an address literal and nothing else, so that EHLO carries nothing up. */
const HELLO = /^(?:EHLO|HELO) (?:[A-Za-z0-9_.-]{1,255}|\[[A-Za-z0-9:.]{1,60}\])$/i
const BARE = /^(?:NOOP|RSET|QUIT)$/i
const STARTTLS = /^STARTTLS[ \t]*$/i

/** RFC 5321 §4.2: every line has the code of the first; the last has no hyphen behind it. */
export function replyLines(): Complete {
  let first: string | null = null
  return (line) => {
    const [, code, mark] = REPLY.exec(line) ?? []
    if (code === undefined) throw malformed(`the server sent ${quote(line)} for an SMTP reply`)
    first ??= code
    if (code !== first) throw malformed(`an SMTP reply began with ${first} and went on with ${code}`)
    return mark !== '-'
  }
}

/** `name` is how the gateway calls itself: an address literal (RFC 5321 §4.1.3). Keeps the greeting. */
export function smtpAscent(name: string): Ascent<readonly string[]> {
  return dialogueAscent(climb(name))
}

function* climb(name: string): Dialogue<readonly string[]> {
  const greeting = yield ask(null)
  need(greeting, '220', 'greeted')
  const abilities = yield ask(`EHLO ${name}`)
  need(abilities, '250', 'answered EHLO')
  if (!abilities.slice(1).some(offersTls)) throw refused('the server does not offer STARTTLS')
  need(yield ask('STARTTLS'), '220', 'answered STARTTLS')
  return greeting
}

const ask = (say: string | null): Ask => ({ say, complete: replyLines() })

function need(reply: readonly string[], code: string, what: string): void {
  const last = reply.at(-1) ?? ''
  if (!last.startsWith(code)) throw refused(`the server ${what} with ${quote(last)}`)
}

function offersTls(line: string): boolean {
  return /^STARTTLS[ \t]*$/i.test(line.slice(4))
}

/** An EHLO answer without STARTTLS. */
export function hideStartTls(lines: readonly string[]): readonly string[] {
  const kept = lines.filter((line, index) => index === 0 || !offersTls(line))
  return kept.map(
    (line, index) => `${line.slice(0, 3)}${index === kept.length - 1 ? ' ' : '-'}${line.slice(4)}`,
  )
}

const forward = (show: Extract<Tracked, { kind: 'forward' }>['show']): Tracked => ({
  kind: 'forward',
  complete: tolerant(),
  show,
})

/** Inside TLS a reply that is none is the client's to judge. */
function tolerant(): Complete {
  return (line) => !/^[2-5][0-9]{2}-/.test(line)
}

const SMTP_ANSWER = ['502 5.5.1 STARTTLS is not offered: the connection to the server is encrypted already']

export function smtpAdapter(greeting: readonly string[]): Translator {
  return new LineAdapter({
    greeting,
    track(line) {
      if (STARTTLS.test(line)) return { kind: 'answer', lines: SMTP_ANSWER }
      if (/^EHLO(?: |$)/i.test(line)) return forward(hideStartTls)
      return /^HELO(?: |$)/i.test(line) || BARE.test(line) ? forward(null) : null
    },
  })
}

export function smtpPreamble(): Preamble {
  return linePreamble({
    greeting: replyLines,
    verb: (line) => line.split(' ', 1)[0] ?? '',
    command(line): Command | null {
      if (HELLO.test(line) || BARE.test(line)) return { complete: replyLines(), agrees: null }
      if (!STARTTLS.test(line)) return null
      return { complete: replyLines(), agrees: (last) => last.startsWith('220') }
    },
  })
}

/** RFC 5321 §3.1: 554 as greeting says that there is no SMTP service here, 421 that it may be there later. */
export function smtpRefusal(words: RefusalWords): Refusing {
  return refusingAtOnce(words, ({ kind, text }) =>
    Buffer.from(`${kind === 'denied' ? '554 5.7.1' : '421 4.3.2'} ${text}\r\n`, 'latin1'),
  )
}

export function createSmtp(): StartTls {
  return {
    name: 'smtp',
    async upgrade(raw) {
      const address = raw.localAddress ?? '127.0.0.1'
      const name = isIPv6(address) ? `[IPv6:${address}]` : `[${address}]`
      const greeting = await ascend(raw, smtpAscent(name))
      return { adapt: (tls) => new AdaptedStream(tls, smtpAdapter(greeting)) }
    },
    preamble: smtpPreamble,
    refusal: smtpRefusal,
  }
}
