// What became of requests to the authority, for the metrics.
import type { IdentityFetchErrorCode } from '../../common/authority/errors.ts'

export type AuthorityRequestKind = 'svid' | 'bundle'
export type AuthorityResult = 'ok' | IdentityFetchErrorCode | 'internal-error'

export interface AuthorityState {
  readonly requests: readonly {
    readonly request: AuthorityRequestKind
    readonly result: AuthorityResult
    readonly count: number
  }[]
  /** Since the authority last answered as it should; null = never yet. */
  readonly ageSeconds: number | null
  /** For how long the renewal of the gateway's own identity has been failing; 0 where it is not. */
  readonly renewalFailingSeconds: number
}

export class AuthorityTally {
  readonly #now: () => Date
  readonly #counts = new Map<`${AuthorityRequestKind} ${AuthorityResult}`, number>()
  #answeredAt: number | null = null
  #failingSince: number | null = null

  constructor(now: () => Date) {
    this.#now = now
  }

  count(request: AuthorityRequestKind, result: AuthorityResult): void {
    const key = `${request} ${result}` as const
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1)
    const now = this.#now().getTime()
    if (result === 'ok') this.#answeredAt = now
    if (request === 'svid') this.#failingSince = result === 'ok' ? null : (this.#failingSince ?? now)
  }

  state(): AuthorityState {
    const now = this.#now().getTime()
    const since = (moment: number | null) => (moment === null ? null : (now - moment) / 1000)
    return {
      requests: [...this.#counts].map(([key, count]) => {
        const [request, result] = key.split(' ') as [AuthorityRequestKind, AuthorityResult]
        return { request, result, count }
      }),
      ageSeconds: since(this.#answeredAt),
      renewalFailingSeconds: since(this.#failingSince) ?? 0,
    }
  }
}
