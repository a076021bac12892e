// Who is at the other end of a downstream connection. OpenSSL judges the chain, spiffe/ judges it again by the
// X509-SVID standard (OpenSSL accepts CA certificates, several URI SANs and IDs of foreign trust domains); both must
// agree. Trusts the bundles alone, as they are at the moment of the question.
import type { X509Certificate } from 'node:crypto'
import type { TLSSocket } from 'node:tls'
import type { Bundle } from '../../spiffe/bundle.ts'
import { readCertificate } from '../../spiffe/certificate.ts'
import type { SpiffeId } from '../../spiffe/id.ts'
import { SvidError, type SvidErrorCode, verifyX509Svid } from '../../spiffe/x509-svid.ts'
import type { Credential } from '../audit/events.ts'
import type { ReasonCode } from '../audit/reasons.ts'
import type { LinkerdTrust } from '../config/types.ts'
import { LinkerdNameError, verifyLinkerdLeaf } from './linkerd-verify.ts'

export type Principal =
  | { readonly kind: 'workload'; readonly id: SpiffeId }
  /** Where somebody connects from, for those that can show no identity (`networks`). */
  | { readonly kind: 'network'; readonly name: string }

export interface Identified {
  readonly ok: true
  readonly principal: Principal
  readonly credential: Credential
  /** Lower-case hex, two digits a byte; empty where there is no certificate. */
  readonly serialNumber: string
  /** `jti` of the token, or its digest; null where there is none. */
  readonly tokenId: string | null
  /** `kid` of the key that verified the token; null where there is none. */
  readonly tokenKeyId: string | null
  /** Of the SVID; null where there is none. */
  readonly expiresAt: Date | null
  /** Leaf first, root last: kept with the session to judge it again. Empty where there is no certificate. */
  readonly chain: readonly X509Certificate[]
}

export interface Unidentified {
  readonly ok: false
  readonly code: ReasonCode
  readonly detail: string | null
}

export type Identity = Identified | Unidentified

const CODES: Readonly<Record<SvidErrorCode, ReasonCode>> = {
  malformed: 'client-certificate-malformed',
  'no-uri': 'client-svid-no-uri',
  'multiple-uris': 'client-svid-multiple-uris',
  'malformed-id': 'client-svid-malformed-id',
  'no-path': 'client-svid-no-path',
  'is-ca': 'client-svid-is-ca',
  'key-usage': 'client-svid-key-usage',
  'extended-key-usage': 'client-svid-extended-key-usage',
  'weak-key': 'client-certificate-weak',
  'weak-signature': 'client-certificate-weak',
  expired: 'client-certificate-expired',
  'not-yet-valid': 'client-certificate-not-yet-valid',
  'chain-expired': 'client-certificate-chain-expired',
  'trust-domain-unknown': 'client-trust-domain-unknown',
  untrusted: 'client-certificate-untrusted',
}

/** The certificates that a peer sent, leaf first; empty where it sent none. */
export type PeerChain = readonly X509Certificate[]

/** Reads the peer's chain; on Node 24.21 it is only there while 'secure' is emitted (nodejs/node#65579). */
export function readPeerChain(socket: TLSSocket): PeerChain {
  const chain: X509Certificate[] = []
  const seen = new Set<string>()
  // What Node calls issuer is the next that was sent, whether it issued anything or not: a list with an end, in which
  // clients repeat themselves (a leaf in its own chain), and what comes behind a repeat may be the CA that matters.
  for (let next = socket.getPeerX509Certificate(); next !== undefined; next = next.issuerCertificate) {
    if (seen.has(next.fingerprint256)) continue
    seen.add(next.fingerprint256)
    chain.push(next)
  }
  return chain
}

/** Whom a listener believes. */
export interface ListenerTrust {
  /** Undefined where IDs of the trust domain are not let in here. */
  readonly bundle: (trustDomain: string) => Bundle | undefined
  /** On a `linkerd` listener, for leaves that have no SPIFFE ID, and which of the IDs made of them are let in. */
  readonly linkerd: { readonly trust: LinkerdTrust; readonly trustDomains: readonly string[] } | null
}

/** The verdict on a chain at `now`; asked again for each tunnel of a long-lived HTTP/2 connection. */
export function identify(
  peer: PeerChain,
  openssl: { readonly authorized: boolean; readonly error: string | null },
  trust: ListenerTrust,
  now: Date,
): Identity {
  const [leaf, ...intermediates] = peer
  if (leaf === undefined) return { ok: false, code: 'client-certificate-missing', detail: null }
  try {
    const { id, chain } =
      trust.linkerd !== null && !hasUri(leaf)
        ? verifyLinkerdLeaf({ leaf, intermediates, ...trust.linkerd, now })
        : verifyX509Svid({ leaf, intermediates, bundle: trust.bundle, now, purpose: 'client' })
    if (!openssl.authorized) return { ok: false, code: 'client-certificate-refused', detail: openssl.error }
    return {
      ok: true,
      principal: { kind: 'workload', id },
      credential: 'certificate',
      serialNumber: serialNumber(leaf),
      tokenId: null,
      tokenKeyId: null,
      expiresAt: leaf.validToDate,
      chain,
    }
  } catch (error) {
    if (error instanceof SvidError) return { ok: false, code: CODES[error.code], detail: error.message }
    if (error instanceof LinkerdNameError) return { ok: false, code: error.code, detail: error.message }
    // Anybody can send any certificate: what our reading did not foresee must refuse him, not end the process.
    const detail = error instanceof Error ? error.message : String(error)
    return { ok: false, code: 'client-certificate-malformed', detail }
  }
}

function hasUri(leaf: X509Certificate): boolean {
  return readCertificate(leaf).uris.length > 0
}

/** Node prints upper-case hex without a leading zero digit; the contract is lower case and two digits a byte. */
function serialNumber(leaf: X509Certificate): string {
  const hex = leaf.serialNumber.toLowerCase()
  return hex.length % 2 === 0 ? hex : `0${hex}`
}
