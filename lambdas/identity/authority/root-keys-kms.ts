// Root keys in KMS. Two keys are configured, and the successor of a root takes the one that no root uses; nothing is
// created. KMS is trusted to keep the key, not to have used the right one: each signature is verified.
import { createPublicKey, type KeyObject, verify } from 'node:crypto'
import { GetPublicKeyCommand, type KMSClient, SignCommand } from '@aws-sdk/client-kms'
import { messageOf } from '../log.ts'
import { type CaSigner, isCaKey } from './ca-key.ts'
import { AuthorityError } from './document.ts'
import type { RootKeys } from './root-keys.ts'

const COORDINATE_BYTES = 48
/** KMS hashes the message itself. A CA certificate has under 1 KiB; KMS takes up to 4 KiB (API reference, Sign). */
const SIGNING = { SigningAlgorithm: 'ECDSA_SHA_384', MessageType: 'RAW' } as const

export interface KmsRootKeysOptions {
  /** Key ARNs, in the order of use. */
  readonly keyArns: readonly string[]
  readonly client: Pick<KMSClient, 'send'>
}

/** The DER integer at `offset` as 48 bytes, and where it ends; null where it is none. */
function readInteger(der: Uint8Array, offset: number): { bytes: Buffer; end: number } | null {
  const length = der[offset + 1] ?? 0
  const end = offset + 2 + length
  if (der[offset] !== 0x02 || length === 0 || length > COORDINATE_BYTES + 1 || end > der.length) return null
  const value = Buffer.from(der.subarray(offset + 2, end))
  const bare = value[0] === 0 ? value.subarray(1) : value
  if (bare.length > COORDINATE_BYTES) return null
  return { bytes: Buffer.concat([Buffer.alloc(COORDINATE_BYTES - bare.length), bare]), end }
}

/** An ECDSA signature from DER to r and s side by side; null where it is no P-384 signature. */
export function toP1363(der: Uint8Array): Uint8Array<ArrayBuffer> | null {
  // Two integers of 48 bytes need less than 128, so that the length is always one byte.
  if (der[0] !== 0x30 || der[1] !== der.length - 2) return null
  const r = readInteger(der, 2)
  const s = r === null ? null : readInteger(der, r.end)
  if (r === null || s === null || s.end !== der.length) return null
  return new Uint8Array(Buffer.concat([r.bytes, s.bytes]))
}

function failed(keyArn: string, reason: string, cause?: unknown): never {
  throw new AuthorityError('authority-root-key', `the root key ${keyArn}: ${reason}`, { cause })
}

async function readPublicKey({ client }: KmsRootKeysOptions, keyArn: string) {
  const answer = await client
    .send(new GetPublicKeyCommand({ KeyId: keyArn }))
    .catch((error: unknown) => failed(keyArn, messageOf(error), error))
  const spki = new Uint8Array(answer.PublicKey ?? [])
  let key: KeyObject
  try {
    key = createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' })
  } catch (error) {
    return failed(keyArn, 'its public key cannot be read', error)
  }
  if (!isCaKey(key) || answer.KeyUsage !== 'SIGN_VERIFY') {
    return failed(keyArn, 'is not a key of ECC_NIST_P384 for SIGN_VERIFY')
  }
  return { spki, key }
}

async function openKmsKey(options: KmsRootKeysOptions, keyArn: string): Promise<CaSigner> {
  const { spki, key } = await readPublicKey(options, keyArn)
  return {
    spki,
    async sign(bytes) {
      const answer = await options.client
        .send(new SignCommand({ KeyId: keyArn, Message: bytes, ...SIGNING }))
        .catch((error: unknown) => failed(keyArn, messageOf(error), error))
      const signature = toP1363(answer.Signature ?? new Uint8Array())
      const good =
        signature !== null && verify('sha384', bytes, { key, dsaEncoding: 'ieee-p1363' }, signature)
      return good ? signature : failed(keyArn, 'its signature does not verify')
    },
  }
}

export function createKmsRootKeys(options: KmsRootKeysOptions): RootKeys {
  const references = options.keyArns.map((keyArn) => `kms:${keyArn}`)
  const open = (reference: string): Promise<CaSigner> => openKmsKey(options, reference.slice('kms:'.length))
  const spare = (used: readonly string[]) => references.find((reference) => !used.includes(reference))
  return {
    owns: (reference) => references.includes(reference),
    hasSpare: (used) => spare(used) !== undefined,
    async create(used) {
      const reference = spare(used)
      if (reference === undefined) {
        throw new AuthorityError('authority-root-key', 'every configured KMS key is that of a root already')
      }
      return { reference, signer: await open(reference) }
    },
    open,
  }
}
