// The chain that a server showed, as far as an explanation of its refusal needs it. All of it is the server's own words:
// what is shown is cut and escaped.
import type { DetailedPeerCertificate } from 'node:tls'

export interface CertificateSeen {
  /** `CN=api.bank.example, O=Bank`. */
  readonly subject: string
  readonly issuer: string
  readonly validFrom: Date
  readonly validTo: Date
}

const MAX_DEPTH = 10
const MAX_NAME_LENGTH = 150

/** Leaf first, with the issuers that Node found among the sent ones and our roots; empty where none was shown. */
export function readChain(leaf: Partial<DetailedPeerCertificate>): readonly CertificateSeen[] {
  const chain: CertificateSeen[] = []
  const seen = new Set<object>()
  let at: Partial<DetailedPeerCertificate> | undefined = leaf
  // A root is its own issuer.
  while (at?.valid_to !== undefined && !seen.has(at) && chain.length < MAX_DEPTH) {
    seen.add(at)
    chain.push({
      subject: nameOf(at.subject),
      issuer: nameOf(at.issuer),
      validFrom: new Date(at.valid_from ?? ''),
      validTo: new Date(at.valid_to),
    })
    at = at.issuerCertificate
  }
  return chain
}

/** Node gives an attribute that stands there several times as a list. */
function nameOf(name: object | undefined): string {
  const parts = Object.entries(name ?? {}).flatMap(([key, values]: [string, unknown]) =>
    (Array.isArray(values) ? values : [values]).map((value) => `${key}=${String(value)}`),
  )
  const text = parts.join(', ').replaceAll(/[^\x20-\x7e]/g, '?')
  if (text === '') return 'a name without a subject'
  return text.length > MAX_NAME_LENGTH ? `${text.slice(0, MAX_NAME_LENGTH)}…` : text
}

/** Why OpenSSL refused the chain, by its name for it (`X509_V_ERR_…`) and the chain; null where that adds nothing. */
export function explainVerdict(verdict: string, chain: readonly CertificateSeen[], now: Date): string | null {
  const [leaf] = chain
  const last = chain.at(-1)
  if (leaf === undefined || last === undefined) return null
  switch (verdict) {
    case 'CERT_HAS_EXPIRED': {
      const expired = chain.find(({ validTo }) => validTo < now)
      return expired === undefined ? null : `${which(expired, leaf)} expired at ${iso(expired.validTo)}`
    }
    case 'CERT_NOT_YET_VALID': {
      const early = chain.find(({ validFrom }) => validFrom > now)
      return early === undefined ? null : `${which(early, leaf)} is not valid before ${iso(early.validFrom)}`
    }
    case 'DEPTH_ZERO_SELF_SIGNED_CERT':
      return `the server's certificate (${leaf.subject}) is self-signed and is no root of the destination`
    case 'SELF_SIGNED_CERT_IN_CHAIN':
      return `the server's chain ends in a root (${last.subject}) that is none of the destination's`
    case 'UNABLE_TO_GET_ISSUER_CERT':
    case 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY':
    case 'UNABLE_TO_VERIFY_LEAF_SIGNATURE':
      return `the issuer (${last.issuer}) was not sent by the server and is no root of the destination`
    case 'CERT_SIGNATURE_FAILURE':
      return `a root of the destination has the issuer's name (${last.issuer}) and another key`
    default:
      return null
  }
}

function which(one: CertificateSeen, leaf: CertificateSeen): string {
  return one === leaf ? `the server's certificate (${one.subject})` : `a CA in its chain (${one.subject})`
}

/** A date that cannot be read must not end the explanation. */
function iso(date: Date): string {
  return Number.isNaN(date.getTime()) ? 'an unreadable date' : date.toISOString()
}
