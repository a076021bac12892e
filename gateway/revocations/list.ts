// A revocation list as an index: whether an attempt meets one of its entries, in a few look-ups however long the list is,
// since it is asked before every decision. Entries are read and checked by config/revocations.ts.
import type { SpiffeId } from '../../spiffe/id.ts'
import type { ReasonCode } from '../audit/reasons.ts'

export type Selector = 'workload' | 'serialNumber' | 'destination' | 'tokenId'

/** One entry of `revocations.yaml` (design §5.1). */
export interface Revocation {
  readonly selector: Selector
  /** In its one spelling; of a workload a SPIFFE ID, or a pattern as in `clientCertificates`. */
  readonly value: string
  readonly reason: string
  /** From when on the entry means nothing any more; null = never. */
  readonly until: Date | null
}

/** What of an attempt can be revoked. */
export interface RevocationQuestion {
  /** Null where who asks is a network. */
  readonly workload: SpiffeId | null
  /** Lower-case hex, two digits a byte; empty where there is no certificate. */
  readonly serialNumber: string
  /** Null where there is no token. */
  readonly tokenId: string | null
  /** Null where none was matched. */
  readonly destination: string | null
}

export interface Revoked {
  readonly code: ReasonCode & `revoked-${string}`
  readonly entry: Revocation
}

const CODES: Readonly<Record<Selector, Revoked['code']>> = {
  serialNumber: 'revoked-certificate',
  tokenId: 'revoked-token',
  workload: 'revoked-workload',
  destination: 'revoked-destination',
}

export class RevocationList {
  readonly entries: readonly Revocation[]
  readonly #byKey = new Map<string, Revocation[]>()
  readonly #hasPatterns: boolean

  constructor(entries: readonly Revocation[]) {
    this.entries = entries
    this.#hasPatterns = entries.some(({ value }) => value.includes('*'))
    for (const entry of entries) {
      const key = keyOf(entry.selector, entry.value)
      this.#byKey.set(key, [...(this.#byKey.get(key) ?? []), entry])
    }
  }

  /** What revokes the attempt at `now`, the narrowest selector first; null where nothing does. */
  find(question: RevocationQuestion, now: Date): Revoked | null {
    if (this.#byKey.size === 0) return null
    const { serialNumber, tokenId, workload, destination } = question
    return (
      (serialNumber === '' ? null : this.#at('serialNumber', serialNumber, now)) ??
      (tokenId === null ? null : this.#at('tokenId', tokenId, now)) ??
      (workload === null ? null : this.#ofWorkload(workload, now)) ??
      (destination === null ? null : this.#at('destination', destination, now))
    )
  }

  #ofWorkload({ uri }: SpiffeId, now: Date): Revoked | null {
    const exact = this.#at('workload', uri, now)
    if (exact !== null || !this.#hasPatterns) return exact
    for (const pattern of patternsOver(uri)) {
      const found = this.#at('workload', pattern, now)
      if (found !== null) return found
    }
    return null
  }

  #at(selector: Selector, value: string, now: Date): Revoked | null {
    const entry = this.#byKey.get(keyOf(selector, value))?.find((one) => isInForce(one, now))
    return entry === undefined ? null : { code: CODES[selector], entry }
  }
}

export const NO_REVOCATIONS = new RevocationList([])

export function isInForce({ until }: Revocation, now: Date): boolean {
  return until === null || now < until
}

/** What `outcome.detail` of the record says: the entry and its reason. */
export function describeRevocation({ value, reason, until }: Revocation): string {
  return `${value}: ${reason}${until === null ? '' : ` (until ${until.toISOString()})`}`
}

/** No selector has a colon in it. */
function keyOf(selector: Selector, value: string): string {
  return `${selector}:${value}`
}

/** Every pattern that matches the ID, the narrowest first; a pattern has one spelling, so that text finds it. */
function* patternsOver(uri: string): Generator<string> {
  const authority = uri.indexOf('/', 'spiffe://'.length)
  const last = uri.lastIndexOf('/')
  if (authority === -1) return
  yield `${uri.slice(0, last)}/*`
  for (let cut = last; cut >= authority; cut = uri.lastIndexOf('/', cut - 1)) yield `${uri.slice(0, cut)}/**`
}
