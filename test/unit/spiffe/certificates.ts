// Certificates that the shared fixtures cannot make: any key, any extension octets, CAs that are none.
import 'reflect-metadata'
import { type KeyObject, webcrypto, X509Certificate } from 'node:crypto'
import * as x509 from '@peculiar/x509'
import { type Bundle, readBundle } from '../../../spiffe/bundle.ts'
import { type Ca, createRoot, KEY_USAGE } from '../../fixtures/pki.ts'

// From here, because the library asks for reflect-metadata to be loaded before it.
export { x509 }

const HOUR = 3_600_000

/** DER of one element, written independently of the reader: the shortest length form, whatever the content. */
export function der(tag: number, ...content: readonly (Uint8Array | string)[]): Buffer {
  const body = Buffer.concat(
    content.map((part) => (typeof part === 'string' ? Buffer.from(part, 'latin1') : part)),
  )
  const octets: number[] = []
  for (let rest = body.length; rest > 0; rest = Math.floor(rest / 256)) octets.unshift(rest % 256)
  const length = body.length < 0x80 ? [body.length] : [0x80 + octets.length, ...octets]
  return Buffer.concat([Buffer.from([tag, ...length]), body])
}

export interface Signer {
  readonly subject: string
  readonly keys: CryptoKeyPair
}

export interface Spec {
  readonly subject: string
  /** The issuer's name and key; omitted = signed by itself. */
  readonly by?: Signer
  readonly keys?: CryptoKeyPair
  /** A key that WebCrypto does not know, as SubjectPublicKeyInfo. */
  readonly spki?: KeyObject | Uint8Array
  readonly extensions?: readonly x509.Extension[]
  readonly notBefore?: Date
  readonly notAfter?: Date
  readonly serialNumber?: string
  readonly hash?: string
}

export interface Made extends Signer {
  readonly certificate: X509Certificate
}

export async function p256(): Promise<CryptoKeyPair> {
  return webcrypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign', 'verify'])
}

/** Signs what it is told to: no extension is added, so there are no key identifiers either. */
export async function make(spec: Spec): Promise<Made> {
  const keys = spec.keys ?? (await p256())
  const signer = spec.by?.keys ?? keys
  const spki = spec.spki
  const raw =
    spki === undefined || spki instanceof Uint8Array ? spki : spki.export({ type: 'spki', format: 'der' })
  const certificate = await x509.X509CertificateGenerator.create({
    subject: spec.subject,
    issuer: spec.by?.subject ?? spec.subject,
    notBefore: spec.notBefore ?? new Date(Date.now() - HOUR),
    notAfter: spec.notAfter ?? new Date(Date.now() + HOUR),
    publicKey: raw === undefined ? keys.publicKey : new x509.PublicKey(new Uint8Array(raw)),
    signingKey: signer.privateKey,
    signingAlgorithm: {
      hash: 'SHA-256',
      ...signer.privateKey.algorithm,
      ...(spec.hash && { hash: spec.hash }),
    },
    extensions: [...(spec.extensions ?? [])],
    ...(spec.serialNumber === undefined ? {} : { serialNumber: spec.serialNumber }),
  })
  return { certificate: new X509Certificate(Buffer.from(certificate.rawData)), subject: spec.subject, keys }
}

export function signerOf({ certificate, keys }: Pick<Ca, 'certificate' | 'keys'>): Signer {
  return { subject: certificate.subject, keys }
}

/** What a CA certificate needs. */
export function caExtensions(
  options: { pathLength?: number; keyUsage?: x509.KeyUsageFlags } = {},
): x509.Extension[] {
  return [
    new x509.BasicConstraintsExtension(true, options.pathLength, true),
    new x509.KeyUsagesExtension(options.keyUsage ?? KEY_USAGE.keyCertSign, true),
  ]
}

/** What an SVID leaf needs. */
export function leafExtensions(uri: string): x509.Extension[] {
  return [
    new x509.KeyUsagesExtension(KEY_USAGE.digitalSignature, true),
    new x509.SubjectAlternativeNameExtension([{ type: 'url', value: uri }], true),
  ]
}

export function node(pem: string): X509Certificate {
  return new X509Certificate(pem)
}

export const TRUST_DOMAIN = 'example.org'
export const WORKLOAD = `spiffe://${TRUST_DOMAIN}/payments/api`

export async function root(): Promise<Ca> {
  return createRoot({ name: 'Root' })
}

/** `bundle` as verifyX509Svid takes it, where these are the roots of our trust domain and no other one is known. */
export function trusting(
  ...roots: readonly (Ca | X509Certificate)[]
): (trustDomain: string) => Bundle | undefined {
  const pem = roots.map((one) => (one instanceof X509Certificate ? one.toString() : one.pem)).join('')
  const bundle = readBundle(pem, TRUST_DOMAIN)
  return (trustDomain) => (trustDomain === TRUST_DOMAIN ? bundle : undefined)
}
