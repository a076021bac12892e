// Makes the authority's own CA certificates. Both carry their key id in the CN, so that a renewed CA never has the name
// of the old one with another key, and SKI and AKI, without which strict verifiers refuse the chain. The root's key may
// live elsewhere, so signing is a call.
import { randomSerial } from '../serial.ts'
import * as x509 from '../../../common/x509-library.ts'
import { CA_ALGORITHM, type CaSigner, generateCaKey, keyIdOf } from './ca-key.ts'

/** A root outlives what trusts it; the issuing CA is replaced long before it ends. */
export const ROOT_LIFETIME_MS = 10 * 365 * 24 * 3_600_000
export const ISSUING_LIFETIME_MS = 7 * 24 * 3_600_000
/** Verifiers whose clock is a little behind must not find a new CA in the future. */
const BACKDATE_MS = 60_000

export interface CaIssuer {
  readonly certificate: x509.X509Certificate
  readonly key: CaSigner
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

/** What the library asks of WebCrypto when it signs, answered by a key that may be anywhere. */
function cryptoOf(signer: CaSigner): Crypto {
  const sign = (_algorithm: unknown, _key: unknown, bytes: ArrayBuffer) => signer.sign(new Uint8Array(bytes))
  return { subtle: { sign } } as unknown as Crypto
}

/** The library looks at the algorithm of a signing key alone. */
const KEY_ELSEWHERE = { type: 'private', algorithm: CA_ALGORITHM } as unknown as CryptoKey

function validity(now: Date, profile: CaProfile, issuer: x509.X509Certificate | undefined) {
  const end = now.getTime() + profile.lifetimeMs
  const begin = now.getTime() - BACKDATE_MS
  return {
    notBefore: new Date(Math.max(begin, issuer?.notBefore.getTime() ?? begin)),
    notAfter: new Date(Math.min(end, issuer?.notAfter.getTime() ?? end)),
  }
}

async function createCa(
  options: CreateCaOptions,
  profile: CaProfile,
  key: CaSigner,
  issuer: CaIssuer | null,
): Promise<x509.X509Certificate> {
  const publicKey = new x509.PublicKey(key.spki)
  const name = `CN=Sallyport ${profile.name} ${keyIdOf(key.spki)}`
  const parameters = {
    serialNumber: randomSerial(options.random),
    subject: name,
    issuer: issuer?.certificate.subjectName ?? name,
    ...validity(options.now, profile, issuer?.certificate),
    publicKey,
    signingKey: KEY_ELSEWHERE,
    signingAlgorithm: CA_ALGORITHM,
    extensions: [
      new x509.BasicConstraintsExtension(true, profile.pathLength, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(publicKey),
      await x509.AuthorityKeyIdentifierExtension.create(issuer?.certificate.publicKey ?? publicKey),
      new x509.SubjectAlternativeNameExtension([{ type: 'url', value: `spiffe://${options.trustDomain}` }]),
    ],
  }
  return x509.X509CertificateGenerator.create(parameters, cryptoOf(issuer?.key ?? key))
}

/** PEM with its line end. */
export function pemOf(certificate: x509.X509Certificate): string {
  return `${certificate.toString('pem')}\n`
}

/** A self-signed root that certifies issuing CAs alone. */
export function createRootCa(options: CreateCaOptions, key: CaSigner): Promise<x509.X509Certificate> {
  return createCa(options, { name: 'root', pathLength: 1, lifetimeMs: ROOT_LIFETIME_MS }, key, null)
}

/** A CA that certifies workloads alone, with a new key. */
export async function createIssuingCa(options: CreateCaOptions, root: CaIssuer) {
  const profile = { name: 'issuing', pathLength: 0, lifetimeMs: ISSUING_LIFETIME_MS }
  const { signer, pem } = await generateCaKey()
  return { certificate: await createCa(options, profile, signer, root), keyPem: pem }
}
