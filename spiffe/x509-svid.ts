// X.509-SVIDs: what a leaf must be by standards/X509-SVID.md, and whether a chain leads to a root of the leaf's own
// trust domain (RFC 5280 §6, the part that SVIDs need). A root verifies IDs of its own trust domain alone. Trusts the
// bundles handed in and nothing in the certificates.
import type { X509Certificate } from 'node:crypto'
import type { Bundle } from './bundle.ts'
import { type CertificateFacts, readCertificate } from './certificate.ts'
import { buildChain } from './chain.ts'
import { parseSpiffeId, SpiffeIdError, type SpiffeId } from './id.ts'
import { hasStrongKey, hasStrongSignature } from './strength.ts'
import { SvidError } from './svid-error.ts'

export { SvidError, type SvidErrorCode } from './svid-error.ts'

export interface VerifyOptions {
  readonly leaf: X509Certificate
  /** What the peer sent besides, in any order. */
  readonly intermediates: readonly X509Certificate[]
  /** The bundle of a trust domain; undefined where it is not trusted. */
  readonly bundle: (trustDomain: string) => Bundle | undefined
  readonly now: Date
  readonly purpose: 'client' | 'server'
}

export interface VerifiedSvid {
  readonly id: SpiffeId
  /** Leaf first, root last. */
  readonly chain: readonly X509Certificate[]
}

/** id-kp-serverAuth and id-kp-clientAuth as OID content octets. */
const SERVER_AUTH = '2b06010505070301'
export const CLIENT_AUTH = '2b06010505070302'

/** The facts of `certificate`, or SvidError `malformed`. */
function factsOf(certificate: X509Certificate): CertificateFacts {
  try {
    return readCertificate(certificate)
  } catch (error) {
    throw new SvidError('malformed', error instanceof Error ? error.message : 'cannot be read')
  }
}

/** Of leaves that were found to be right, by object, since certificates never change. */
const rightLeaves = new WeakMap<X509Certificate, SpiffeId>()

/** The SPIFFE ID of a leaf that keeps X509-SVID.md §2 to §4; its chain and time are not looked at. @throws SvidError */
export function checkX509SvidLeaf(leaf: X509Certificate): SpiffeId {
  const known = rightLeaves.get(leaf)
  if (known !== undefined) return known
  const facts = factsOf(leaf)
  const id = readId(facts)
  if (facts.isCa) throw new SvidError('is-ca', 'the leaf is a CA certificate')
  // §2 and §5.2: an ID without path is a trust domain's own and may stand in signing certificates alone.
  if (id.path === '') throw new SvidError('no-path', 'the SPIFFE ID has no path')
  checkLeafForm(leaf, facts)
  rightLeaves.set(leaf, id)
  return id
}

/** What a leaf must be whatever its name is: usages, criticality, strength. @throws SvidError */
export function checkLeafForm(leaf: X509Certificate, facts: CertificateFacts): void {
  if (facts.isCa) throw new SvidError('is-ca', 'the leaf is a CA certificate')
  checkUsage(facts)
  if (facts.subjectEmpty && !facts.sanCritical) {
    throw new SvidError(
      'malformed',
      'the subject is empty and the SAN extension is not critical (RFC 5280 §4.2.1.6)',
    )
  }
  if (facts.hasUnknownCritical) throw new SvidError('malformed', 'a critical extension is not understood')
  if (!hasStrongSignature(facts))
    throw new SvidError('weak-signature', 'the signature algorithm is not accepted')
  if (!hasStrongKey(leaf))
    throw new SvidError('weak-key', 'the key is not RSA of 2048 to 8192 bits, P-256, P-384, P-521 or Ed25519')
}

function readId(facts: CertificateFacts): SpiffeId {
  const [uri, ...more] = facts.uris
  if (uri === undefined) throw new SvidError('no-uri', 'there is no URI SAN')
  if (more.length > 0) throw new SvidError('multiple-uris', `there are ${facts.uris.length} URI SANs`)
  try {
    return parseSpiffeId(uri)
  } catch (error) {
    if (!(error instanceof SpiffeIdError)) throw error
    throw new SvidError('malformed-id', error.message)
  }
}

function checkUsage({ keyUsage, extendedKeyUsage }: CertificateFacts): void {
  if (keyUsage === null) throw new SvidError('key-usage', 'there is no KeyUsage')
  if (!keyUsage.critical) throw new SvidError('key-usage', 'KeyUsage is not critical')
  if (!keyUsage.digitalSignature) throw new SvidError('key-usage', 'KeyUsage has no digitalSignature')
  if (keyUsage.keyCertSign || keyUsage.cRLSign)
    throw new SvidError('key-usage', 'KeyUsage has keyCertSign or cRLSign')
  // §4.4: where it is there it must name both, or the SVID serves one side of mTLS alone.
  if (extendedKeyUsage === null) return
  if (!extendedKeyUsage.has(SERVER_AUTH) || !extendedKeyUsage.has(CLIENT_AUTH)) {
    throw new SvidError('extended-key-usage', 'ExtendedKeyUsage lacks serverAuth or clientAuth')
  }
}

/** The identity that a peer has proven. @throws SvidError */
export function verifyX509Svid(options: VerifyOptions): VerifiedSvid {
  const { leaf, now, purpose } = options
  const id = checkX509SvidLeaf(leaf)
  const bundle = options.bundle(id.trustDomain)
  if (bundle === undefined)
    throw new SvidError('trust-domain-unknown', `${id.trustDomain} is not trusted here`)
  const chain = buildChain({
    leaf,
    leafFacts: readCertificate(leaf),
    id,
    intermediates: options.intermediates,
    bundle,
    now,
    purposeOid: purpose === 'client' ? CLIENT_AUTH : SERVER_AUTH,
  })
  if (now < leaf.validFromDate)
    throw new SvidError('not-yet-valid', `valid from ${leaf.validFromDate.toISOString()}`)
  if (now > leaf.validToDate) throw new SvidError('expired', `expired at ${leaf.validToDate.toISOString()}`)
  return { id, chain }
}
