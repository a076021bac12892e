// What a caller shows the authority: a token that is at hand, or a proof that is made for this audience and key.
import type { Secret } from '../secret.ts'
import type { SignedCall } from '../signed-call.ts'

export interface ProofWanted {
  /** The authority's audience. */
  readonly audience: string
  /** `x509:` and the base64url SHA-256 of the key's SPKI (design §5.4). */
  readonly binding: string
}

export type ShownProof = { readonly token: Secret } | { readonly aws: SignedCall }

/** A token that somebody else made, for no key in particular; the same one may be read again and again. */
export interface TokenSource {
  readonly kind: 'token'
  read(): Promise<Secret>
}

/** Makes a new proof for each key. */
export interface MadeSource {
  readonly kind: 'made'
  make(wanted: ProofWanted): Promise<ShownProof>
  /** Another kind of proof, for where the authority refused the token of the first; null = there is none. */
  readonly makeOther: ((wanted: ProofWanted, refusal: string) => Promise<ShownProof>) | null
}

export type ProofSource = TokenSource | MadeSource
