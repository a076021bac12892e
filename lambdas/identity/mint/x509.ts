// Makes an X.509-SVID. Subject and extensions are ours to the last byte; of the caller's there is the public key
// alone. The subject is empty and the SAN critical (RFC 5280 §4.1.2.6): a CN would be a second name for the workload,
// cut at 64 characters, that somebody would one day authorise by.
import type { SpiffeId } from '../../../spiffe/id.ts'
import { keyDigest } from '../../../common/key-digest.ts'
import type { AuthorityState } from '../authority/state.ts'
import { randomSerial } from '../serial.ts'
import { CsrError } from './csr-error.ts'
import { writePemBlock } from './der.ts'
import { signLeaf } from './leaf.ts'
import { chooseLifetime } from './lifetime.ts'
import { checkSigned, type Intended } from './self-check.ts'

export interface MintOptions {
  readonly state: AuthorityState
  readonly spiffeId: SpiffeId
  readonly dnsNames: readonly string[]
  /** Canonical SPKI DER, as `readCsr` gives it. */
  readonly spki: Uint8Array<ArrayBuffer>
  readonly now: Date
  readonly ttlSeconds: number
  readonly requestedSeconds: number | null
  readonly proofEnds: Date | null
  readonly random: (bytes: number) => Uint8Array
}

export interface MintedX509 {
  /** The leaf and the CAs above it, without the root. */
  readonly chainPem: string
  readonly serialNumber: string
  readonly notBefore: Date
  readonly notAfter: Date
  /** Lower-case hexadecimal. */
  readonly sha256: string
}

/**
 * Signs an X.509-SVID and checks it again before it is returned.
 * @throws CsrError `key-of-authority`, LifetimeError, SelfCheckError
 */
export async function mintX509(options: MintOptions): Promise<MintedX509> {
  const { state, now } = options
  if (state.ownKeys.has(keyDigest(options.spki))) {
    throw new CsrError('key-of-authority', 'the key is one of the authority itself')
  }
  const lifetime = chooseLifetime({ ...options, authority: state.issuing })
  const intended: Intended = {
    spiffeId: options.spiffeId.uri,
    dnsNames: options.dnsNames,
    spki: options.spki,
    serialNumber: randomSerial(options.random),
    ...lifetime,
  }
  const leaf = signLeaf(intended, state.issuing)
  const sha256 = checkSigned(leaf, intended, state, now)
  return {
    chainPem: `${writePemBlock('CERTIFICATE', leaf)}${state.issuing.chainPem}`,
    serialNumber: intended.serialNumber,
    ...lifetime,
    sha256,
  }
}
