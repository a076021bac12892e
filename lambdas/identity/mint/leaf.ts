// The bytes of a leaf certificate. Written here and not by a library: on Lambda the library is a quarter of the bundle and
// of the cold start, and a leaf has one form, of which three fields, the key and the names differ. A test holds every
// byte against the library's, and nothing leaves before OpenSSL read it (self-check.ts).
import { type KeyObject, sign } from 'node:crypto'
import { TAG } from '../../../spiffe/der.ts'
import { keyIdentifier } from '../authority/key-identifier.ts'
import { writeDer, writeInteger, writeTime } from './der.ts'

/** Version 3. */
const VERSION = Buffer.from('a003020102', 'hex')
/** ecdsa-with-SHA384. */
const SIGNATURE_ALGORITHM = Buffer.from('300a06082a8648ce3d040303', 'hex')
const EMPTY_NAME = Buffer.from('3000', 'hex')
/** Critical, no CA. */
const BASIC_CONSTRAINTS = Buffer.from('300c0603551d130101ff04023000', 'hex')
/** Critical, digitalSignature. */
const KEY_USAGE = Buffer.from('300e0603551d0f0101ff040403020780', 'hex')
/** serverAuth and clientAuth. */
const EXTENDED_KEY_USAGE = Buffer.from(
  '301d0603551d250416301406082b0601050507030106082b06010505070302',
  'hex',
)
const OID = {
  subjectKeyIdentifier: Buffer.from('0603551d0e', 'hex'),
  subjectAltName: Buffer.from('0603551d11', 'hex'),
  authorityKeyIdentifier: Buffer.from('0603551d23', 'hex'),
}
const CRITICAL = Buffer.from('0101ff', 'hex')
/** Context-specific tags: GeneralName (RFC 5280 §4.2.1.6), keyIdentifier, extensions. */
const NAME = { dns: 0x82, uri: 0x86 }
const KEY_IDENTIFIER = 0x80
const EXTENSIONS = 0xa3

export interface LeafIssuer {
  /** The DER of its subject. */
  readonly name: Uint8Array
  readonly keyId: Uint8Array
  /** On P-384. */
  readonly key: KeyObject
}

export interface LeafFields {
  readonly spiffeId: string
  readonly dnsNames: readonly string[]
  readonly spki: Uint8Array
  /** Hexadecimal. */
  readonly serialNumber: string
  readonly notBefore: Date
  readonly notAfter: Date
}

function extension(oid: Buffer, value: Buffer, critical = false): Buffer {
  const flag = critical ? CRITICAL : Buffer.alloc(0)
  return writeDer(TAG.SEQUENCE, oid, flag, writeDer(TAG.OCTET_STRING, value))
}

function writeExtensions(fields: LeafFields, issuer: LeafIssuer): Buffer {
  const names = [
    writeDer(NAME.uri, Buffer.from(fields.spiffeId, 'latin1')),
    ...fields.dnsNames.map((name) => writeDer(NAME.dns, Buffer.from(name, 'latin1'))),
  ]
  const authorityKey = writeDer(TAG.SEQUENCE, writeDer(KEY_IDENTIFIER, issuer.keyId))
  const all = writeDer(
    TAG.SEQUENCE,
    BASIC_CONSTRAINTS,
    KEY_USAGE,
    EXTENDED_KEY_USAGE,
    extension(OID.subjectKeyIdentifier, writeDer(TAG.OCTET_STRING, keyIdentifier(fields.spki))),
    extension(OID.authorityKeyIdentifier, authorityKey),
    extension(OID.subjectAltName, writeDer(TAG.SEQUENCE, ...names), true),
  )
  return writeDer(EXTENSIONS, all)
}

/** The TBSCertificate (RFC 5280 §4.1). */
export function writeTbs(fields: LeafFields, issuer: LeafIssuer): Buffer {
  return writeDer(
    TAG.SEQUENCE,
    VERSION,
    writeInteger(Buffer.from(fields.serialNumber, 'hex')),
    SIGNATURE_ALGORITHM,
    issuer.name,
    writeDer(TAG.SEQUENCE, writeTime(fields.notBefore), writeTime(fields.notAfter)),
    EMPTY_NAME,
    fields.spki,
    writeExtensions(fields, issuer),
  )
}

/** The signed certificate in DER. On this thread: the trip to another one costs as much as half of the signature. */
export function signLeaf(fields: LeafFields, issuer: LeafIssuer): Buffer {
  const tbs = writeTbs(fields, issuer)
  const signature = sign('sha384', tbs, { key: issuer.key, dsaEncoding: 'der' })
  return writeDer(
    TAG.SEQUENCE,
    tbs,
    SIGNATURE_ALGORITHM,
    writeDer(TAG.BIT_STRING, Buffer.from([0]), signature),
  )
}
