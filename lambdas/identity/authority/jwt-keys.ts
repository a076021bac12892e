// The keys that sign JWT-SVIDs: P-256, apart from every X.509 key, each named by its RFC 7638 thumbprint. Which one signs
// at a moment is decided here alone.
import { createPrivateKey, createPublicKey, type JsonWebKey, webcrypto } from 'node:crypto'
import { calculateJwkThumbprint } from 'jose'
import { writePemBlock } from '../mint/der.ts'
import { keyDigest } from '../../../common/key-digest.ts'
import { AuthorityError, type JwtKeyEntry } from './document.ts'

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256' } as const

/** No JWT-SVID lives longer, whatever a registration says: removal of a key waits for it. */
export const MAX_JWT_LIFETIME_MS = 24 * 3_600_000

export interface PublishedJwtKey {
  readonly kid: string
  readonly alg: 'ES256'
  /** The public key: kty, crv, x and y alone. */
  readonly jwk: JsonWebKey
}

export interface JwtSigningKey {
  readonly kid: string
  readonly alg: 'ES256'
  /** Not extractable. */
  readonly key: CryptoKey
  readonly publicKey: CryptoKey
}

export interface JwtKeys {
  /** All that verifiers are to have: those in use, their successors, and those whose last token has not ended. */
  readonly published: readonly PublishedJwtKey[]
  /** The key to sign with; null where there is none yet, or the issuing CA has ended. */
  signingKey(now: Date): JwtSigningKey | null
}

/**
 * The newest key that is active. Once the issuing CA of the same document has ended there is none: that bounds how long
 * an instance with an old document goes on signing with a key whose successor it has not heard of.
 */
export function chooseJwtKey<Key extends Pick<JwtKeyEntry, 'activateAt'>>(
  keys: readonly Key[],
  issuingEnds: number,
  now: number,
): Key | null {
  if (now >= issuingEnds) return null
  let chosen: Key | null = null
  for (const key of keys) {
    const at = Date.parse(key.activateAt)
    if (at <= now && (chosen === null || at >= Date.parse(chosen.activateAt))) chosen = key
  }
  return chosen
}

/** A new key, without its dates. */
export async function createJwtKey(): Promise<Pick<JwtKeyEntry, 'kid' | 'alg' | 'key'>> {
  const { privateKey, publicKey } = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])
  const { kty, crv, x, y } = await webcrypto.subtle.exportKey('jwk', publicKey)
  const kid = await calculateJwkThumbprint({ kty, crv, x, y } as Parameters<typeof calculateJwkThumbprint>[0])
  const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', privateKey)
  return { kid, alg: 'ES256', key: writePemBlock('PRIVATE KEY', new Uint8Array(pkcs8)) }
}

interface OpenedJwtKey extends PublishedJwtKey, JwtSigningKey {
  readonly activateAt: string
  readonly digest: string
}

async function openJwtKey({ kid, alg, key: pem, activateAt }: JwtKeyEntry): Promise<OpenedJwtKey> {
  const key = createPrivateKey(pem)
  if (key.asymmetricKeyDetails?.namedCurve !== 'prime256v1') {
    throw new AuthorityError('authority-malformed', 'a JWT key is not on P-256')
  }
  const publicKey = createPublicKey(key)
  const pkcs8 = new Uint8Array(key.export({ type: 'pkcs8', format: 'der' }))
  const spki = new Uint8Array(publicKey.export({ type: 'spki', format: 'der' }))
  return {
    kid,
    alg,
    activateAt,
    jwk: publicKey.export({ format: 'jwk' }),
    key: await webcrypto.subtle.importKey('pkcs8', pkcs8, ALGORITHM, false, ['sign']),
    publicKey: await webcrypto.subtle.importKey('spki', spki, ALGORITHM, true, ['verify']),
    digest: keyDigest(spki),
  }
}

/**
 * The JWT keys of a document.
 * @param issuingEnds when nothing of that document may sign any more
 */
export async function openJwtKeys(
  entries: readonly JwtKeyEntry[],
  issuingEnds: Date,
): Promise<{ readonly keys: JwtKeys; readonly digests: readonly string[] }> {
  const opened = await Promise.all(entries.map(openJwtKey))
  if (new Set(opened.map(({ kid }) => kid)).size < opened.length) {
    throw new AuthorityError('authority-inconsistent', 'two JWT keys have one kid')
  }
  const keys: JwtKeys = {
    published: opened.map(({ kid, alg, jwk }) => ({ kid, alg, jwk })),
    signingKey(now) {
      const chosen = chooseJwtKey(opened, issuingEnds.getTime(), now.getTime())
      if (chosen === null) return null
      const { kid, alg, key, publicKey } = chosen
      return { kid, alg, key, publicKey }
    },
  }
  return { keys, digests: opened.map(({ digest }) => digest) }
}
