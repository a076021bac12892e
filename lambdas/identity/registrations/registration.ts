// Who gets which SPIFFE ID. All registrations that match are looked at, never the first alone, so that the order of a
// file decides nothing.
import { SallyportError } from '../../../common/errors.ts'
import type { SpiffeId } from '../../../spiffe/id.ts'
import { messageOf } from '../log.ts'
import type { Proof } from '../proofs/proof.ts'
import { type Match, missingConditions } from './match.ts'
import type { SpiffeIdTemplate } from './template.ts'

/** The first path segment of Sallyport's own identities, such as the gateway's. */
export const RESERVED_SEGMENT = 'sallyport'

export interface Registration {
  readonly name: string
  readonly spiffeId: SpiffeIdTemplate
  /** May give IDs under `/sallyport/`. */
  readonly reserved: boolean
  readonly match: Match
  readonly x509: {
    /** Default and maximum, in seconds. */
    readonly ttlSeconds: number
    readonly dnsNames: readonly string[]
  }
  readonly jwt: {
    /** Those that a JWT-SVID may be for; empty = none is issued. */
    readonly audiences: readonly string[]
    readonly ttlSeconds: number
  }
  /** SVIDs a minute, over all instances. */
  readonly perMinute: number
}

export type RegistrationErrorCode =
  | 'registration-none'
  | 'registration-not-matching'
  | 'registration-ambiguous'
  | 'registration-unusable'
  | 'registration-reserved'
  | 'registration-audience'

export class RegistrationError extends SallyportError<RegistrationErrorCode> {
  /** Those that match, where the caller has to name one. */
  readonly names: readonly string[]

  constructor(code: RegistrationErrorCode, message: string, names: readonly string[] = [], cause?: unknown) {
    super(code, message, { cause })
    this.names = names
  }
}

/**
 * The one registration that a proof falls under, or the one that the request names among those.
 * @throws RegistrationError
 */
export function selectRegistration(
  registrations: readonly Registration[],
  proof: Proof,
  requested: string | null,
): Registration {
  const matching = registrations.filter(({ match }) => missingConditions(match, proof).length === 0)
  const names = matching.map(({ name }) => name)
  if (matching.length === 0) throw new RegistrationError('registration-none', 'no registration matches')
  if (requested === null) {
    const [only, second] = matching
    if (only !== undefined && second === undefined) return only
    throw new RegistrationError('registration-ambiguous', 'more than one registration matches', names)
  }
  const named = matching.find(({ name }) => name === requested)
  if (named === undefined) {
    throw new RegistrationError('registration-not-matching', 'the registration named does not match')
  }
  return named
}

/**
 * The SPIFFE ID that a registration gives to a proof.
 * @throws RegistrationError `registration-unusable` where a claim is missing or unfit, `registration-reserved`
 */
export function expandSpiffeId(registration: Registration, proof: Proof): SpiffeId {
  const texts = [...proof.claims].filter((entry): entry is [string, string] => typeof entry[1] === 'string')
  let id: SpiffeId
  try {
    id = registration.spiffeId.expand(new Map(texts))
  } catch (error) {
    throw new RegistrationError('registration-unusable', messageOf(error), [], error)
  }
  // Checked on the result, since a claim in the first segment may say anything.
  if (!registration.reserved && id.path.split('/')[1] === RESERVED_SEGMENT) {
    throw new RegistrationError('registration-reserved', `${id.uri} is reserved`)
  }
  return id
}
