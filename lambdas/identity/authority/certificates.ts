// Makes the authority's own CA certificates. Both carry their key id in the CN, so that a renewed CA never has the name
// of the old one with another key, and SKI and AKI, without which strict verifiers refuse the chain.
import { webcrypto } from 'node:crypto'
import { randomSerial } from '../serial.ts'
import * as x509 from '../x509-library.ts'

/** A root outlives what trusts it; the issuing CA is replaced long before it ends. */
export const ROOT_LIFETIME_MS = 10 * 365 * 24 * 3_600_000
export const ISSUING_LIFETIME_MS = 7 * 24 * 3_600_000
/** Verifiers whose clock is a little behind must not find a new CA in the future. */
const BACKDATE_MS = 60_000

export const CA_ALGORITHM = { name: 'ECDSA', namedCurve: 'P-384', hash: 'SHA-384' } as const

export interface NewCa {
  readonly certificate: x509.X509Certificate
  /** PEM with its line end. */
  readonly certificatePem: string
  /** PKCS #8 PEM with its line end. */
  readonly keyPem: string
  /** The first 16 hexadecimal digits of the subject key identifier. */
  readonly keyId: string
  readonly key: CryptoKey
}

export interface CaIssuer {
  readonly certificate: x509.X509Certificate
  readonly key: CryptoKey
}

export interface CreateCaOptions {
  readonly trustDomain: string
  readonly now: Date
  readonly random: (bytes: number) => Uint8Array
}

interface CaProfile {
  readonly name: string
  readonly pathLength: number
  readonly lifetimeMs: number
}

function notAfter(now: Date, profile: CaProfile, issuer: CaIssuer | null): Date {
  const wanted = now.getTime() + profile.lifetimeMs
  return new Date(issuer === null ? wanted : Math.min(wanted, issuer.certificate.notAfter.getTime()))
}

async function createCa(
  options: CreateCaOptions,
  profile: CaProfile,
  issuer: CaIssuer | null,
): Promise<NewCa> {
  const keys = await webcrypto.subtle.generateKey(CA_ALGORITHM, true, ['sign', 'verify'])
  const keyIdentifier = await x509.SubjectKeyIdentifierExtension.create(keys.publicKey)
  const keyId = keyIdentifier.keyId.slice(0, 16).toLowerCase()
  const name = `CN=Sallyport ${profile.name} ${keyId}`
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: randomSerial(options.random),
    subject: name,
    issuer: issuer?.certificate.subjectName ?? name,
    notBefore: new Date(
      Math.max(options.now.getTime() - BACKDATE_MS, issuer?.certificate.notBefore.getTime() ?? 0),
    ),
    notAfter: notAfter(options.now, profile, issuer),
    publicKey: keys.publicKey,
    signingKey: issuer?.key ?? keys.privateKey,
    signingAlgorithm: CA_ALGORITHM,
    extensions: [
      new x509.BasicConstraintsExtension(true, profile.pathLength, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      keyIdentifier,
      await x509.AuthorityKeyIdentifierExtension.create(issuer?.certificate.publicKey ?? keys.publicKey),
      new x509.SubjectAlternativeNameExtension([{ type: 'url', value: `spiffe://${options.trustDomain}` }]),
    ],
  })
  const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)
  return {
    certificate,
    certificatePem: `${certificate.toString('pem')}\n`,
    keyPem: `${x509.PemConverter.encode(pkcs8, 'PRIVATE KEY')}\n`,
    keyId,
    key: keys.privateKey,
  }
}

/** A self-signed root that certifies issuing CAs alone. */
export function createRootCa(options: CreateCaOptions): Promise<NewCa> {
  return createCa(options, { name: 'root', pathLength: 1, lifetimeMs: ROOT_LIFETIME_MS }, null)
}

/** A CA that certifies workloads alone. */
export function createIssuingCa(options: CreateCaOptions, root: CaIssuer): Promise<NewCa> {
  return createCa(options, { name: 'issuing', pathLength: 0, lifetimeMs: ISSUING_LIFETIME_MS }, root)
}
