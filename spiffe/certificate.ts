// What the X509-SVID standard asks of a certificate and Node's X509Certificate does not show (RFC 5280 §4.1, §4.2):
// URI SANs one by one, criticality, key usage bits, name constraints, the signature algorithm. Trusts nothing.
import type { X509Certificate } from 'node:crypto'
import { DerError, type DerValue, readAll, readOne, TAG } from './der.ts'

export interface CertificateFacts {
  readonly subjectEmpty: boolean
  /** As in the certificate: not decoded, not checked. */
  readonly uris: readonly string[]
  /** As in the certificate; names of meshes that have no SPIFFE IDs. */
  readonly dnsNames: readonly string[]
  /** GeneralName tag numbers of the other SANs (RFC 5280 §4.2.1.6): 1 mail, 2 DNS, 4 directory, 7 IP. */
  readonly otherSanKinds: ReadonlySet<number>
  readonly sanCritical: boolean
  readonly isCa: boolean
  /** null = no limit. */
  readonly pathLength: number | null
  readonly keyUsage: KeyUsage | null
  /** Dotted by nobody: the content octets in hex; null = no extension. */
  readonly extendedKeyUsage: ReadonlySet<string> | null
  readonly nameConstraints: NameConstraints | null
  /** Content octets of the OID in hex. */
  readonly signatureAlgorithm: string
  readonly hasUnknownCritical: boolean
}

export interface KeyUsage {
  readonly critical: boolean
  readonly digitalSignature: boolean
  readonly keyCertSign: boolean
  readonly cRLSign: boolean
}

export interface NameConstraints {
  readonly permittedUris: readonly string[]
  readonly excludedUris: readonly string[]
  /** GeneralName tag numbers of constraints on other kinds of names. */
  readonly otherKinds: ReadonlySet<number>
}

/** id-ce (2.5.29) and the last arc. */
const OID = {
  subjectKeyIdentifier: '551d0e',
  keyUsage: '551d0f',
  subjectAltName: '551d11',
  basicConstraints: '551d13',
  nameConstraints: '551d1e',
  crlDistributionPoints: '551d1f',
  certificatePolicies: '551d20',
  authorityKeyIdentifier: '551d23',
  extendedKeyUsage: '551d25',
} as const
const UNDERSTOOD = new Set<string>(Object.values(OID))
const URI = 6
const DNS = 2
/** Context-specific and primitive. */
const URI_TAG = 0x80 | URI
const DNS_TAG = 0x80 | DNS

interface Extension {
  readonly critical: boolean
  readonly value: Buffer
}

/** By object, since certificates never change. */
const read = new WeakMap<X509Certificate, CertificateFacts>()

/** @throws DerError where the certificate is not what RFC 5280 says */
export function readCertificate(certificate: X509Certificate): CertificateFacts {
  const known = read.get(certificate)
  if (known !== undefined) return known
  const facts = readFacts(certificate)
  read.set(certificate, facts)
  return facts
}

function readFacts(certificate: X509Certificate): CertificateFacts {
  const [tbs, algorithm] = sequence(readOne(certificate.raw, TAG.SEQUENCE))
  const fields = sequence(expectTag(tbs, TAG.SEQUENCE))
  // version [0] is there in every v3 certificate; without it there are no extensions to read.
  const subject = fields[5]
  const extensions = readExtensions(fields.find(({ tag }) => tag === 0xa3))
  const names = readSubjectAltName(extensions.get(OID.subjectAltName))
  const basic = readBasicConstraints(extensions.get(OID.basicConstraints))
  return {
    subjectEmpty: expectTag(subject, TAG.SEQUENCE).length === 0,
    ...names,
    ...basic,
    keyUsage: readKeyUsage(extensions.get(OID.keyUsage)),
    extendedKeyUsage: readExtendedKeyUsage(extensions.get(OID.extendedKeyUsage)),
    nameConstraints: readNameConstraints(extensions.get(OID.nameConstraints)),
    signatureAlgorithm: expectTag(
      sequence(expectTag(algorithm, TAG.SEQUENCE))[0],
      TAG.OBJECT_IDENTIFIER,
    ).toString('hex'),
    hasUnknownCritical: [...extensions].some(([oid, { critical }]) => critical && !UNDERSTOOD.has(oid)),
  }
}

function sequence(content: Buffer): readonly DerValue[] {
  return readAll(content)
}

function expectTag(value: DerValue | undefined, tag: number): Buffer {
  if (value?.tag !== tag) throw new DerError('another element than expected')
  return value.content
}

/** BER has 255 encodings of true and DER one; to take the others for false would drop `critical` and cA. */
function readBoolean(value: DerValue | undefined): boolean {
  const octets = expectTag(value, TAG.BOOLEAN)
  const [octet] = octets
  if (octets.length !== 1 || (octet !== 0x00 && octet !== 0xff)) throw new DerError('a BOOLEAN of no use')
  return octet === 0xff
}

function readExtensions(holder: DerValue | undefined): ReadonlyMap<string, Extension> {
  const extensions = new Map<string, Extension>()
  if (holder === undefined) return extensions
  for (const element of sequence(readOne(holder.content, TAG.SEQUENCE))) {
    const parts = [...sequence(expectTag(element, TAG.SEQUENCE))]
    const oid = expectTag(parts.shift(), TAG.OBJECT_IDENTIFIER).toString('hex')
    const critical = parts[0]?.tag === TAG.BOOLEAN ? readBoolean(parts.shift()) : false
    const value = expectTag(parts.shift(), TAG.OCTET_STRING)
    // RFC 5280 §4.2: one instance of an extension; two would let two readers see two certificates.
    if (parts.length > 0 || extensions.has(oid)) throw new DerError('a repeated or malformed extension')
    extensions.set(oid, { critical, value })
  }
  return extensions
}

function readSubjectAltName(extension: Extension | undefined) {
  const uris: string[] = []
  const dnsNames: string[] = []
  const otherSanKinds = new Set<number>()
  if (extension !== undefined) {
    for (const { tag, content } of sequence(readOne(extension.value, TAG.SEQUENCE))) {
      if (tag === URI_TAG) uris.push(content.toString('latin1'))
      // OpenSSL sees no name where the class or form of the tag is another one.
      else if ((tag & 0x1f) === URI) throw new DerError('a URI with another tag than a URI has')
      else otherSanKinds.add(tag & 0x1f)
      if (tag === DNS_TAG) dnsNames.push(content.toString('latin1'))
    }
  }
  return { uris, dnsNames, otherSanKinds, sanCritical: extension?.critical ?? false }
}

function readBasicConstraints(extension: Extension | undefined) {
  if (extension === undefined) return { isCa: false, pathLength: null }
  const parts = [...sequence(readOne(extension.value, TAG.SEQUENCE))]
  const isCa = parts[0]?.tag === TAG.BOOLEAN ? readBoolean(parts.shift()) : false
  const [length] = parts
  if (length === undefined) return { isCa, pathLength: null }
  const octets = expectTag(length, TAG.INTEGER)
  if (octets.length !== 1 || (octets[0] ?? 0) > 0x7f) throw new DerError('a pathLenConstraint of no use')
  return { isCa, pathLength: octets[0] ?? 0 }
}

function readKeyUsage(extension: Extension | undefined): KeyUsage | null {
  if (extension === undefined) return null
  const bits = readOne(extension.value, TAG.BIT_STRING)
  // The first octet counts unused bits; digitalSignature is bit 0, keyCertSign 5, cRLSign 6 (RFC 5280 §4.2.1.3).
  const octet = bits[1] ?? 0
  return {
    critical: extension.critical,
    digitalSignature: (octet & 0x80) !== 0,
    keyCertSign: (octet & 0x04) !== 0,
    cRLSign: (octet & 0x02) !== 0,
  }
}

function readExtendedKeyUsage(extension: Extension | undefined): ReadonlySet<string> | null {
  if (extension === undefined) return null
  const oids = sequence(readOne(extension.value, TAG.SEQUENCE))
  return new Set(oids.map((value) => expectTag(value, TAG.OBJECT_IDENTIFIER).toString('hex')))
}

function readNameConstraints(extension: Extension | undefined): NameConstraints | null {
  if (extension === undefined) return null
  const found = { permittedUris: [] as string[], excludedUris: [] as string[], otherKinds: new Set<number>() }
  for (const { tag, content } of sequence(readOne(extension.value, TAG.SEQUENCE))) {
    const uris = tag === 0xa0 ? found.permittedUris : found.excludedUris
    for (const subtree of sequence(content)) {
      const [base] = sequence(expectTag(subtree, TAG.SEQUENCE))
      if (base === undefined) throw new DerError('a subtree without a base')
      if ((base.tag & 0x1f) === URI) uris.push(base.content.toString('latin1'))
      else found.otherKinds.add(base.tag & 0x1f)
    }
  }
  return found
}
