// The one key of a bundle that may verify a token. What a key is for is said by the bundle; the token only names it.
import { createPublicKey, type JsonWebKey, type KeyObject } from 'node:crypto'
import type { Bundle, JwtAuthority } from './bundle.ts'
import type { Algorithm } from './compact-token.ts'
import { JwtSvidError } from './jwt-svid-error.ts'
import { isStrongKey } from './strength.ts'

/** RFC 7518 §3.4: each ECDSA algorithm has one curve. */
const CURVES: Partial<Readonly<Record<Algorithm, string>>> = {
  ES256: 'P-256',
  ES384: 'P-384',
  ES512: 'P-521',
}

/** By the entry of a bundle: a bundle that is read anew has new ones. */
const imported = new WeakMap<JwtAuthority, KeyObject>()

/** @throws JwtSvidError `key-unknown`, `key-unfit`, `weak-key` */
export function findJwtKey(bundle: Bundle, keyId: string, algorithm: Algorithm): KeyObject {
  const [authority, ...more] = bundle.jwtAuthorities.filter((one) => one.keyId === keyId)
  if (authority === undefined) {
    throw new JwtSvidError('key-unknown', `${bundle.trustDomain} publishes no JWT key of that name`)
  }
  // RFC 7517 §4.5 lets keys of different types share a name; the token would choose between them by its alg.
  if (more.length > 0)
    throw new JwtSvidError('key-unfit', `${bundle.trustDomain} publishes two JWT keys of that name`)
  if (!fits(authority.key, algorithm))
    throw new JwtSvidError('key-unfit', 'the key is for another signature algorithm')
  const known = imported.get(authority)
  if (known !== undefined) return known
  const key = importKey(authority.key)
  if (!isStrongKey(key))
    throw new JwtSvidError('weak-key', 'the key is not RSA of 2048 to 8192 bits or a curve')
  imported.set(authority, key)
  return key
}

function fits(key: JsonWebKey, algorithm: Algorithm): boolean {
  const { alg, key_ops: operations } = key
  if (alg !== undefined && alg !== algorithm) return false
  if (operations !== undefined && !(Array.isArray(operations) && operations.includes('verify'))) return false
  const curve = CURVES[algorithm]
  return curve === undefined ? key.kty === 'RSA' : key.kty === 'EC' && key.crv === curve
}

/** The numbers of the key and nothing else that the bundle says of it. */
function importKey({ kty, crv, x, y, n, e }: JsonWebKey): KeyObject {
  const numbers = kty === 'RSA' ? { kty, n, e } : { kty, crv, x, y }
  try {
    return createPublicKey({ key: numbers as JsonWebKey, format: 'jwk' })
  } catch (cause) {
    throw new JwtSvidError('key-unfit', 'the key cannot be read', { cause })
  }
}
