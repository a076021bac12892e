// What a verified proof is, and why a proof is refused. The reason goes to the log alone: the caller is told the same
// whatever the cause, since a difference would tell an attacker which part of a forged proof was already good.
import { SallyportError } from '../../../common/errors.ts'

export type ProofErrorCode =
  | 'proof-missing'
  | 'token-too-large'
  | 'token-malformed'
  | 'token-header-refused'
  | 'algorithm-refused'
  | 'issuer-unknown'
  | 'issuer-unavailable'
  | 'key-unknown'
  | 'key-unfit'
  | 'signature-invalid'
  | 'claims-malformed'
  | 'claim-missing'
  | 'audience-mismatch'
  | 'token-expired'
  | 'token-not-yet-valid'
  | 'token-too-old'
  | 'token-lives-too-long'
  | 'token-ends-too-soon'
  | 'token-used'

export class ProofError extends SallyportError<ProofErrorCode> {}

/** What a second showing of one token means (see `reuse` in the configuration). */
export type Reuse = 'once' | 'sameKey' | 'untilExpiry'

/** A trusted issuer of tokens, as configured. */
export interface OidcProvider {
  readonly name: string
  /** Compared with `iss` byte by byte. */
  readonly issuer: string
  /** Where its keys are; null = what its discovery document says, on the issuer's own origin. */
  readonly jwksUri: string | null
  /** The greatest age counted from `iat`, in milliseconds; null = only `exp` limits it. */
  readonly maxTokenAgeMs: number | null
  readonly reuse: Reuse
}

/** Everything that is known of the caller, taken from the verified bytes and from nowhere else. */
export interface OidcProof {
  readonly provider: OidcProvider
  readonly issuer: string
  readonly subject: string
  /** `jti`, or `sha256:` and the digest of what was signed, for issuers that give no `jti`. */
  readonly tokenId: string
  /** The top-level claims that are strings; all others cannot be matched or put into an ID. */
  readonly claims: ReadonlyMap<string, string>
  readonly issuedAt: Date
  readonly expiresAt: Date
}
