// The keys of certificate requests. A token that the authority ties to the first key it is shown for (`reuse: sameKey`)
// is good for no other, so as long as a token stays the same its key does: a try that failed after the authority had
// the token, or a renewal before the platform replaced it, would else lock the caller out.
import { webcrypto } from 'node:crypto'
import { Secret } from '../secret.ts'
import { keyDigest } from '../key-digest.ts'
import * as x509 from '../x509-library.ts'

const KEY_ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const

export interface RequestKey {
  /** PKCS #8 PEM. */
  readonly pem: Secret
  /** `x509:` and the digest of its SPKI, which proofs may be bound to (design §5.4). */
  readonly binding: string
  readonly csr: string
}

export async function createKey(): Promise<RequestKey> {
  const keys = await webcrypto.subtle.generateKey(KEY_ALGORITHM, true, ['sign', 'verify'])
  const request = await x509.Pkcs10CertificateRequestGenerator.create({
    keys,
    signingAlgorithm: KEY_ALGORITHM,
  })
  const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)
  const spki = new Uint8Array(await webcrypto.subtle.exportKey('spki', keys.publicKey))
  return {
    pem: new Secret(`${x509.PemConverter.encode(pkcs8, 'PRIVATE KEY')}\n`),
    binding: `x509:${keyDigest(spki)}`,
    csr: request.toString('pem'),
  }
}

/** Lives as long as the command, in memory alone. */
export interface KeyRing {
  /** The key that the token was shown for before, or a new one. */
  keyFor(token: Secret): Promise<RequestKey>
}

export function createKeyRing(): KeyRing {
  let last: { readonly token: Secret; readonly key: RequestKey } | null = null
  return {
    async keyFor(token) {
      if (last?.token.reveal() !== token.reveal()) last = { token, key: await createKey() }
      return last.key
    },
  }
}
