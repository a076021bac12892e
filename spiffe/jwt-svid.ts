// JWT-SVIDs (standards/JWT-SVID.md): whether a token was signed by a key of its own trust domain's bundle, is for us
// alone, and is in its time. A key verifies IDs of its own trust domain alone. Trusts the bundles handed in and nothing
// in the token.
import { compactVerify } from 'jose'
import type { Bundle } from './bundle.ts'
import { parseCompactToken } from './compact-token.ts'
import { parseSpiffeId, SpiffeIdError, type SpiffeId } from './id.ts'
import { JwtSvidError } from './jwt-svid-error.ts'
import { findJwtKey } from './jwt-svid-key.ts'

export { MAX_TOKEN_BYTES } from './compact-token.ts'
export { JwtSvidError, type JwtSvidErrorCode } from './jwt-svid-error.ts'

export interface VerifyJwtSvidOptions {
  /** Ours; the only one that the token may name. */
  readonly audience: string
  /** The bundle of a trust domain; undefined where it is not trusted. */
  readonly bundle: (trustDomain: string) => Bundle | undefined
  readonly now: Date
}

export interface VerifiedJwtSvid {
  readonly id: SpiffeId
  /** `jti`, or `sha256:` and the digest of what was signed; unique within the trust domain at best. */
  readonly tokenId: string
  /** `kid` of the key that verified it. */
  readonly keyId: string
  readonly expiresAt: Date
  readonly issuedAt: Date | null
  readonly audience: string
}

/** How far the issuer's clock may be ahead of ours. `exp` gets none: a session ends at it, and must not begin behind it. */
export const CLOCK_SKEW_SECONDS = 30
/** The standard asks for short lives (§3.3) and names no limit; the authority signs for no longer (its jwt-keys.ts). */
export const MAX_LIFETIME_SECONDS = 24 * 3600
/** The year 9999: far below 2^53, above which JSON numbers are no longer what they say, and within what Date holds. */
const MAX_TIME = 253_402_300_799
const MAX_JTI = 1024

/** The identity that the token's bearer has shown. @throws JwtSvidError and nothing else */
export async function verifyJwtSvid(token: string, options: VerifyJwtSvidOptions): Promise<VerifiedJwtSvid> {
  const { algorithm, keyId, claims, digest } = parseCompactToken(token)
  const id = readSubject(claims)
  const bundle = options.bundle(id.trustDomain)
  if (bundle?.trustDomain !== id.trustDomain)
    throw new JwtSvidError('trust-domain-unknown', `${id.trustDomain} is not trusted here`)
  const key = findJwtKey(bundle, keyId, algorithm)
  try {
    await compactVerify(token, key, { algorithms: [algorithm] })
  } catch (cause) {
    throw new JwtSvidError('untrusted', 'the signature does not hold', { cause })
  }
  checkAudience(claims, options.audience)
  const times = readTimes(claims)
  checkTimes(times, options.now.getTime() / 1000)
  return Object.freeze({
    id,
    tokenId: readTokenId(claims) ?? `sha256:${digest}`,
    keyId,
    expiresAt: new Date(times.exp * 1000),
    issuedAt: times.iat === null ? null : new Date(times.iat * 1000),
    audience: options.audience,
  })
}

type Claims = ReadonlyMap<string, unknown>

/** §3.1. */
function readSubject(claims: Claims): SpiffeId {
  const subject = claims.get('sub')
  if (typeof subject !== 'string') throw new JwtSvidError('claims-malformed', 'sub is missing or not text')
  let id: SpiffeId
  try {
    id = parseSpiffeId(subject)
  } catch (error) {
    if (!(error instanceof SpiffeIdError)) throw error
    throw new JwtSvidError('malformed-id', error.message)
  }
  // An ID without path is a trust domain's own, which no workload has (SPIFFE-ID.md §2.2).
  if (id.path === '') throw new JwtSvidError('no-path', 'the SPIFFE ID has no path')
  return id
}

/**
 * §3.2 lets a token name several audiences and urges against it. Exactly one is taken here: each of several could show
 * the token to the others as its bearer, so that any partner of a workload could leave through us in its name.
 */
function checkAudience(claims: Claims, audience: string): void {
  const claim = claims.get('aud')
  if (claim === undefined) throw new JwtSvidError('claims-malformed', 'aud is missing')
  const [found, ...others]: readonly unknown[] = Array.isArray(claim) ? claim : [claim]
  if (found !== audience || others.length > 0)
    throw new JwtSvidError('audience', `the token is not for ${audience} alone`)
}

interface Times {
  readonly exp: number
  readonly iat: number | null
  readonly nbf: number | null
}

function readTimes(claims: Claims): Times {
  const exp = readTime(claims, 'exp')
  // Required by §3.3: a token without it would never end.
  if (exp === null) throw new JwtSvidError('claims-malformed', 'exp is missing')
  return { exp, iat: readTime(claims, 'iat'), nbf: readTime(claims, 'nbf') }
}

/** Whole seconds: RFC 7519 allows fractions, and with them 1e400, which is never reached. */
function readTime(claims: Claims, name: string): number | null {
  const value = claims.get(name)
  if (value === undefined) return null
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0 || value > MAX_TIME)
    throw new JwtSvidError('claims-malformed', `${name} is not a time in whole seconds`)
  return value
}

function checkTimes({ exp, iat, nbf }: Times, now: number): void {
  const soon = now + CLOCK_SKEW_SECONDS
  if ((iat ?? 0) > soon || (nbf ?? 0) > soon)
    throw new JwtSvidError('not-yet-valid', 'the token is from the future')
  if (exp <= now) throw new JwtSvidError('expired', `expired at ${new Date(exp * 1000).toISOString()}`)
  // Without iat nobody knows when it began; what is left of it must then be within the limit.
  const lifetime = iat === null ? exp - soon : exp - iat
  if (lifetime > MAX_LIFETIME_SECONDS)
    throw new JwtSvidError('lives-too-long', `lives longer than ${MAX_LIFETIME_SECONDS} s`)
}

function readTokenId(claims: Claims): string | null {
  const jti = claims.get('jti')
  if (jti === undefined) return null
  if (typeof jti !== 'string' || jti === '' || jti.length > MAX_JTI)
    throw new JwtSvidError('claims-malformed', `jti is not a text of 1 to ${MAX_JTI} characters`)
  return jti
}
