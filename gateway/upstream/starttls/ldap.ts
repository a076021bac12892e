// LDAP (RFC 4511) with the StartTLS operation (§4.14): one request, and its response decides.
import { AdaptedStream } from './adapted-stream.ts'
import { ascend } from './ascend.ts'
import { BerError } from './ldap/ber.ts'
import { injected, malformed, quote, refused } from './failures.ts'
import { LdapAdapter } from './ldap/adapter.ts'
import {
  BIND_REQUEST,
  BIND_RESPONSE,
  EXTENDED_REQUEST,
  EXTENDED_RESPONSE,
  type LdapMessage,
  noticeOfDisconnection,
  readMessage,
  readResult,
  response,
  RESULT,
  startTlsRequest,
} from './ldap/messages.ts'
import { type Ascent, NOTHING } from './machine.ts'
import { LdapPreamble } from './ldap/preamble.ts'
import { oneLine } from './refusals.ts'
import type { Refusing, RefusalWords, StartTls } from './types.ts'

/** A response to StartTLS is of some 20 bytes; referrals and diagnostics make it longer. */
export const MAX_RESPONSE_BYTES = 16_384
const OUR_ID = 1

export function ldapAscent(): Ascent<null> {
  let held: Buffer = NOTHING
  return {
    opening: startTlsRequest(OUR_ID),
    feed(bytes) {
      held = Buffer.concat([held, bytes])
      const answer = serverMessage(held)
      if (answer === null) return { next: 'plain', say: NOTHING }
      judgeResponse(answer, OUR_ID)
      if (held.length > answer.bytes.length) throw injected()
      return { next: 'tls', say: NOTHING, kept: null }
    },
  }
}

function serverMessage(bytes: Buffer): LdapMessage | null {
  try {
    return readMessage(bytes, MAX_RESPONSE_BYTES)
  } catch (error) {
    throw error instanceof BerError ? malformed(`the server sent ${error.message}`) : error
  }
}

function judgeResponse(answer: LdapMessage, id: number): void {
  const { tag } = answer.operation
  if (tag !== EXTENDED_RESPONSE || (answer.id !== id && answer.id !== 0)) {
    throw malformed(`the server answered StartTLS with operation ${tag} of messageID ${answer.id}`)
  }
  const { code, diagnostic } = resultOf(answer)
  if (answer.id === 0) throw refused(`the server disconnects: resultCode ${code}, ${quote(diagnostic)}`)
  if (code !== RESULT.success)
    throw refused(`the server answered StartTLS with resultCode ${code}, ${quote(diagnostic)}`)
}

function resultOf({ operation }: LdapMessage): ReturnType<typeof readResult> {
  try {
    return readResult(operation)
  } catch (error) {
    throw error instanceof BerError ? malformed(`the server sent ${error.message}`) : error
  }
}

/** No bind that a client sends is longer than this before we know what it is. */
const MAX_FIRST_BYTES = 8192

/**
 * A Notice of Disconnection. Clients of libldap show nothing of it, so a first request that has a response of its own
 * (bind, an extended operation) is answered too.
 */
export function ldapRefusal(words: RefusalWords): Refusing {
  const code = words.kind === 'denied' ? RESULT.insufficientAccessRights : RESULT.unavailable
  const text = oneLine(words.text)
  const notice = noticeOfDisconnection(code, text)
  let held: Buffer = NOTHING
  return {
    answer(bytes) {
      held = Buffer.concat([held, bytes])
      const first = firstRequest(held)
      if (first === 'incomplete') return { reply: NOTHING, over: false }
      return {
        reply: Buffer.concat([first === null ? NOTHING : answerTo(first, code, text), notice]),
        over: true,
      }
    },
  }
}

/** Null = no LDAP. */
function firstRequest(bytes: Buffer): LdapMessage | null | 'incomplete' {
  try {
    return readMessage(bytes, MAX_FIRST_BYTES) ?? 'incomplete'
  } catch (error) {
    if (error instanceof BerError) return null
    throw error
  }
}

function answerTo({ id, operation }: LdapMessage, code: number, text: string): Buffer {
  if (operation.tag === BIND_REQUEST) return response(BIND_RESPONSE, id, code, text)
  return operation.tag === EXTENDED_REQUEST ? response(EXTENDED_RESPONSE, id, code, text) : NOTHING
}

export function createLdap(): StartTls {
  return {
    name: 'ldap',
    async upgrade(raw) {
      await ascend(raw, ldapAscent())
      return { adapt: (tls) => new AdaptedStream(tls, new LdapAdapter()) }
    },
    preamble: () => new LdapPreamble(),
    refusal: ldapRefusal,
  }
}
