// Whether the signature of a certification request holds, at once and on this thread: by WebCrypto it would cost three
// trips to another one. The algorithms are those that clients sign with: SHA-2, by ECDSA, RSA PKCS #1 or RSA-PSS.
import { constants, type KeyObject, verify } from 'node:crypto'
import { type DerValue, readAll, readOne, TAG } from '../../../spiffe/der.ts'

type Scheme = 'ecdsa' | 'pkcs1' | 'pss'

/** AlgorithmIdentifier (RFC 5912): object identifiers by their content octets in hexadecimal. */
const SIGNATURES: Readonly<Record<string, readonly [Scheme, string]>> = {
  '2a8648ce3d040302': ['ecdsa', 'sha256'],
  '2a8648ce3d040303': ['ecdsa', 'sha384'],
  '2a8648ce3d040304': ['ecdsa', 'sha512'],
  '2a864886f70d01010b': ['pkcs1', 'sha256'],
  '2a864886f70d01010c': ['pkcs1', 'sha384'],
  '2a864886f70d01010d': ['pkcs1', 'sha512'],
}
const PSS = '2a864886f70d01010a'
const HASHES: Readonly<Record<string, string>> = {
  '608648016503040201': 'sha256',
  '608648016503040202': 'sha384',
  '608648016503040203': 'sha512',
}

function oidOf(value: DerValue | undefined): string {
  return value?.tag === TAG.OBJECT_IDENTIFIER ? value.content.toString('hex') : ''
}

/** RFC 8017 §A.2.3: the hash is [0]; that of the mask is the same one, or the signature does not hold. */
function pssHash(parameters: DerValue | undefined): string | null {
  if (parameters?.tag !== TAG.SEQUENCE) return null
  const hash = readAll(parameters.content).find(({ tag }) => tag === 0xa0)
  if (hash === undefined) return null
  return HASHES[oidOf(readAll(readOne(hash.content, TAG.SEQUENCE))[0])] ?? null
}

function readScheme(algorithm: DerValue): readonly [Scheme, string] | null {
  const [name, parameters] = readAll(algorithm.content)
  const oid = oidOf(name)
  if (oid !== PSS) return SIGNATURES[oid] ?? null
  const hash = pssHash(parameters)
  return hash === null ? null : ['pss', hash]
}

export interface SignedInfo {
  readonly info: DerValue
  readonly algorithm: DerValue
  readonly signature: DerValue
}

/** @param key one that may be certified @throws where the parts are not what their tags say */
export function isSignedBy({ info, algorithm, signature }: SignedInfo, key: KeyObject): boolean {
  const found = readScheme(algorithm)
  // The first octet of a BIT STRING counts its unused bits.
  if (found === null || signature.content[0] !== 0) return false
  const [scheme, hash] = found
  // A scheme of the other kind of key would not be refused: RSA ignores the encoding, EC the padding.
  if ((key.asymmetricKeyType === 'ec') !== (scheme === 'ecdsa')) return false
  const padding =
    scheme === 'pss'
      ? {
          padding: constants.RSA_PKCS1_PSS_PADDING,
          saltLength: constants.RSA_PSS_SALTLEN_AUTO,
        }
      : {}
  return verify(hash, info.raw, { key, dsaEncoding: 'der', ...padding }, signature.content.subarray(1))
}
