// Gives a failed TLS connection its reason code. Node reports most of it as an Error whose `code` is made of OpenSSL's
// reason string, which changes between OpenSSL releases; alerts are therefore told by their number.
import type { ReasonCode } from '../audit/reasons.ts'
import { type CertificateSeen, explainVerdict } from './certificate-chain.ts'
import { UpstreamError } from './types.ts'

export interface TlsSituation {
  /** The server asked for a client certificate. */
  readonly asked: boolean
  /** We had one for this workload. */
  readonly presented: boolean
  /** The handshake's messages were through, so the error is the verdict on the server's certificate. */
  readonly finished: boolean
  /** What the server showed, leaf first. */
  readonly chain: readonly CertificateSeen[]
}

/** Alerts by which a server judges a client certificate (RFC 8446 §6.2; 41 is no_certificate of SSL 3.0). */
const CERTIFICATE_ALERTS: ReadonlySet<number> = new Set([41, 42, 43, 44, 45, 46, 48, 49, 116])
/** Also the answer to a ClientHello in which nothing fits. */
const HANDSHAKE_FAILURE = 40
/** What an alert says that comes before any certificate was asked for (RFC 8446 §6.2, RFC 7301 §3.2). */
const HELLO_ALERTS: Readonly<Record<number, ReasonCode>> = {
  [HANDSHAKE_FAILURE]: 'upstream-tls-cipher',
  70: 'upstream-tls-protocol',
  71: 'upstream-tls-cipher',
  120: 'upstream-tls-alpn',
}

/** `X509_V_ERR_…` as Node names them. */
const VERDICTS: Readonly<Record<string, ReasonCode>> = {
  CERT_HAS_EXPIRED: 'upstream-tls-certificate-expired',
  CERT_NOT_YET_VALID: 'upstream-tls-certificate-not-yet-valid',
  UNABLE_TO_GET_ISSUER_CERT: 'upstream-tls-certificate-untrusted',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'upstream-tls-certificate-untrusted',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'upstream-tls-certificate-untrusted',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'upstream-tls-certificate-untrusted',
  SELF_SIGNED_CERT_IN_CHAIN: 'upstream-tls-certificate-untrusted',
  CERT_SIGNATURE_FAILURE: 'upstream-tls-certificate-untrusted',
  CERT_UNTRUSTED: 'upstream-tls-certificate-untrusted',
}

/** Errors that OpenSSL raises on our side before any verdict. */
const LOCAL: readonly (readonly [RegExp, ReasonCode])[] = [
  [
    /WRONG_VERSION_NUMBER|HTTP_REQUEST|PACKET_LENGTH_TOO_LONG|BAD_RECORD_TYPE|NOT_TLS/,
    'upstream-tls-plaintext',
  ],
  [/UNSUPPORTED_PROTOCOL|VERSION_TOO_LOW|WRONG_SSL_VERSION|NO_PROTOCOLS/, 'upstream-tls-protocol'],
  [/NO_SHARED_CIPHER|WRONG_CIPHER|UNKNOWN_CIPHER|DH_PARAM_SIZE|DH_KEY_TOO_SMALL/, 'upstream-tls-cipher'],
  [/(?:EE|CA)_KEY_TOO_SMALL|CA_MD_TOO_WEAK|CERTIFICATE_VERIFY_FAILED/, 'upstream-tls-certificate-refused'],
]

const BROKEN: ReadonlySet<string> = new Set(['ECONNRESET', 'EPIPE', 'ECONNABORTED'])

/** The error to report for what ended a handshake. Our own verdicts (name, pin) pass through as they are. */
export function tlsFailure(error: Error, situation: TlsSituation): UpstreamError {
  if (error instanceof UpstreamError) return error
  const verdict = situation.finished ? explainVerdict(codeOf(error), situation.chain, new Date()) : null
  const detail = verdict === null ? describe(error) : `${verdict} (${codeOf(error)})`
  return new UpstreamError(handshakeCode(error, situation), detail, { cause: error })
}

/** A server that ended, reset or sent an alert after it had asked for a client certificate. */
export function clientCertificateFailure(
  cause: Error | null,
  situation: Pick<TlsSituation, 'presented'>,
): UpstreamError {
  const detail = cause === null ? 'the server ended the connection after the handshake' : describe(cause)
  return new UpstreamError(clientCertificateCode(situation), detail, cause === null ? {} : { cause })
}

/** The code of an error on a connection that was open already. */
export function lateCode(error: Error, situation: Pick<TlsSituation, 'asked' | 'presented'>): ReasonCode {
  const alert = alertOf(error)
  if (situation.asked && alert !== null && CERTIFICATE_ALERTS.has(alert)) {
    return clientCertificateCode(situation)
  }
  return BROKEN.has(codeOf(error)) ? 'relay-upstream-reset' : 'relay-upstream-failed'
}

/** The number of the alert that the server sent; null where the error is no alert of the server's. */
export function alertOf(error: Error): number | null {
  const match = /SSL alert number (\d{1,3})/.exec(error.message)
  return match === null ? null : Number(match[1])
}

function handshakeCode(error: Error, situation: TlsSituation): ReasonCode {
  const code = codeOf(error)
  if (situation.finished) {
    return (
      VERDICTS[code] ??
      LOCAL.find(([pattern]) => pattern.test(code))?.[1] ??
      'upstream-tls-certificate-refused'
    )
  }
  const alert = alertOf(error)
  if (alert !== null) return alertCode(alert, situation)
  if (BROKEN.has(code)) {
    // Below TLS 1.3 a server that judges in its own code, as Node's does, just closes where others send an alert.
    return situation.asked ? clientCertificateCode(situation) : 'upstream-tls-closed'
  }
  return LOCAL.find(([pattern]) => pattern.test(code))?.[1] ?? 'upstream-tls-handshake-failed'
}

function alertCode(alert: number, situation: TlsSituation): ReasonCode {
  if (situation.asked && (CERTIFICATE_ALERTS.has(alert) || alert === HANDSHAKE_FAILURE)) {
    return clientCertificateCode(situation)
  }
  return HELLO_ALERTS[alert] ?? 'upstream-tls-handshake-failed'
}

function clientCertificateCode(situation: Pick<TlsSituation, 'presented'>): ReasonCode {
  return situation.presented
    ? 'upstream-tls-client-certificate-refused'
    : 'upstream-tls-client-certificate-required'
}

function codeOf(error: Error): string {
  return 'code' in error && typeof error.code === 'string' ? error.code : ''
}

/** OpenSSL's reason where there is one: its message holds a thread id and the path of a source file. */
function describe(error: Error): string {
  const alert = alertOf(error)
  const reason = 'reason' in error && typeof error.reason === 'string' ? error.reason : error.message
  const text = codeOf(error) === '' || reason !== error.message ? reason : `${reason} (${codeOf(error)})`
  return alert === null ? text : `${text} (alert ${alert})`
}
