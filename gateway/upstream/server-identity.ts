// Whether a server's certificate is for the name that we wanted, and whether its key is a pinned one. Called only
// after the chain was verified. The certificate is the server's own words: what is shown of it is cut and escaped.
import { createHash, X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import { checkServerIdentity, type PeerCertificate } from 'node:tls'
import { domainToASCII } from 'node:url'
import { UpstreamError } from './types.ts'

const MAX_NAMES_SHOWN = 300

export interface ExpectedServer {
  /** A canonical DNS name or IP literal. */
  readonly name: string
  /** Base64 SHA-256 over the SubjectPublicKeyInfo; empty = no pins. Pins come in addition to the name. */
  readonly pins: readonly string[]
}

/** Undefined where the certificate is right, else the error to end the handshake with (Node's own convention). */
export function judgeServerCertificate(
  expected: ExpectedServer,
  peer: PeerCertificate,
): UpstreamError | undefined {
  const { name, pins } = expected
  if (!isCanonicalName(name) || checkServerIdentity(name, withoutCommonName(peer)) !== undefined) {
    return new UpstreamError('upstream-tls-name-mismatch', `${name}: ${namesOf(peer)}`)
  }
  if (pins.length === 0) return undefined
  const pin = spkiPin(new X509Certificate(peer.raw))
  if (pins.includes(pin)) return undefined
  return new UpstreamError('upstream-tls-pin-mismatch', `the server's key is sha256/${pin}`)
}

/** Base64 SHA-256 over the SubjectPublicKeyInfo, as in RFC 7469 §2.4. */
export function spkiPin(certificate: X509Certificate): string {
  const spki = certificate.publicKey.export({ type: 'spki', format: 'der' })
  return createHash('sha256').update(spki).digest('base64')
}

/**
 * Node matches the subject's CN where no DNS name stands in the SAN, even if the SAN has other names. RFC 9525 §6.3
 * forbids it: the CN is free text that many CAs do not check.
 */
function withoutCommonName(peer: PeerCertificate): PeerCertificate {
  return { ...peer, subject: { ...peer.subject, CN: '' } }
}

/**
 * Node normalises the name before it compares: `127.1` becomes `127.0.0.1`, full-width digits become ASCII. A name
 * that changes in it is not the one that was authorised.
 */
function isCanonicalName(name: string): boolean {
  return isIP(name) !== 0 || domainToASCII(name) === name
}

function namesOf(peer: PeerCertificate): string {
  const names = peer.subjectaltname
  if (names === undefined || names === '') return 'the certificate has no subject alternative name'
  const shown = names.length > MAX_NAMES_SHOWN ? `${names.slice(0, MAX_NAMES_SHOWN)} …` : names
  return `the certificate is for ${shown.replaceAll(/[^\x20-\x7e…]/g, '?')}`
}
