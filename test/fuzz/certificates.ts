// Parsers of DER, certificates, bundles and certification requests.
import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { CsrError } from '../../lambdas/identity/mint/csr-error.ts'
import { readCsr } from '../../lambdas/identity/mint/csr.ts'
import { BundleError, readBundle } from '../../spiffe/bundle.ts'
import { readCertificate } from '../../spiffe/certificate.ts'
import { DerError, readAll } from '../../spiffe/der.ts'
import { attempt, type FuzzTarget, promise } from './target.ts'

/** Made once by openssl for this; their key is gone. Made anew they would differ, and a seed would mean nothing. */
const pem = (file: string) => readFileSync(path.join(import.meta.dirname, 'samples', file), 'utf8')
const toDer = (text: string) => Buffer.from(text.replaceAll(/-----.*-----|\s/g, ''), 'base64')
const armour = (label: string, der: Uint8Array) =>
  `-----BEGIN ${label}-----\n${Buffer.from(der).toString('base64')}\n-----END ${label}-----\n`

const CA = pem('ca.pem')
const LEAF = pem('leaf.pem')
const CSR = pem('csr.pem')
const JWKS = JSON.stringify({
  spiffe_sequence: 7,
  spiffe_refresh_hint: 300,
  keys: [
    { kty: 'EC', use: 'x509-svid', x5c: [toDer(CA).toString('base64')] },
    { kty: 'EC', use: 'jwt-svid', kid: 'k1', crv: 'P-256', x: 'AA', y: 'AA' },
  ],
})

function checkDer(input: Uint8Array): void {
  const bytes = Buffer.from(input)
  const values = attempt(() => readAll(bytes), DerError)
  if (values !== null)
    promise(Buffer.concat(values.map(({ raw }) => raw)).equals(bytes), 'elements leave bytes out')
}

function checkCertificate(input: Uint8Array): void {
  let certificate: X509Certificate
  try {
    certificate = new X509Certificate(input)
  } catch {
    // OpenSSL reads no certificate in it, so nobody asks ours.
    return
  }
  attempt(() => readCertificate(certificate), DerError)
}

async function checkCsr(input: Uint8Array): Promise<void> {
  // Half of them in PEM that is sound, so that the changes reach the DER.
  for (const text of [armour('CERTIFICATE REQUEST', input), Buffer.from(input).toString('latin1')]) {
    try {
      await readCsr(text)
    } catch (error) {
      if (!(error instanceof CsrError)) throw error
    }
  }
}

export const CERTIFICATE_TARGETS: readonly FuzzTarget[] = [
  { name: 'der', samples: [toDer(LEAF), toDer(CA), toDer(CSR)], check: checkDer },
  { name: 'certificate', samples: [toDer(LEAF), toDer(CA)], check: checkCertificate },
  {
    name: 'bundle',
    samples: [Buffer.from(JWKS), Buffer.from(CA), Buffer.from(CA + LEAF)],
    check: (input) => {
      attempt(() => readBundle(Buffer.from(input).toString('utf8'), 'example.org'), BundleError)
    },
  },
  { name: 'csr', samples: [toDer(CSR), Buffer.from(CSR)], check: checkCsr },
]
