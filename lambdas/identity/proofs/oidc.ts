// Proof by a token: a JWT that a configured issuer signed for this authority. The issuer is looked up by exact text
// before anything is fetched, so nobody can make the authority call a host of his choosing.
import { parseSpiffeId } from '../../../spiffe/id.ts'
import type { AuthorityLog } from '../log.ts'
import { toAwsProof } from './aws/web-identity.ts'
import { flattenClaims, setPathClaims } from './claim-values.ts'
import { checkClaims, type TokenFacts } from './claims.ts'
import type { Fetch } from './guarded-fetch.ts'
import { createIssuerKeys, type IssuerKeys } from './issuer-keys.ts'
import { type OidcProvider, type Proof, ProofError } from './proof.ts'
import { type CompactToken, parseCompactToken } from './token.ts'
import { isTokenSignedBy } from './token-signature.ts'

export interface OidcVerifier {
  /** @throws ProofError */
  verify(token: string): Promise<Proof>
}

export interface OidcVerifierOptions {
  readonly providers: readonly OidcProvider[]
  /** The one audience that tokens must be for, where their provider has none of its own. */
  readonly audience: string
  /** The keys of `principal_tags` that registrations may use. */
  readonly principalTags?: readonly string[]
  readonly fetch: Fetch
  readonly clock: () => Date
  readonly log: AuthorityLog
  /** For one fetch of an issuer's document, in milliseconds. */
  readonly timeoutMs?: number
}

function toProof(token: CompactToken, provider: OidcProvider, facts: TokenFacts): Proof {
  const claims = flattenClaims(token.claims)
  if (provider.kind === 'spiffe') {
    try {
      setPathClaims(claims, parseSpiffeId(facts.subject).path)
    } catch (error) {
      throw new ProofError('claims-malformed', 'sub is no SPIFFE ID', { cause: error })
    }
  }
  return {
    ...facts,
    kind: provider.kind === 'spiffe' ? 'jwt-svid' : 'oidc',
    provider: provider.name,
    issuer: provider.issuer,
    claims,
    reuse: provider.reuse,
    endsAt: provider.reuse === 'untilExpiry' ? facts.expiresAt : null,
    aws: null,
  }
}

interface Issuer {
  readonly provider: OidcProvider
  readonly keys: IssuerKeys
}

/** By `iss`, and only where no issuer has that name by the trust domain of `sub`: JWT-SVIDs need not carry an issuer. */
function findIssuer(issuers: ReadonlyMap<string, Issuer>, token: CompactToken): Issuer {
  const { iss, sub } = token.claims
  const byIssuer = typeof iss === 'string' ? issuers.get(iss) : undefined
  if (byIssuer !== undefined && byIssuer.provider.kind !== 'spiffe') return byIssuer
  const [trustDomain] = typeof sub === 'string' ? (/^spiffe:\/\/[^/]+(?=\/)/.exec(sub) ?? []) : []
  const bySubject = trustDomain === undefined ? undefined : issuers.get(trustDomain)
  if (bySubject !== undefined) return bySubject
  // Not every JSON value has a text: to make one of `{"toString": 1}` is a TypeError.
  throw new ProofError('issuer-unknown', `no configured issuer is ${typeof iss === 'string' ? iss : 'that'}`)
}

/** A verifier for the configured issuers. Keys are fetched when the first token of an issuer comes. */
export function createOidcVerifier(options: OidcVerifierOptions): OidcVerifier {
  const issuers = new Map<string, Issuer>()
  for (const provider of options.providers) {
    issuers.set(provider.issuer, { provider, keys: createIssuerKeys({ ...options, provider }) })
  }

  async function verify(text: string): Promise<Proof> {
    const token = parseCompactToken(text)
    const { provider, keys } = findIssuer(issuers, token)
    const key = await keys.find(token.keyId, token.algorithm)
    if (!isTokenSignedBy(token, key)) throw new ProofError('signature-invalid', 'the signature does not hold')
    // The same bytes that were just verified: `token.claims` was read from `token.text` and never changes.
    const facts = checkClaims(token, provider, { audience: options.audience, now: options.clock() })
    if (provider.kind !== 'aws') return toProof(token, provider, facts)
    return toAwsProof(token, provider, facts, options.principalTags ?? [])
  }

  return {
    async verify(text) {
      try {
        return await verify(text)
      } catch (error) {
        // A token that nobody foresaw is refused like any other: another answer would tell how far it came.
        if (error instanceof ProofError) throw error
        throw new ProofError('token-malformed', 'the token cannot be judged', { cause: error })
      }
    },
  }
}
