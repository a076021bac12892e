// Whether two registrations could give one SPIFFE ID to two callers. Within a registration its template keeps callers
// apart; between two of them a value of a claim may spell what the other one means.
import { fitsGlob } from '../proofs/aws/arn.ts'
import { globsMeet } from './overlap.ts'
import type { Registration } from './registration.ts'
import type { Segment } from './template.ts'

/** Texts that a segment can be: a glob, and the length of its shortest one. */
interface Texts {
  readonly glob: string
  readonly least: number
}

/** What a registration's own conditions say of a claim; null where they leave it open. */
function knownValue({ match }: Registration, claim: string): string | null {
  if (match.oidc !== null) {
    const value = Object.hasOwn(match.oidc.claims, claim) ? match.oidc.claims[claim] : null
    return typeof value === 'string' ? value : null
  }
  const { aws } = match
  if (aws === null) return null
  if (claim.startsWith('principalTag.')) {
    const tag = claim.slice('principalTag.'.length)
    return Object.hasOwn(aws.principalTags, tag) ? (aws.principalTags[tag] ?? null) : null
  }
  const values: Readonly<Record<string, string | undefined>> = {
    account: aws.role.account,
    role: aws.role.name,
    'lambda.region': aws.lambdaFunction?.region,
    'lambda.name': aws.lambdaFunction?.name,
  }
  return (Object.hasOwn(values, claim) ? values[claim] : null) ?? null
}

function textsOf(registration: Registration, { before, claim, after }: Segment): Texts {
  if (claim === null) return { glob: before, least: before.length }
  const value = knownValue(registration, claim)
  const glob = `${before}${value ?? '*'}${after}`
  const fixed = glob.replaceAll('*', '').length
  return { glob, least: value === null ? fixed + 1 : fixed }
}

const isFixed = ({ glob }: Texts): boolean => !glob.includes('*')

function textsMeet(one: Texts, other: Texts): boolean {
  if (isFixed(one) && isFixed(other)) return one.glob === other.glob
  if (isFixed(one)) return one.glob.length >= other.least && fitsGlob(other.glob, one.glob)
  if (isFixed(other)) return textsMeet(other, one)
  return globsMeet(one.glob, other.glob)
}

/** The IDs that a registration can give. */
export interface GivenIds {
  readonly registration: Registration
  readonly segments: readonly Texts[]
}

export function givenIds(registration: Registration): GivenIds {
  const { segments } = registration.spiffeId
  return { registration, segments: segments.map((segment) => textsOf(registration, segment)) }
}

/** The same words about the same callers are meant: one claim of one issuer has one meaning. */
function isMeant(one: Registration, other: Registration): boolean {
  if (one.spiffeId.text !== other.spiffeId.text) return false
  if (one.match.oidc !== null) return one.match.oidc.provider === other.match.oidc?.provider
  // Names of roles and functions are unique in their account alone.
  return one.match.aws?.role.account === other.match.aws?.role.account
}

/**
 * Whether a caller of one registration could get an ID that a caller of the other gets too, without their author having
 * written so: the same ID written out in both is meant, and so is the same template for the same issuer or account.
 */
export function mayShareId(one: GivenIds, other: GivenIds): boolean {
  // Only a registration that is marked so ever gives an ID under /sallyport/.
  if (one.registration.reserved !== other.registration.reserved) return false
  if (one.segments.length !== other.segments.length) return false
  if (one.segments.every(isFixed) && other.segments.every(isFixed)) return false
  const meets = one.segments.every((texts, index) => {
    const opposite = other.segments[index]
    return opposite !== undefined && textsMeet(texts, opposite)
  })
  return meets && !isMeant(one.registration, other.registration)
}
