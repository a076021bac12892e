// Signed checkpoints of the audit chain (design §5.6): a JWS by the gateway's own SVID key over the place that the chain
// has reached, so that whoever rewrites the log must have that key too. The line holds nothing that is not signed.
import { createPrivateKey, type KeyObject, sign, X509Certificate } from 'node:crypto'
import type { KeyPair } from '../config/types.ts'
import type { ChainEnd, CheckpointEvent } from './events.ts'
import { MAX_RECORD_BYTES } from './record.ts'

/** `typ` of the header: what was signed for another purpose with the same key is no checkpoint. */
export const CHECKPOINT_TYPE = 'sallyport-checkpoint'

/** What is signed. `sequence` and `hash` are those of the last event before the checkpoint. */
export interface CheckpointClaims extends ChainEnd {
  /** UTC, ISO 8601. */
  readonly at: string
  /** The last event of the log before this chain, where the gateway found one. */
  readonly after: ChainEnd | null
  /** Lines that the sink has lost so far: their numbers are missing in the chain. */
  readonly dropped: number
  /** The process ends in order, and no event of this chain follows. */
  readonly final: boolean
}

/** Of the JWS algorithms (RFC 7518 §3.1, RFC 8037) the one that the key takes. */
function algorithmOf(key: KeyObject): { readonly alg: string; readonly hash: string | null } {
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = key
  if (type === 'ed25519') return { alg: 'EdDSA', hash: null }
  if (type === 'rsa') return { alg: 'RS256', hash: 'sha256' }
  const curves: Readonly<Record<string, { alg: string; hash: string }>> = {
    prime256v1: { alg: 'ES256', hash: 'sha256' },
    secp384r1: { alg: 'ES384', hash: 'sha384' },
    secp521r1: { alg: 'ES512', hash: 'sha512' },
  }
  const found = curves[details?.namedCurve ?? '']
  if (found === undefined) throw new Error(`a key of type ${type} signs no checkpoint`)
  return found
}

const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')

/**
 * A compact JWS (RFC 7515 §7.1) with the chain of the SVID as `x5c`, leaf first and without the root. Made here and not by
 * jose, which signs in a promise: events that came meanwhile would stand between the checkpoint and what it is about.
 */
export function signCheckpoint(claims: CheckpointClaims, keyPair: KeyPair): string {
  const key = createPrivateKey(keyPair.key.reveal())
  const { alg, hash } = algorithmOf(key)
  const blocks = keyPair.chainPem.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? []
  const x5c = blocks.map((pem) => new X509Certificate(pem).raw.toString('base64'))
  const input = `${encode({ alg, typ: CHECKPOINT_TYPE, x5c })}.${encode(claims)}`
  const signature = sign(hash, Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' })
  return `${input}.${signature.toString('base64url')}`
}

/** The event that says so in the chain. Every value in it follows from the JWS: a changed byte anywhere shows. */
export function checkpointEvent(claims: CheckpointClaims, jws: string): CheckpointEvent {
  const { chain, sequence, hash, at, after, dropped, final } = claims
  const link = { chain, sequence: sequence + 1, previous: hash }
  return { event: 'checkpoint', ...link, at, after, dropped, final, jws }
}

/** @throws Error where the certificates are too long for a record */
export function checkSize(line: string): void {
  const bytes = Buffer.byteLength(line) + 1
  if (bytes > MAX_RECORD_BYTES)
    throw new Error(`a checkpoint of ${bytes} bytes: the certificate chain of the gateway is too long`)
}
