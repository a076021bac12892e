// A CA document, read and checked: everything that signing and publishing need, as immutable values. Nothing of it is
// used unless all of it holds together.
import { createPrivateKey, createPublicKey, type KeyObject, X509Certificate } from 'node:crypto'
import { type Bundle, writeBundle, writePem } from '../../../spiffe/bundle.ts'
import { messageOf } from '../log.ts'
import { readAll, readOne, TAG } from '../../../spiffe/der.ts'
import { isCaKey } from './ca-key.ts'
import { keyDigest } from '../../../common/key-digest.ts'
import { type AuthorityDocument, AuthorityError } from './document.ts'
import { type JwtKeys, openJwtKeys } from './jwt-keys.ts'
import { keyIdentifier } from './key-identifier.ts'

export interface AuthorityState {
  /** The keys of JWT-SVIDs, which sign no certificate. */
  readonly jwt: JwtKeys
  readonly trustDomain: string
  readonly bundle: Bundle
  /** JWKS and PEM, made once. */
  readonly bundleText: string
  readonly bundlePem: string
  readonly issuing: {
    /** The DER of its subject, as it stands in the certificate. */
    readonly name: Buffer
    readonly keyId: Buffer
    readonly key: KeyObject
    /** The issuing CA and those above it, without the root. */
    readonly chain: readonly X509Certificate[]
    readonly chainPem: string
    readonly notBefore: Date
    /** The earliest end in the chain, root included. */
    readonly notAfter: Date
  }
  /** Base64url SHA-256 of the SPKI of every key of the authority: no workload may be certified for one of them. */
  readonly ownKeys: ReadonlySet<string>
}

/** Gives the state to sign with and to publish. */
export interface Authority {
  /** @throws AuthorityError */
  current(): Promise<AuthorityState>
  /** When the document was last read, so that an old one can say how old it is. */
  readAt(): Date
}

function spkiOf(certificate: X509Certificate): Buffer {
  return certificate.publicKey.export({ type: 'spki', format: 'der' })
}

/** Version, serial number, algorithm, issuer, validity, subject (RFC 5280 §4.1): OpenSSL parsed them before. */
function subjectOf(certificate: X509Certificate): Buffer {
  const [tbs] = readAll(readOne(certificate.raw, TAG.SEQUENCE))
  const subject = readAll(tbs?.content ?? Buffer.alloc(0))[5]
  if (subject?.tag !== TAG.SEQUENCE) return inconsistent('the issuing certificate has no subject')
  return subject.raw
}

/** The certificates of a PEM text, in order. */
export function readCertificates(pem: string): readonly X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []
  if (blocks.length === 0) throw new AuthorityError('authority-malformed', 'a certificate is missing')
  try {
    return blocks.map((block) => new X509Certificate(block))
  } catch (error) {
    throw new AuthorityError('authority-malformed', 'a certificate cannot be read', { cause: error })
  }
}

function inconsistent(message: string): never {
  throw new AuthorityError('authority-inconsistent', message)
}

/** The root that the chain ends at; every link is checked by signature, name and CA bit. */
export function findRoot(
  chain: readonly X509Certificate[],
  roots: readonly X509Certificate[],
): X509Certificate {
  let below: X509Certificate | null = null
  for (const certificate of chain) {
    if (!certificate.ca) inconsistent('a certificate of the issuing chain is no CA')
    if (below !== null && !(below.checkIssued(certificate) && below.verify(certificate.publicKey))) {
      inconsistent('the issuing chain does not link')
    }
    below = certificate
  }
  const top = below
  if (top === null) return inconsistent('the issuing chain is empty')
  const root = roots.find((candidate) => top.checkIssued(candidate) && top.verify(candidate.publicKey))
  return root ?? inconsistent('the issuing chain ends at none of the roots')
}

function checkRoots(roots: readonly X509Certificate[], trustDomain: string): void {
  for (const root of roots) {
    if (!root.ca || !root.verify(root.publicKey)) inconsistent('a root is not a self-signed CA')
    if (root.subjectAltName !== `URI:spiffe://${trustDomain}`) {
      throw new AuthorityError(
        'authority-other-trust-domain',
        `a root is of ${root.subjectAltName ?? 'no trust domain'}, the configuration of spiffe://${trustDomain}`,
      )
    }
  }
}

function importIssuingKey(pem: string, certificate: X509Certificate): KeyObject {
  const key = createPrivateKey(pem)
  const spki = createPublicKey(key).export({ type: 'spki', format: 'der' })
  if (!spki.equals(spkiOf(certificate)))
    inconsistent('the issuing key is not that of the issuing certificate')
  if (!isCaKey(key)) inconsistent('the issuing key is not on P-384')
  return key
}

function earliest(certificates: readonly X509Certificate[]): Date {
  return new Date(Math.min(...certificates.map(({ validToDate }) => validToDate.getTime())))
}

/** A key that signed both certificates and tokens could be made to sign one that is taken for the other. */
function collectKeys(x509Keys: readonly string[], jwtKeys: readonly string[]): ReadonlySet<string> {
  const all = new Set([...x509Keys, ...jwtKeys])
  if (all.size < x509Keys.length + jwtKeys.length) inconsistent('two entries of the CA document share a key')
  return all
}

async function build(document: AuthorityDocument, trustDomain: string): Promise<AuthorityState> {
  const roots = document.roots.flatMap(({ certificate }) => readCertificates(certificate))
  if (roots.length !== document.roots.length) inconsistent('a root entry holds more than one certificate')
  checkRoots(roots, trustDomain)
  const chain = readCertificates(document.issuing.chain)
  const root = findRoot(chain, roots)
  const [issuing] = chain
  if (issuing === undefined) return inconsistent('the issuing chain is empty')
  if (Math.abs(Date.parse(document.issuing.notAfter) - issuing.validToDate.getTime()) >= 1000) {
    inconsistent('issuing.notAfter is not that of the certificate')
  }
  const jwt = await openJwtKeys(document.jwtKeys, issuing.validToDate)
  const bundle: Bundle = {
    trustDomain,
    x509Authorities: roots,
    jwtAuthorities: jwt.keys.published.map(({ kid, alg, jwk }) => ({ keyId: kid, key: { ...jwk, alg } })),
    sequence: document.sequence,
    refreshHintSeconds: document.refreshHint,
  }
  return {
    jwt: jwt.keys,
    trustDomain,
    bundle,
    bundleText: writeBundle(bundle),
    bundlePem: writePem(bundle),
    issuing: {
      name: subjectOf(issuing),
      keyId: keyIdentifier(spkiOf(issuing)),
      key: importIssuingKey(document.issuing.key, issuing),
      chain,
      chainPem: chain.map((certificate) => certificate.toString()).join(''),
      notBefore: issuing.validFromDate,
      notAfter: earliest([...chain, root]),
    },
    ownKeys: collectKeys(
      [...roots, ...chain].map((certificate) => keyDigest(spkiOf(certificate))),
      jwt.digests,
    ),
  }
}

/**
 * Checks a document and makes it usable. Expiry is not judged here: who signs looks at the clock each time.
 * @throws AuthorityError
 */
export async function buildAuthorityState(
  document: AuthorityDocument,
  trustDomain: string,
): Promise<AuthorityState> {
  try {
    return await build(document, trustDomain)
  } catch (error) {
    if (error instanceof AuthorityError) throw error
    // OpenSSL's messages never quote the key.
    throw new AuthorityError('authority-malformed', `the CA document cannot be used: ${messageOf(error)}`)
  }
}
