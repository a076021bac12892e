// Linkerd's own identities are DNS names in a certificate's SAN, not SPIFFE IDs: which workload such a leaf is. Trusts the
// map, and of the certificate no more than that its chain was verified elsewhere.
import type { CertificateFacts } from '../../spiffe/certificate.ts'
import type { SpiffeId } from '../../spiffe/id.ts'
import type { LinkerdIdentityMap } from './linkerd-map.ts'

export type LinkerdIdentity =
  | { readonly ok: true; readonly id: SpiffeId; readonly name: string }
  | { readonly ok: false; readonly code: 'no-name' | 'several-names' | 'has-uri' | 'unmapped' }

/**
 * The workload of a leaf whose chain was verified against the Linkerd trust anchors of this map; the chain is not looked
 * at here. Linkerd takes the first name of several (linkerd/meshtls/verifier) and its own certificates have one; who may
 * ask that CA for a second name must not choose between two identities.
 */
export function linkerdIdentity(facts: CertificateFacts, map: LinkerdIdentityMap): LinkerdIdentity {
  const [name, ...more] = facts.dnsNames
  // A SPIFFE ID needs no map, and is verified by the bundle of its trust domain.
  if (facts.uris.length > 0) return { ok: false, code: 'has-uri' }
  if (name === undefined) return { ok: false, code: 'no-name' }
  if (more.length > 0) return { ok: false, code: 'several-names' }
  const id = map.toSpiffeId(name)
  return id === null ? { ok: false, code: 'unmapped' } : Object.freeze({ ok: true, id, name })
}
