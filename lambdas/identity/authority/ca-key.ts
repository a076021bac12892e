// A CA key as something that signs, wherever it lives: in this process, in KMS, or in another secret. P-384 alone.
import { createPrivateKey, createPublicKey, type KeyObject, webcrypto } from 'node:crypto'
import { writePemBlock } from '../mint/der.ts'
import { AuthorityError } from './document.ts'
import { keyIdentifier } from './key-identifier.ts'

export const CA_ALGORITHM = { name: 'ECDSA', namedCurve: 'P-384', hash: 'SHA-384' } as const

export interface CaSigner {
  /** SPKI DER. */
  readonly spki: Uint8Array<ArrayBuffer>
  /** ECDSA with SHA-384 over the bytes; r and s, 48 bytes each. */
  sign(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>>
}

/** Whether a public key is one that a CA of ours may have. */
export function isCaKey(key: KeyObject): boolean {
  return key.asymmetricKeyType === 'ec' && key.asymmetricKeyDetails?.namedCurve === 'secp384r1'
}

/** The first 16 hexadecimal digits of the subject key identifier. */
export function keyIdOf(spki: Uint8Array): string {
  return keyIdentifier(spki).toString('hex').slice(0, 16)
}

/** A key from its PKCS #8 PEM. @throws AuthorityError */
export async function openCaKey(pem: string): Promise<CaSigner> {
  let key: KeyObject
  try {
    key = createPrivateKey(pem)
  } catch (error) {
    throw new AuthorityError('authority-malformed', 'a CA key cannot be read', { cause: error })
  }
  if (!isCaKey(key)) throw new AuthorityError('authority-malformed', 'a CA key is not on P-384')
  const pkcs8 = new Uint8Array(key.export({ type: 'pkcs8', format: 'der' }))
  const signingKey = await webcrypto.subtle.importKey('pkcs8', pkcs8, CA_ALGORITHM, false, ['sign'])
  return {
    spki: new Uint8Array(createPublicKey(key).export({ type: 'spki', format: 'der' })),
    sign: async (bytes) => new Uint8Array(await webcrypto.subtle.sign(CA_ALGORITHM, signingKey, bytes)),
  }
}

export interface NewCaKey {
  readonly signer: CaSigner
  /** PKCS #8, with its line end. */
  readonly pem: string
}

/** A new key in this process. */
export async function generateCaKey(): Promise<NewCaKey> {
  const { privateKey } = await webcrypto.subtle.generateKey(CA_ALGORITHM, true, ['sign', 'verify'])
  const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', privateKey)
  const pem = writePemBlock('PRIVATE KEY', new Uint8Array(pkcs8))
  return { signer: await openCaKey(pem), pem }
}
