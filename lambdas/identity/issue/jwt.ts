// The one way to a JWT-SVID: proof, registration, audience, replay, signature, self-check, record, answer, in this order.
import { randomSerial } from '../serial.ts'
import type { JwtSigningKey } from '../authority/jwt-keys.ts'
import type { AuthorityState } from '../authority/state.ts'
import { AuthorityError } from '../authority/document.ts'
import { LifetimeError } from '../mint/lifetime.ts'
import { mintJwt } from '../mint/jwt.ts'
import type { IdentityAppOptions } from '../options.ts'
import type { Proof } from '../proofs/proof.ts'
import { RegistrationError } from '../registrations/registration.ts'
import { checkCredentials, describeGrant, type Granted, grant, type IssueContext, record } from './grant.ts'
import { spend } from './spend.ts'

/** Less would end while the clocks of the two sides still disagree. */
const MIN_JWT_SECONDS = 30

export interface JwtRequest {
  readonly audience: string
  /** `jwt:<digest of the audience>`. */
  readonly binding: string
  readonly registration: string | null
}

export interface IssuedJwt {
  readonly token: string
  readonly spiffeId: string
  readonly expiresAt: string
}

function signingKey(state: AuthorityState, now: Date): JwtSigningKey {
  const key = state.jwt.signingKey(now)
  if (key === null) throw new AuthorityError('authority-expired', 'no JWT key may sign at the moment')
  return key
}

/**
 * When a JWT-SVID for this audience would end.
 * @throws RegistrationError `registration-audience`, LifetimeError
 */
export function chooseJwtLifetime(
  granted: Granted,
  audience: string,
  state: AuthorityState,
  now: Date,
): Date {
  const { jwt } = granted.registration
  if (!jwt.audiences.includes(audience)) {
    throw new RegistrationError('registration-audience', 'the registration does not list this audience')
  }
  signingKey(state, now)
  const proofEnds = granted.proof.endsAt?.getTime() ?? Number.POSITIVE_INFINITY
  const end = Math.floor(Math.min(now.getTime() + jwt.ttlSeconds * 1000, proofEnds) / 1000) * 1000
  if (end - now.getTime() < MIN_JWT_SECONDS * 1000) {
    throw new LifetimeError('lifetime-proof-ends', 'less than half a minute would be left')
  }
  return new Date(end)
}

/**
 * Issues a JWT-SVID to a caller whose proof was verified.
 * @throws RegistrationError, ProofError, LifetimeError, AuthorityError, SelfCheckError, ProblemError
 */
export async function issueJwt(
  options: IdentityAppOptions,
  proof: Proof,
  request: JwtRequest,
  context: IssueContext,
): Promise<{ readonly issued: IssuedJwt; readonly tokenId: string }> {
  const { audience } = request
  const granted = grant(options, proof, request.registration, context)
  const state = await options.authority.current()
  const now = options.clock()
  checkCredentials(proof, now)
  const expiresAt = chooseJwtLifetime(granted, audience, state, now)
  const key = signingKey(state, now)
  await spend(options, granted, request.binding)
  const tokenId = randomSerial(options.random)
  const { spiffeId } = granted
  const token = await mintJwt({
    ...{ key, spiffeId, audience, tokenId, now, expiresAt },
    issuer: options.config.issuer,
  })
  await record(options, {
    ...{ kind: 'jwt', tokenId, audience, keyId: key.kid },
    ...describeGrant(granted),
    issuedAt: now.toISOString(),
    expiresAt: expiresAt.toISOString(),
  })
  return { issued: { token, spiffeId: spiffeId.uri, expiresAt: expiresAt.toISOString() }, tokenId }
}
