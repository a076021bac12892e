// The certificates of the partner in the local story: its own CA, its server, and the client certificate that it gave
// to the payments team. They have nothing to do with our trust domain, which is the point.
import 'reflect-metadata'
import { webcrypto } from 'node:crypto'
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import * as x509 from '@peculiar/x509'

const KEY = { name: 'ECDSA', namedCurve: 'P-256' }
const SIGNATURE = { name: 'ECDSA', hash: 'SHA-256' }
const DAY_MS = 86_400_000
const VALID_MS = 30 * DAY_MS

export interface PartnerPki {
  readonly caPem: string
  readonly server: { readonly certificatePem: string; readonly keyPem: string }
}

interface Issuer {
  readonly certificate: x509.X509Certificate
  readonly key: CryptoKey
}

/** Makes the partner's PKI anew and writes what the gateway needs of it into `directory` (`pki/`). */
export async function createPartnerPki(directory: string, serverName: string): Promise<PartnerPki> {
  x509.cryptoProvider.set(webcrypto)
  const ca = await createCa('Partner Bank CA')
  const server = await issue(ca, 'CN=partner.localhost', '1.3.6.1.5.5.7.3.1', [
    { type: 'dns', value: serverName },
  ])
  const client = await issue(ca, 'CN=acme-payments,O=Acme', '1.3.6.1.5.5.7.3.2', [])
  const caPem = pem(ca.certificate)
  await mkdir(directory, { recursive: true })
  await writeFile(path.join(directory, 'partner-ca.pem'), caPem)
  await writeFile(path.join(directory, 'bank-payments.pem'), client.certificatePem)
  const keyFile = path.join(directory, 'bank-payments.key')
  await writeFile(keyFile, client.keyPem, { mode: 0o600 })
  await chmod(keyFile, 0o600)
  return { caPem, server }
}

async function createCa(name: string): Promise<Issuer> {
  const keys = await generateKeys()
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: `CN=${name}`,
    notBefore: new Date(Date.now() - DAY_MS),
    notAfter: new Date(Date.now() + VALID_MS),
    keys,
    signingAlgorithm: SIGNATURE,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  })
  return { certificate, key: keys.privateKey }
}

async function issue(ca: Issuer, subject: string, purpose: string, san: x509.JsonGeneralNames) {
  const keys = await generateKeys()
  const certificate = await x509.X509CertificateGenerator.create({
    subject,
    issuer: ca.certificate.subject,
    notBefore: new Date(Date.now() - DAY_MS),
    notAfter: new Date(Date.now() + VALID_MS),
    publicKey: keys.publicKey,
    signingKey: ca.key,
    signingAlgorithm: SIGNATURE,
    extensions: [
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([purpose]),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      await x509.AuthorityKeyIdentifierExtension.create(ca.certificate.publicKey),
      ...(san.length === 0 ? [] : [new x509.SubjectAlternativeNameExtension(san)]),
    ],
  })
  const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)
  return { certificatePem: pem(certificate), keyPem: `${x509.PemConverter.encode(pkcs8, 'PRIVATE KEY')}\n` }
}

async function generateKeys(): Promise<CryptoKeyPair> {
  return webcrypto.subtle.generateKey(KEY, true, ['sign', 'verify'])
}

function pem(certificate: x509.X509Certificate): string {
  return `${certificate.toString('pem')}\n`
}
