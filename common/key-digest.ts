// The name of a public key in proofs and in the CA's own records: who proves himself and who judges compute the same.
import { createHash } from 'node:crypto'

/** The base64url SHA-256 of a public key's SPKI DER. */
export function keyDigest(spki: Uint8Array): string {
  return createHash('sha256').update(spki).digest('base64url')
}
