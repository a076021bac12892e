// The subject key identifier of a public key (RFC 5280 §4.2.1.2, first method): SHA-1 of the key's bits. A name by which
// verifiers find the issuer of a certificate; it protects nothing.
import { createHash } from 'node:crypto'
import { readAll, readOne, TAG } from '../../../spiffe/der.ts'

/** @throws DerError where it is no SPKI in DER */
export function keyIdentifier(spki: Uint8Array): Buffer {
  const [, bits] = readAll(readOne(Buffer.from(spki), TAG.SEQUENCE))
  // The first octet of a BIT STRING counts its unused bits.
  return createHash('sha1')
    .update(bits?.content.subarray(1) ?? Buffer.alloc(0))
    .digest()
}
