// The steps that every issuance shares: who gets what, and the record without which nothing leaves. What each issuance
// costs (the proof, and one of the registration's count) is in `spend.ts`.
import type { SpiffeId } from '../../../spiffe/id.ts'
import type { Issuance } from '../issuances/store.ts'
import type { IdentityAppOptions } from '../options.ts'
import { ProblemError } from '../problem.ts'
import type { Proof } from '../proofs/proof.ts'
import { expandSpiffeId, type Registration, selectRegistration } from '../registrations/registration.ts'

/** Below this the caller's SDK is about to fetch new credentials anyway. */
export const MIN_SESSION_LEFT_MS = 5 * 60_000

/** Filled as a request goes on, so that a refusal is logged with what was known by then. */
export interface Attempt {
  proof?: Proof
  registration?: string
  spiffeId?: string
}

export interface IssueContext {
  readonly attempt: Attempt
  readonly requestId: string
}

export interface Granted {
  readonly proof: Proof
  readonly registration: Registration
  readonly spiffeId: SpiffeId
  readonly requestId: string
}

/** What goes into each record and is the same for both kinds. */
export function describeGrant({ proof, registration, spiffeId, requestId }: Granted) {
  const { issuer, subject, tokenId } = proof
  return {
    spiffeId: spiffeId.uri,
    registration: registration.name,
    proof: { issuer, subject, tokenId },
    requestId,
  }
}

/**
 * The registration and the SPIFFE ID for a proof.
 * @param requested the registration that the caller names; null = the only one that matches
 * @throws RegistrationError
 */
export function grant(
  options: IdentityAppOptions,
  proof: Proof,
  requested: string | null,
  context: IssueContext,
): Granted {
  const registration = selectRegistration(options.config.registrations, proof, requested)
  context.attempt.registration = registration.name
  const spiffeId = expandSpiffeId(registration, proof)
  context.attempt.spiffeId = spiffeId.uri
  return { proof, registration, spiffeId, requestId: context.requestId }
}

/** @throws ProblemError where the credentials behind an AWS token are about to end: what they get would too */
export function checkCredentials({ aws }: Proof, now: Date): void {
  // The end of the token itself is no such end: by default AWS lets a token live for five minutes in all.
  const ends = aws?.sessionEnds ?? null
  if (ends !== null && ends.getTime() - now.getTime() < MIN_SESSION_LEFT_MS) {
    throw new ProblemError('credentials-expiring')
  }
}

/** @throws ProblemError: then what was signed must be dropped */
export async function record(options: IdentityAppOptions, issuance: Issuance): Promise<void> {
  try {
    await options.issuances.put(issuance)
  } catch (error) {
    throw new ProblemError('issuance-record-unavailable', { cause: error })
  }
}
