// Whether a token's signature holds (RFC 7515 §5.2, the algorithms of RFC 7518 §3), at once and on this thread: the library
// asks WebCrypto, whose trip to another thread costs more than the verification itself. A test holds every answer against
// the library's. Trusts the key, which the issuer published, and nothing in the token.
import { constants, type KeyObject, verify } from 'node:crypto'
import type { Algorithm, CompactToken } from './token.ts'

/** RFC 7518 §3.4: r and s, each as long as the curve's order. */
const EC_SIGNATURE_BYTES: Partial<Record<Algorithm, number>> = { ES256: 64, ES384: 96, ES512: 132 }

function encodingOf(algorithm: Algorithm, key: KeyObject) {
  if (algorithm.startsWith('ES')) return { key, dsaEncoding: 'ieee-p1363' as const }
  if (algorithm.startsWith('RS')) return { key, padding: constants.RSA_PKCS1_PADDING }
  // §3.5: the salt is as long as the hash. Any other length would be a second form of the same signature.
  return {
    key,
    padding: constants.RSA_PKCS1_PSS_PADDING,
    saltLength: constants.RSA_PSS_SALTLEN_DIGEST,
  }
}

/**
 * @param key of the type and curve that `token.algorithm` is for, as `importKey` gives it
 */
export function isTokenSignedBy(token: CompactToken, key: KeyObject): boolean {
  const { algorithm, text } = token
  const end = text.lastIndexOf('.')
  const signature = Buffer.from(text.slice(end + 1), 'base64url')
  const length = EC_SIGNATURE_BYTES[algorithm]
  if (length !== undefined && signature.length !== length) return false
  const hash = `sha${algorithm.slice(2)}`
  return verify(hash, Buffer.from(text.slice(0, end), 'latin1'), encodingOf(algorithm, key), signature)
}
