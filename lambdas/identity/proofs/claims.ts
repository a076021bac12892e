// The claims of a token whose signature already holds, judged by a schema of our own. The library would accept times that
// are floats or infinite, a `sub` of any type, our audience among others, and a token that lives ten years.
import * as z from '../schema-library.ts'
import { type OidcProvider, ProofError } from './proof.ts'
import type { CompactToken } from './token.ts'

/** How far the issuer's clock may be from ours, in seconds. */
export const CLOCK_SKEW_SECONDS = 30
/**
 * From `iat` to `exp`. Entra gives managed identities tokens for 24 hours and dates `iat` five minutes back, so a day
 * alone would refuse them.
 */
export const MAX_LIFETIME_SECONDS = 24 * 3600 + 10 * 60
/** One below 2^53, in seconds, is far past what Date holds; this is the year 9999. */
export const MAX_TIME = 253_402_300_799
/** What follows the audience in its key-bound form (design §5.4): SHA-256 in base64url. */
const BINDING = /^(?:x509|jwt):[A-Za-z0-9_-]{43}$/

const time = z.int().check(z.minimum(0), z.maximum(MAX_TIME))
const CLAIMS = z.looseObject({
  // A JWT-SVID of another trust domain may have none (JWT-SVID.md §3).
  iss: z.optional(z.string()),
  sub: z.string().check(z.minLength(1), z.maxLength(2048)),
  aud: z.union([z.string(), z.array(z.string()).check(z.minLength(1), z.maxLength(16))]),
  exp: time,
  iat: time,
  nbf: z.optional(time),
  jti: z.optional(z.string().check(z.minLength(1), z.maxLength(1024))),
})
type Claims = z.infer<typeof CLAIMS>

/** What every token says of itself, whoever made it. */
export interface TokenFacts {
  readonly subject: string
  readonly tokenId: string
  /** What follows `#` in a key-bound audience; null = the plain audience. */
  readonly binding: string | null
  readonly issuedAt: Date
  readonly expiresAt: Date
}

function readClaims(token: CompactToken): Claims {
  const parsed = CLAIMS.safeParse(token.claims)
  if (parsed.success) return parsed.data
  const name = String(parsed.error.issues[0]?.path[0] ?? 'payload')
  const missing = !Object.hasOwn(token.claims, name)
  throw new ProofError(missing ? 'claim-missing' : 'claims-malformed', `the claim ${name} is not usable`)
}

function checkAudience(claims: Claims, audience: string): string | null {
  const [found, ...others] = typeof claims.aud === 'string' ? [claims.aud] : claims.aud
  // A token for us and somebody else can be shown here by that somebody else.
  if (found !== undefined && others.length === 0) {
    if (found === audience) return null
    const binding = found.startsWith(`${audience}#`) ? found.slice(audience.length + 1) : ''
    if (BINDING.test(binding)) return binding
  }
  throw new ProofError('audience-mismatch', `the token is not for ${audience} alone`)
}

function checkIssuer(claims: Claims, provider: OidcProvider): void {
  const right =
    provider.kind === 'spiffe'
      ? claims.sub.startsWith(`${provider.issuer}/`)
      : claims.iss !== undefined && claims.iss === provider.issuer
  if (!right) throw new ProofError('issuer-unknown', 'the issuer is another one')
}

function checkTimes(claims: Claims, provider: OidcProvider, now: Date): void {
  const seconds = now.getTime() / 1000
  const skewed = seconds + CLOCK_SKEW_SECONDS
  if (claims.iat > skewed || (claims.nbf ?? 0) > skewed) {
    throw new ProofError('token-not-yet-valid', 'the token is from the future')
  }
  if (claims.exp <= seconds - CLOCK_SKEW_SECONDS)
    throw new ProofError('token-expired', 'the token has expired')
  if (claims.exp <= claims.iat || claims.exp - claims.iat > MAX_LIFETIME_SECONDS) {
    throw new ProofError(
      'token-lives-too-long',
      'the token does not end within 24 hours and 10 minutes of its issue',
    )
  }
  if (provider.maxTokenAgeMs === null) return
  if (seconds - claims.iat > provider.maxTokenAgeMs / 1000 + CLOCK_SKEW_SECONDS) {
    throw new ProofError('token-too-old', 'the token is older than maxTokenAge')
  }
}

/**
 * Judges the claims that every token has.
 * @throws ProofError
 */
export function checkClaims(
  token: CompactToken,
  provider: OidcProvider,
  options: { readonly audience: string; readonly now: Date },
): TokenFacts {
  const claims = readClaims(token)
  checkIssuer(claims, provider)
  const binding = checkAudience(claims, provider.audience ?? options.audience)
  checkTimes(claims, provider, options.now)
  return {
    subject: claims.sub,
    tokenId: claims.jti ?? `sha256:${token.digest}`,
    binding,
    issuedAt: new Date(claims.iat * 1000),
    expiresAt: new Date(claims.exp * 1000),
  }
}
