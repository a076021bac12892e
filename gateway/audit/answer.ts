// What a client is told when it is refused: an RFC 9457 problem document and Proxy-Status (RFC 9209), by the reasons
// table. Security: whatever tells an unknown destination from a denied one, or one policy from another, lets a client
// map what exists; so those codes share one answer, which differs by the session id alone.
import { STATUS_CODES } from 'node:http'
import { isDisclosed, REASONS } from './reasons.ts'
import type { ProxyError, ReasonCode } from './reasons.ts'

export interface Refusal {
  readonly status: number
  /** Lower-case names, as HTTP/2 demands; the listener adds what is its protocol's own: length and connection. */
  readonly headers: Readonly<Record<string, string>>
  /** JSON in ASCII. */
  readonly body: string
}

/**
 * The answer to a request that ends with `code`. A code of an open session has no answer of its own; asked for one, it
 * answers like a fault of the gateway, which is what that is.
 */
export function refusalFor(code: ReasonCode, sessionId: string): Refusal {
  const { status, proxyError } = answerOf(code)
  const disclosed = isDisclosed(code)
  const title = STATUS_CODES[status] ?? 'Refused'
  const body = `${JSON.stringify({ title, status, session: sessionId, ...(disclosed ? { code } : {}) })}\n`
  return {
    status,
    headers: {
      'content-type': 'application/problem+json',
      'cache-control': 'no-store',
      // Codes are kebab-case, so they need no escaping inside a structured field's string (RFC 9651 §3.3.3).
      'proxy-status': `sallyport; error=${proxyError}${disclosed ? `; details="${code}"` : ''}`,
      // RFC 9110 §15.5.6: a 405 must say what is allowed; §11.7.1: a 407 what is asked for. Clients take the first that
      // they know: curl and most libraries know Basic alone.
      ...(status === 405 ? { allow: 'CONNECT' } : {}),
      ...(status === 407
        ? { 'proxy-authenticate': 'Bearer realm="sallyport", Basic realm="sallyport"' }
        : {}),
    },
    body,
  }
}

interface Answer {
  readonly status: number
  readonly proxyError: ProxyError
}

const CONCEALED: Answer = { status: 403, proxyError: 'http_request_denied' }
const FAULT: Answer = { status: 500, proxyError: 'proxy_internal_error' }

/** The codes that share one answer (design §4); decided here by prefix, so that no entry of the table can differ. */
export function isConcealed(code: ReasonCode): boolean {
  return /^(?:destination|revoked|policy|address)-/.test(code)
}

function answerOf(code: ReasonCode): Answer {
  if (isConcealed(code)) return CONCEALED
  const { status, proxyError } = REASONS[code]
  return status === null || proxyError === null ? FAULT : { status, proxyError }
}
