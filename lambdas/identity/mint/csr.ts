// A certification request (PKCS #10), of which the public key alone is used: names, extensions and lifetimes that it
// asks for are never looked at. Its signature proves that the caller holds the private key.
import type { KeyObject } from 'node:crypto'
import { type DerValue, readAll, readOne, TAG } from '../../../spiffe/der.ts'
import { CsrError } from './csr-error.ts'
import { isSignedBy, type SignedInfo } from './csr-signature.ts'
import { checkPublicKey } from './public-key.ts'

/** A 4096-bit RSA request with some extensions is under 4 KiB of PEM. */
export const MAX_CSR_BYTES = 8 * 1024

const PEM =
  /^\s*-----BEGIN (NEW )?CERTIFICATE REQUEST-----([A-Za-z0-9+/=\s]+)-----END (NEW )?CERTIFICATE REQUEST-----\s*$/

/** Version, subject, subjectPKInfo and attributes [0] (RFC 2986 §4.1). */
const INFO_TAGS = [TAG.INTEGER, TAG.SEQUENCE, TAG.SEQUENCE, 0xa0]
/** certificationRequestInfo, signatureAlgorithm, signature. */
const REQUEST_TAGS = [TAG.SEQUENCE, TAG.SEQUENCE, TAG.BIT_STRING]

function hasTags(values: readonly DerValue[], tags: readonly number[]): boolean {
  return values.length === tags.length && values.every(({ tag }, index) => tag === tags[index])
}

interface CsrParts extends SignedInfo {
  /** As the request holds it. */
  readonly spki: Uint8Array
}

/** One reading of the structure, with nothing before, between or after. */
function readParts(der: Buffer): CsrParts | null {
  try {
    const parts = readAll(readOne(der, TAG.SEQUENCE))
    const [info, algorithm, signature] = parts
    if (info === undefined || algorithm === undefined || signature === undefined) return null
    const fields = readAll(info.content)
    const [, , key] = fields
    if (!hasTags(parts, REQUEST_TAGS) || !hasTags(fields, INFO_TAGS) || key === undefined) return null
    return { info, algorithm, signature, spki: key.raw }
  } catch {
    return null
  }
}

function parse(pem: string): CsrParts {
  if (pem.length > MAX_CSR_BYTES) throw new CsrError('csr-too-large', 'the CSR is over 8 KiB')
  const match = PEM.exec(pem)
  if (match === null) throw new CsrError('csr-malformed', 'the CSR is not one PEM block CERTIFICATE REQUEST')
  const parts = readParts(Buffer.from(match[2] ?? '', 'base64'))
  if (parts === null) throw new CsrError('csr-malformed', 'the CSR is not one PKCS #10 request in DER')
  return parts
}

function verifies(parts: CsrParts, key: KeyObject): boolean {
  try {
    return isSignedBy(parts, key)
  } catch {
    return false
  }
}

/**
 * The public key of a CSR, as canonical SPKI DER.
 * @throws CsrError
 */
export async function readCsr(pem: string): Promise<Uint8Array<ArrayBuffer>> {
  const parts = parse(pem)
  // The key is judged before the signature: verifying under a giant key is itself the attack.
  const { key, spki } = checkPublicKey(parts.spki)
  if (!verifies(parts, key)) throw new CsrError('csr-signature', "the CSR's signature does not hold")
  return spki
}
