// Generated SPIFFE IDs, made from the standard's own list of bytes and from nothing in the source.
import * as fc from 'fast-check'

const LOWER = 'abcdefghijklmnopqrstuvwxyz'
export const TRUST_DOMAIN_BYTES = `${LOWER}0123456789.-_`
export const SEGMENT_BYTES = `${TRUST_DOMAIN_BYTES}${LOWER.toUpperCase()}`

function text(bytes: string, maxLength: number): fc.Arbitrary<string> {
  return fc.string({ unit: fc.constantFrom(...Array.from(bytes)), minLength: 1, maxLength })
}

export const trustDomain = text(TRUST_DOMAIN_BYTES, 40)
export const segment = fc
  .oneof(text(SEGMENT_BYTES, 20), fc.constantFrom('...', '.a', 'a.', '..a', '-', '_', '.well-known'))
  .filter((segment) => segment !== '.' && segment !== '..')

export interface IdParts {
  readonly trustDomain: string
  readonly segments: readonly string[]
}

export const idParts: fc.Arbitrary<IdParts> = fc.record({
  trustDomain,
  segments: fc.array(segment, { maxLength: 6 }),
})

export function idText({ trustDomain, segments }: IdParts): string {
  return ['spiffe:/', trustDomain, ...segments].join('/')
}
