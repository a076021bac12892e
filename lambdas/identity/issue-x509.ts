// The one way to an X.509-SVID: proof, registration, key, replay, signature, self-check, record, answer, in this order.
// Each step needs what the one before returned, so none can be left out.
import type { SpiffeId } from '../../spiffe/id.ts'
import { type AuthorityState, keyDigest } from './authority/state.ts'
import type { Issuance } from './issuances/store.ts'
import { readCsr } from './mint/csr.ts'
import { chooseLifetime } from './mint/lifetime.ts'
import { type MintedX509, mintX509 } from './mint/x509.ts'
import type { IdentityAppOptions } from './options.ts'
import { ProblemError } from './problem.ts'
import { type OidcProof, ProofError } from './proofs/proof.ts'
import { expandSpiffeId, type Registration, selectRegistration } from './registrations/registration.ts'
import { useToken } from './replay/guard.ts'

export interface X509Request {
  readonly csr: string
  readonly ttlSeconds?: number | undefined
  readonly registration?: string | undefined
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

/** Filled as a request goes on, so that a refusal is logged with what was known by then. */
export interface Attempt {
  proof?: OidcProof
  registration?: string
  spiffeId?: string
}

interface Granted {
  readonly proof: OidcProof
  readonly registration: Registration
  readonly spiffeId: SpiffeId
  readonly requestId: string
}

function grant(request: X509Request, attempt: Attempt, proof: OidcProof, options: IdentityAppOptions) {
  const { registrations } = options.config
  const registration = selectRegistration(registrations, proof, request.registration ?? null)
  attempt.registration = registration.name
  const spiffeId = expandSpiffeId(registration, proof)
  attempt.spiffeId = spiffeId.uri
  return { registration, spiffeId }
}

async function tieToken(options: IdentityAppOptions, proof: OidcProof, spki: Uint8Array): Promise<void> {
  try {
    await useToken(options.replay, proof, `x509:${keyDigest(spki)}`)
  } catch (error) {
    if (error instanceof ProofError) throw error
    throw new ProblemError('replay-store-unavailable', { cause: error })
  }
}

function toIssuance(minted: MintedX509, granted: Granted, now: Date): Issuance {
  const { issuer, subject, tokenId } = granted.proof
  return {
    kind: 'x509',
    serialNumber: minted.serialNumber,
    spiffeId: granted.spiffeId.uri,
    registration: granted.registration.name,
    proof: { issuer, subject, tokenId },
    certificateSha256: minted.sha256,
    issuedAt: now.toISOString(),
    expiresAt: minted.notAfter.toISOString(),
    requestId: granted.requestId,
  }
}

async function record(options: IdentityAppOptions, issuance: Issuance): Promise<void> {
  try {
    await options.issuances.put(issuance)
  } catch (error) {
    throw new ProblemError('issuance-record-unavailable', { cause: error })
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
 * @param attempt receives the registration and the SPIFFE ID as soon as they are known
 * @throws RegistrationError, CsrError, ProofError, LifetimeError, AuthorityError, SelfCheckError, ProblemError
 */
export async function issueX509(
  options: IdentityAppOptions,
  proof: OidcProof,
  request: X509Request,
  context: { readonly attempt: Attempt; readonly requestId: string },
): Promise<IssuedX509> {
  const granted = { ...grant(request, context.attempt, proof, options), proof, requestId: context.requestId }
  const { x509 } = granted.registration
  const spki = await readCsr(request.csr)
  const state = await options.authority.current()
  const now = options.clock()
  const terms = {
    ttlSeconds: x509.ttlSeconds,
    requestedSeconds: request.ttlSeconds ?? null,
    proofEnds: proof.provider.reuse === 'untilExpiry' ? proof.expiresAt : null,
  }
  // Asked before the token is used up, so that a token is not spent on a certificate that cannot be.
  chooseLifetime({ ...terms, now, authority: state.issuing })
  await tieToken(options, proof, spki)
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
