// A certification request (PKCS #10), of which the public key alone is used: names, extensions and lifetimes that it
// asks for are never looked at. Its signature proves that the caller holds the private key.
import { createPublicKey, verify } from 'node:crypto'
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

function readDer(pem: string): Buffer {
  if (pem.length > MAX_CSR_BYTES) throw new CsrError('csr-too-large', 'the CSR is over 8 KiB')
  const match = PEM.exec(pem)
  if (match === null) throw new CsrError('csr-malformed', 'the CSR is not one PEM block CERTIFICATE REQUEST')
  const der = Buffer.from(match[2] ?? '', 'base64')
  if (!isRequest(der)) throw new CsrError('csr-malformed', 'the CSR is not one PKCS #10 request in DER')
  return der
}

function parse(der: Buffer): { request: x509.Pkcs10CertificateRequest; spki: Uint8Array } {
  try {
    const request = new x509.Pkcs10CertificateRequest(new Uint8Array(der))
    // The library reads the key when it is asked for, and fails then.
    return { request, spki: new Uint8Array(request.publicKey.rawData) }
  } catch (error) {
    throw new CsrError('csr-malformed', 'the CSR cannot be read', { cause: error })
  }
}

/** ECDSA at once and on this thread; by WebCrypto it would cost three trips to another one. */
function verifyEcdsa(request: x509.Pkcs10CertificateRequest, info: Buffer, spki: Uint8Array): boolean {
  const hash = request.signatureAlgorithm.hash.name.replace('-', '').toLowerCase()
  const key = createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' })
  return verify(hash, info, { key, dsaEncoding: 'der' }, Buffer.from(request.signature))
}

async function verifies(
  request: x509.Pkcs10CertificateRequest,
  der: Buffer,
  spki: Uint8Array,
): Promise<boolean> {
  try {
    const [info] = readAll(readOne(der, TAG.SEQUENCE))
    if (info === undefined) return false
    if (request.signatureAlgorithm.name === 'ECDSA') return verifyEcdsa(request, info.raw, spki)
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
  const der = readDer(pem)
  const { request, spki: claimed } = parse(der)
  // The key is judged before the signature: verifying under a giant key is itself the attack.
  const spki = checkPublicKey(claimed)
  if (!(await verifies(request, der, spki)))
    throw new CsrError('csr-signature', "the CSR's signature does not hold")
  return spki
}
