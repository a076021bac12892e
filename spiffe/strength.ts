// Which keys and signatures are strong enough to carry an identity. OpenSSL's chain check accepts SHA-1 and 1024-bit
// RSA at its default level, so the line is drawn here.
import type { KeyObject, X509Certificate } from 'node:crypto'
import type { CertificateFacts } from './certificate.ts'

/** OID content octets: ecdsa-with-SHA256/384/512, sha256/384/512WithRSAEncryption, RSASSA-PSS, Ed25519. */
const STRONG_SIGNATURES: ReadonlySet<string> = new Set([
  '2a8648ce3d040302',
  '2a8648ce3d040303',
  '2a8648ce3d040304',
  '2a864886f70d01010b',
  '2a864886f70d01010c',
  '2a864886f70d01010d',
  '2a864886f70d01010a',
  '2b6570',
])
const STRONG_CURVES: ReadonlySet<string> = new Set(['prime256v1', 'secp384r1', 'secp521r1'])
const MIN_RSA_BITS = 2048
/** Beyond this a key costs the verifier more than it is worth: giant keys have been a denial of service. */
const MAX_RSA_BITS = 8192

/** RSASSA-PSS counts as strong here: OpenSSL refuses weak digests in it when it verifies. */
export function hasStrongSignature(facts: CertificateFacts): boolean {
  return STRONG_SIGNATURES.has(facts.signatureAlgorithm)
}

/** By object, since certificates never change; to read a key costs as much as to look at all the rest. */
const strong = new WeakMap<X509Certificate, boolean>()

export function hasStrongKey(certificate: X509Certificate): boolean {
  const known = strong.get(certificate)
  if (known !== undefined) return known
  const key = readKey(certificate)
  const found = key !== null && isStrongKey(key)
  strong.set(certificate, found)
  return found
}

export function isStrongKey({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject): boolean {
  if (asymmetricKeyType === 'ed25519') return true
  if (asymmetricKeyType === 'ec') return STRONG_CURVES.has(asymmetricKeyDetails?.namedCurve ?? '')
  if (asymmetricKeyType !== 'rsa' && asymmetricKeyType !== 'rsa-pss') return false
  const bits = asymmetricKeyDetails?.modulusLength ?? 0
  return bits >= MIN_RSA_BITS && bits <= MAX_RSA_BITS
}

/** null where OpenSSL cannot read the key: an unknown algorithm, or a point that is not on its curve. */
function readKey(certificate: X509Certificate): KeyObject | null {
  try {
    return certificate.publicKey
  } catch {
    return null
  }
}
