// What the authority's parts are made of: everything that touches the outside comes in here.
import type { Authority } from './authority/state.ts'
import type { IdentityConfig } from './config.ts'
import type { IssuanceStore } from './issuances/store.ts'
import type { RateCounter } from './limits/counter.ts'
import type { SourceLimiter } from './limits/source-bucket.ts'
import type { AuthorityLog } from './log.ts'
import type { Fetch } from './proofs/guarded-fetch.ts'
import type { ReplayStore } from './replay/store.ts'

export interface IdentityAppOptions {
  readonly config: Pick<
    IdentityConfig,
    'trustDomain' | 'issuer' | 'audience' | 'providers' | 'aws' | 'registrations'
  >
  readonly authority: Authority
  readonly clock: () => Date
  /** Cryptographically strong bytes. */
  readonly random: (bytes: number) => Uint8Array
  /** To issuers: global addresses alone. */
  readonly fetch: Fetch
  /** To STS hosts of our own table, which may be behind a private endpoint. */
  readonly stsFetch: Fetch
  readonly replay: ReplayStore
  readonly rates: RateCounter
  readonly sources: SourceLimiter
  readonly issuances: IssuanceStore
  readonly log: AuthorityLog
  /** For one fetch of an issuer's document. Default 5,000. */
  readonly fetchTimeoutMs?: number
}
