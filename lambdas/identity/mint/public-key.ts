// Which public keys may be certified: RSA of 2048 to 4096 bits with exponent 65537, and P-256 and P-384 as uncompressed
// points on a named curve. Everything else is refused, because each reader of a chain must be able to use it. Ed25519 is
// refused too: much of what verifies an SVID (browsers, older Java, AWS services) cannot, and nobody needs it here.
import { createPublicKey, type KeyObject } from 'node:crypto'
import { CsrError } from './csr-error.ts'
import { findRsaWeakness } from './rsa-weakness.ts'

const MIN_RSA_BITS = 2048
const MAX_RSA_BITS = 4096
const RSA_EXPONENT = 65537n

/** SubjectPublicKeyInfo up to the point: algorithm, named curve, bit string, 0x04. Anything else is another encoding. */
const EC_PREFIXES: Readonly<Record<string, string>> = {
  prime256v1: '3059301306072a8648ce3d020106082a8648ce3d03010703420004',
  secp384r1: '3076301006072a8648ce3d020106052b8104002203620004',
}

function load(spki: Uint8Array): KeyObject {
  try {
    return createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' })
  } catch (error) {
    throw new CsrError('key-unsupported', 'the public key cannot be read', { cause: error })
  }
}

function checkRsa(key: KeyObject): void {
  const { modulusLength = 0, publicExponent } = key.asymmetricKeyDetails ?? {}
  if (modulusLength < MIN_RSA_BITS || modulusLength > MAX_RSA_BITS) {
    throw new CsrError('key-weak', `an RSA key has 2048 to 4096 bits, not ${modulusLength}`)
  }
  if (publicExponent !== RSA_EXPONENT) throw new CsrError('key-weak', 'the RSA exponent is not 65537')
  const modulus = BigInt(
    `0x${Buffer.from(key.export({ format: 'jwk' }).n ?? '', 'base64url').toString('hex')}`,
  )
  const weakness = findRsaWeakness(modulus)
  if (weakness !== null) throw new CsrError('key-weak', weakness)
}

function checkEc(key: KeyObject, spki: Uint8Array): void {
  const prefix = EC_PREFIXES[key.asymmetricKeyDetails?.namedCurve ?? '']
  if (prefix === undefined || !Buffer.from(spki).toString('hex').startsWith(prefix)) {
    throw new CsrError('key-unsupported', 'an EC key is an uncompressed point on P-256 or P-384')
  }
}

export interface CertifiableKey {
  readonly key: KeyObject
  /** The SPKI DER that OpenSSL writes for it. */
  readonly spki: Uint8Array<ArrayBuffer>
}

/**
 * The key where it may be certified.
 * @throws CsrError `key-unsupported`, `key-weak`
 */
export function checkPublicKey(spki: Uint8Array): CertifiableKey {
  const key = load(spki)
  if (key.asymmetricKeyType === 'rsa') checkRsa(key)
  else if (key.asymmetricKeyType === 'ec') checkEc(key, spki)
  else throw new CsrError('key-unsupported', 'the key is neither RSA nor EC')
  const canonical = key.export({ type: 'spki', format: 'der' })
  if (!canonical.equals(spki)) throw new CsrError('key-unsupported', 'the public key is not canonical DER')
  return { key, spki: new Uint8Array(canonical) }
}
