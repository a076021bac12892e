// The one way to an X.509-SVID: proof, registration, key, replay, signature, self-check, record, answer, in this order.
// Each step needs what the one before returned, so none can be left out.
import type { AuthorityState } from '../authority/state.ts'
import type { Issuance } from '../issuances/store.ts'
import { chooseLifetime } from '../mint/lifetime.ts'
import { type MintedX509, mintX509 } from '../mint/x509.ts'
import type { IdentityAppOptions } from '../options.ts'
import type { Proof } from '../proofs/proof.ts'
import { checkCredentials, describeGrant, type Granted, grant, type IssueContext, record } from './grant.ts'
import { spend } from './spend.ts'

export interface X509Request {
  /** Canonical SPKI DER, as `readCsr` gives it. */
  readonly spki: Uint8Array<ArrayBuffer>
  /** `x509:<digest of the SPKI>`. */
  readonly binding: string
  readonly ttlSeconds: number | null
  readonly registration: string | null
}

export interface IssuedX509 {
  readonly spiffeId: string
  readonly certificateChain: string
  readonly bundle: string
  readonly serialNumber: string
  readonly expiresAt: string
  readonly renewAfter: string
  readonly registration: string
}

function toIssuance(minted: MintedX509, granted: Granted, now: Date): Issuance {
  return {
    kind: 'x509',
    serialNumber: minted.serialNumber,
    ...describeGrant(granted),
    certificateSha256: minted.sha256,
    issuedAt: now.toISOString(),
    expiresAt: minted.notAfter.toISOString(),
  }
}

function toAnswer(minted: MintedX509, granted: Granted, state: AuthorityState, now: Date): IssuedX509 {
  const halfLife = now.getTime() + (minted.notAfter.getTime() - now.getTime()) / 2
  return {
    spiffeId: granted.spiffeId.uri,
    certificateChain: minted.chainPem,
    bundle: state.bundlePem,
    serialNumber: minted.serialNumber,
    expiresAt: minted.notAfter.toISOString(),
    renewAfter: new Date(halfLife).toISOString(),
    registration: granted.registration.name,
  }
}

/**
 * Issues an X.509-SVID to a caller whose proof was verified.
 * @param context receives the registration and the SPIFFE ID as soon as they are known
 * @throws RegistrationError, CsrError, ProofError, LifetimeError, AuthorityError, SelfCheckError, ProblemError
 */
export async function issueX509(
  options: IdentityAppOptions,
  proof: Proof,
  request: X509Request,
  context: IssueContext,
): Promise<IssuedX509> {
  const granted = grant(options, proof, request.registration, context)
  const { x509 } = granted.registration
  const { spki } = request
  const state = await options.authority.current()
  const now = options.clock()
  const terms = {
    ttlSeconds: x509.ttlSeconds,
    requestedSeconds: request.ttlSeconds,
    proofEnds: proof.endsAt,
  }
  checkCredentials(proof, now)
  // Asked before the proof is used up, so that a token is not spent on a certificate that cannot be.
  chooseLifetime({ ...terms, now, authority: state.issuing })
  await spend(options, granted, request.binding)
  const minted = await mintX509({
    ...terms,
    state,
    now,
    spki,
    spiffeId: granted.spiffeId,
    dnsNames: x509.dnsNames,
    random: options.random,
  })
  await record(options, toIssuance(minted, granted, now))
  return toAnswer(minted, granted, state, now)
}
