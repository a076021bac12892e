// A certification request (PKCS #10), of which the public key alone is used: names, extensions and lifetimes that it
// asks for are never looked at. Its signature proves that the caller holds the private key.
import { CsrError } from './csr-error.ts'
import { checkPublicKey } from './public-key.ts'
import * as x509 from '../x509-library.ts'

/** A 4096-bit RSA request with some extensions is under 4 KiB of PEM. */
export const MAX_CSR_BYTES = 8 * 1024

const PEM =
  /^\s*-----BEGIN (NEW )?CERTIFICATE REQUEST-----([A-Za-z0-9+/=\s]+)-----END (NEW )?CERTIFICATE REQUEST-----\s*$/

/** The length of the outermost DER SEQUENCE, header included; null where it is none. */
function derLength(der: Uint8Array): number | null {
  const [tag, first, second, third] = der
  if (tag !== 0x30 || first === undefined) return null
  if (first < 0x80) return 2 + first
  if (first === 0x81 && second !== undefined) return 3 + second
  if (first === 0x82 && second !== undefined && third !== undefined) return 4 + second * 256 + third
  return null
}

function readDer(pem: string): Uint8Array<ArrayBuffer> {
  if (pem.length > MAX_CSR_BYTES) throw new CsrError('csr-too-large', 'the CSR is over 8 KiB')
  const match = PEM.exec(pem)
  if (match === null) throw new CsrError('csr-malformed', 'the CSR is not one PEM block CERTIFICATE REQUEST')
  const der = new Uint8Array(Buffer.from(match[2] ?? '', 'base64'))
  // What stands after the sequence would be signed by nobody and read by nobody.
  if (derLength(der) !== der.length) throw new CsrError('csr-malformed', 'the CSR is not one DER sequence')
  return der
}

function parse(der: Uint8Array<ArrayBuffer>): x509.Pkcs10CertificateRequest {
  try {
    return new x509.Pkcs10CertificateRequest(der)
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
  const request = parse(readDer(pem))
  // The key is judged before the signature: verifying under a giant key is itself the attack.
  const spki = checkPublicKey(new Uint8Array(request.publicKey.rawData))
  if (!(await verifies(request))) throw new CsrError('csr-signature', "the CSR's signature does not hold")
  return spki
}
