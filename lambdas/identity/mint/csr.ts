// A certification request (PKCS #10), of which the public key alone is used: names, extensions and lifetimes that it
// asks for are never looked at. Its signature proves that the caller holds the private key.
import { CsrError } from './csr-error.ts'
import { checkPublicKey } from './public-key.ts'
import { type DerValue, readAll, readOne, TAG } from '../../../spiffe/der.ts'
import * as x509 from '../x509-library.ts'

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

/** The library reads BER and skips what it does not know; here there is one reading, and nothing after the end. */
function isRequest(der: Buffer): boolean {
  try {
    const parts = readAll(readOne(der, TAG.SEQUENCE))
    return hasTags(parts, REQUEST_TAGS) && hasTags(readAll(parts[0]?.content ?? Buffer.alloc(0)), INFO_TAGS)
  } catch {
    return false
  }
}

function readDer(pem: string): Uint8Array<ArrayBuffer> {
  if (pem.length > MAX_CSR_BYTES) throw new CsrError('csr-too-large', 'the CSR is over 8 KiB')
  const match = PEM.exec(pem)
  if (match === null) throw new CsrError('csr-malformed', 'the CSR is not one PEM block CERTIFICATE REQUEST')
  const der = Buffer.from(match[2] ?? '', 'base64')
  if (!isRequest(der)) throw new CsrError('csr-malformed', 'the CSR is not one PKCS #10 request in DER')
  return new Uint8Array(der)
}

function parse(der: Uint8Array<ArrayBuffer>): { request: x509.Pkcs10CertificateRequest; spki: Uint8Array } {
  try {
    const request = new x509.Pkcs10CertificateRequest(der)
    // The library reads the key when it is asked for, and fails then.
    return { request, spki: new Uint8Array(request.publicKey.rawData) }
  } catch (error) {
    throw new CsrError('csr-malformed', 'the CSR cannot be read', { cause: error })
  }
}

async function verifies(request: x509.Pkcs10CertificateRequest): Promise<boolean> {
  try {
    return await request.verify()
  } catch {
    return false
  }
}

/**
 * The public key of a CSR, as canonical SPKI DER.
 * @throws CsrError
 */
export async function readCsr(pem: string): Promise<Uint8Array<ArrayBuffer>> {
  const { request, spki: claimed } = parse(readDer(pem))
  // The key is judged before the signature: verifying under a giant key is itself the attack.
  const spki = checkPublicKey(claimed)
  if (!(await verifies(request))) throw new CsrError('csr-signature', "the CSR's signature does not hold")
  return spki
}
