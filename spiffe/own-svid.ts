// An SVID that one is about to show, as client and as server: verified before by what its peers will verify it by.
import type { X509Certificate } from 'node:crypto'
import type { Bundle } from './bundle.ts'
import type { SpiffeId } from './id.ts'
import { SvidError } from './svid-error.ts'
import { verifyX509Svid } from './x509-svid.ts'

export interface OwnSvidOptions {
  /** Leaf first. */
  readonly chain: readonly X509Certificate[]
  /** Of the trust domain that it must be in. Peers may have any of them, so it must hold by each. */
  readonly bundles: readonly [Bundle, ...Bundle[]]
  readonly now: Date
}

/** @throws SvidError */
export function verifyOwnSvid({ chain, bundles, now }: OwnSvidOptions): SpiffeId {
  const [leaf, ...intermediates] = chain
  if (leaf === undefined) throw new SvidError('malformed', 'there is no certificate in it')
  const ids = bundles.flatMap((bundle) => {
    const find = (name: string) => (name === bundle.trustDomain ? bundle : undefined)
    return (['client', 'server'] as const).map(
      (purpose) => verifyX509Svid({ leaf, intermediates, bundle: find, now, purpose }).id,
    )
  })
  const [id] = ids
  if (id === undefined) throw new SvidError('trust-domain-unknown', 'there is no bundle')
  return id
}
