// What a caller shows the authority: a token that is at hand, or a proof that is made for this audience and key.
import type { Secret } from '../../common/secret.ts'
import type { SigV4Fields } from '../../lambdas/identity/proofs/aws/signed-request.ts'

export interface ProofWanted {
  /** The authority's audience. */
  readonly audience: string
  /** `x509:` and the base64url SHA-256 of the key's SPKI (design §5.4). */
  readonly binding: string
}

export type ShownProof = { readonly token: Secret } | { readonly aws: SigV4Fields }

/** Gives a new proof each time it is asked. */
export type ProofSource = (wanted: ProofWanted) => Promise<ShownProof>

/** A token that does not depend on what is asked for. */
export function tokenSource(read: () => Promise<Secret>): ProofSource {
  return async () => ({ token: await read() })
}
