// What `reuse` means: whether a token that verified may be used for this key now.
import { createHash } from 'node:crypto'
import { CLOCK_SKEW_SECONDS } from '../proofs/claims.ts'
import { type Proof, ProofError } from '../proofs/proof.ts'
import type { PutResult, ReplayStore } from './store.ts'

/** Beyond the moment at which the token stops being accepted, so that store and verifier never disagree by a second. */
const MARGIN_SECONDS = 30

/** The issuer is part of the name: two issuers may give the same `jti`. JSON keeps the parts apart. */
function replayId(proof: Proof): string {
  return createHash('sha256')
    .update(JSON.stringify([proof.issuer, proof.tokenId]))
    .digest('base64url')
}

function judge({ reuse }: Proof, found: PutResult): void {
  if (found === 'stored' || (reuse === 'sameKey' && found === 'same-binding')) return
  const message = found === 'other-binding' ? 'used before with another key' : 'used before'
  throw new ProofError('token-used', message)
}

/**
 * Uses the token up, or ties it to the key. Call it after all other checks.
 * @param binding what the credential will be made for, such as `x509:` and the digest of the public key
 * @throws ProofError `token-used`, or what the store throws
 */
export async function useToken(store: ReplayStore, proof: Proof, binding: string): Promise<void> {
  if (proof.reuse === 'untilExpiry') return
  const keepUntil = new Date(proof.expiresAt.getTime() + (CLOCK_SKEW_SECONDS + MARGIN_SECONDS) * 1000)
  judge(proof, await store.put({ id: replayId(proof), binding, keepUntil }))
}

/**
 * Says what `useToken` would at this moment, and uses nothing up.
 * @throws ProofError `token-used`, or what the store throws
 */
export async function checkToken(store: ReplayStore, proof: Proof, binding: string): Promise<void> {
  if (proof.reuse === 'untilExpiry') return
  const found = await store.peek(replayId(proof))
  if (found !== null) judge(proof, found === binding ? 'same-binding' : 'other-binding')
}
