// Proof by an OIDC token: a JWT that a configured issuer signed for this authority. The issuer is looked up by exact
// text before anything is fetched, so nobody can make the authority call a host of his choosing.
import { errors, jwtVerify } from 'jose'
import type { AuthorityLog } from '../log.ts'
import { CLOCK_SKEW_SECONDS, checkClaims } from './claims.ts'
import type { Fetch } from './guarded-fetch.ts'
import { createIssuerKeys, type IssuerKeys } from './issuer-keys.ts'
import { type OidcProof, type OidcProvider, ProofError, type ProofErrorCode } from './proof.ts'
import { type CompactToken, parseCompactToken } from './token.ts'

export interface OidcVerifier {
  /** @throws ProofError */
  verify(token: string): Promise<OidcProof>
}

export interface OidcVerifierOptions {
  readonly providers: readonly OidcProvider[]
  /** The one audience that tokens must be for. */
  readonly audience: string
  readonly fetch: Fetch
  readonly clock: () => Date
  readonly log: AuthorityLog
  /** For one fetch of an issuer's document, in milliseconds. */
  readonly timeoutMs?: number
}

function claimFault(error: errors.JWTClaimValidationFailed): ProofErrorCode {
  if (error.reason === 'missing') return 'claim-missing'
  if (error.claim === 'aud') return 'audience-mismatch'
  return error.claim === 'nbf' ? 'token-not-yet-valid' : 'claims-malformed'
}

/** jose's refusals as ours; whatever else it throws is a signature that did not hold. */
function translate(error: unknown): ProofError {
  if (error instanceof errors.JWTExpired) return new ProofError('token-expired', 'the token has expired')
  if (error instanceof errors.JWTClaimValidationFailed) {
    return new ProofError(claimFault(error), `the claim ${error.claim} was refused`)
  }
  if (error instanceof errors.JWTInvalid) return new ProofError('claims-malformed', 'a claim cannot be read')
  return new ProofError('signature-invalid', 'the signature does not hold', { cause: error })
}

async function checkSignature(
  token: CompactToken,
  key: CryptoKey,
  provider: OidcProvider,
  options: OidcVerifierOptions,
) {
  try {
    await jwtVerify(token.text, key, {
      algorithms: [token.algorithm],
      issuer: provider.issuer,
      audience: options.audience,
      requiredClaims: ['exp', 'iat', 'sub', 'aud'],
      clockTolerance: CLOCK_SKEW_SECONDS,
      currentDate: options.clock(),
    })
  } catch (error) {
    throw translate(error)
  }
}

/** A verifier for the configured issuers. Keys are fetched when the first token of an issuer comes. */
export function createOidcVerifier(options: OidcVerifierOptions): OidcVerifier {
  const issuers = new Map<string, { provider: OidcProvider; keys: IssuerKeys }>()
  for (const provider of options.providers) {
    issuers.set(provider.issuer, { provider, keys: createIssuerKeys({ ...options, provider }) })
  }
  return {
    async verify(text) {
      const token = parseCompactToken(text)
      const issuer = typeof token.claims.iss === 'string' ? issuers.get(token.claims.iss) : undefined
      if (issuer === undefined)
        throw new ProofError('issuer-unknown', `no configured issuer is ${String(token.claims.iss)}`)
      const key = await issuer.keys.find(token.keyId, token.algorithm)
      await checkSignature(token, key, issuer.provider, options)
      // The same bytes that jose just verified: `token.claims` was read from `token.text` and never changes.
      return checkClaims(token, issuer.provider, { audience: options.audience, now: options.clock() })
    },
  }
}
