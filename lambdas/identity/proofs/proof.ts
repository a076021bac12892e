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
  | 'binding-mismatch'
  | 'token-expired'
  | 'token-not-yet-valid'
  | 'token-too-old'
  | 'token-lives-too-long'
  | 'token-ends-too-soon'
  | 'token-used'
  | 'aws-account-unknown'
  | 'aws-principal-refused'
  | 'aws-region-refused'
  | 'aws-date-refused'
  | 'sts-refused'
  | 'sts-unavailable'
  | 'sts-answer-refused'

export class ProofError extends SallyportError<ProofErrorCode> {}

/** What a second showing of one proof means (see `reuse` in the configuration). */
export type Reuse = 'once' | 'sameKey' | 'untilExpiry'

/** How a provider's tokens are made; it decides which claims are theirs and where their keys are. */
export type ProviderKind = 'oidc' | 'spiffe' | 'aws'

/** A trusted issuer of tokens, as configured. */
export interface OidcProvider {
  readonly kind: ProviderKind
  readonly name: string
  /** Compared with `iss` byte by byte; of a SPIFFE trust domain `spiffe://<name>`, which `sub` must be in. */
  readonly issuer: string
  /** What its tokens must be for; null = the authority's audience. */
  readonly audience: string | null
  /** Where its keys are; null = what its discovery document says, on the issuer's own origin. */
  readonly jwksUri: string | null
  /** A file with its keys instead, absolute; for clusters whose issuer the authority cannot reach. */
  readonly keysFile: string | null
  /** The greatest age counted from `iat`, in milliseconds; null = only `exp` limits it. */
  readonly maxTokenAgeMs: number | null
  readonly reuse: Reuse
  /** The AWS account whose tokens these are; null of other kinds. */
  readonly account: string | null
}

/** A claim that can be matched. Numbers are left out: 2^53 and more would be another number here than at the issuer. */
export type ClaimValue = string | boolean | readonly string[]

/** The IAM role behind an AWS proof. Sessions have names that the caller chose, so no session name is in here. */
export interface AwsPrincipal {
  readonly partition: string
  readonly account: string
  /** Without its path. */
  readonly role: string
  /** `/` or `/team/`; null where the proof does not show it (SigV4). */
  readonly path: string | null
  /** `AROA…`; null where the proof does not show it (web identity). */
  readonly roleId: string | null
  /** The Lambda function that the credentials were given to; null where it is none, or not shown. */
  readonly lambdaFunction: string | null
  readonly organization: string | null
  /** When the credentials behind the proof end; null where it does not show that. */
  readonly sessionEnds: Date | null
}

export type ProofKind = 'oidc' | 'jwt-svid' | 'aws-web-identity' | 'aws-sigv4'

/** Everything that is known of the caller, taken from the verified bytes and from nowhere else. */
export interface Proof {
  readonly kind: ProofKind
  /** The provider's name in the configuration; `aws` for both AWS proofs. */
  readonly provider: string
  readonly issuer: string
  readonly subject: string
  /** `jti`, or `sha256:` and the digest of what was signed, where there is no `jti`. */
  readonly tokenId: string
  readonly claims: ReadonlyMap<string, ClaimValue>
  readonly issuedAt: Date
  /** When the proof itself ends. */
  readonly expiresAt: Date
  readonly reuse: Reuse
  /** What nothing made from this proof may outlive; null = only its registration limits it. */
  readonly endsAt: Date | null
  /** What the proof was made for, such as `x509:<digest of the key>`; null = for whatever its owner asks. */
  readonly binding: string | null
  readonly aws: AwsPrincipal | null
}
