// The SPIFFE ID of a registration, with claims as `{name}`. Two different tuples of claims never give one ID: a
// placeholder stands alone in its segment (with fixed text around it at most), and its value holds no slash. A value
// that does not fit is refused and never repaired, since repair is how `a_b` and `a/b` become one workload.
import { SallyportError } from '../../../common/errors.ts'
import { parseSpiffeId, type SpiffeId } from '../../../spiffe/id.ts'

export type TemplateErrorCode = 'template-malformed' | 'template-claim-missing' | 'template-claim-unusable'

export class TemplateError extends SallyportError<TemplateErrorCode> {}

export interface SpiffeIdTemplate {
  readonly text: string
  /** The claims that it needs, in order of appearance. */
  readonly claims: readonly string[]
  /** The first path segment where it is fixed; null where it holds a claim. */
  readonly firstSegment: string | null
  readonly segments: readonly Segment[]
  /** @throws TemplateError, SpiffeIdError where the whole is too long or not a SPIFFE ID */
  expand(claims: ReadonlyMap<string, string>): SpiffeId
}

/** One path segment: fixed text in `before`, or a claim with fixed text around it. */
export interface Segment {
  readonly before: string
  readonly claim: string | null
  readonly after: string
}

const SEGMENT = /^([^{}]*)(?:\{([A-Za-z0-9_.:-]{1,128})\}([^{}]*))?$/
/** The characters of a SPIFFE ID path segment; upper case differs from lower case. */
const VALUE = /^[A-Za-z0-9._-]+$/

function parseSegment(text: string): Segment {
  const match = SEGMENT.exec(text)
  if (match === null) {
    throw new TemplateError(
      'template-malformed',
      'a path segment takes at most one {claim}, and no other braces',
    )
  }
  return { before: match[1] ?? '', claim: match[2] ?? null, after: match[3] ?? '' }
}

function fill(segment: Segment, claims: ReadonlyMap<string, string>): string {
  if (segment.claim === null) return segment.before
  const value = claims.get(segment.claim)
  if (value === undefined) {
    throw new TemplateError('template-claim-missing', `the token has no text claim ${segment.claim}`)
  }
  if (!VALUE.test(value)) {
    throw new TemplateError(
      'template-claim-unusable',
      `the claim ${segment.claim} holds characters that a path segment cannot hold`,
    )
  }
  return `${segment.before}${value}${segment.after}`
}

/**
 * Reads a template such as `spiffe://example.org/ci/{repository_id}`; its trust domain is fixed text.
 * @throws TemplateError, SpiffeIdError
 */
export function parseTemplate(text: string): SpiffeIdTemplate {
  const [, prefix, rest] = /^(spiffe:\/\/[^/{}]+)\/(.+)$/s.exec(text) ?? []
  if (prefix === undefined || rest === undefined) {
    throw new TemplateError('template-malformed', 'expected spiffe://<trust domain>/<path>')
  }
  const segments = rest.split('/').map(parseSegment)
  const build = (claims: ReadonlyMap<string, string>): SpiffeId =>
    parseSpiffeId([prefix, ...segments.map((segment) => fill(segment, claims))].join('/'))
  const names = segments.flatMap(({ claim }) => (claim === null ? [] : [claim]))
  build(new Map(names.map((name) => [name, 'x'])))
  const [first] = segments
  return {
    text,
    segments,
    claims: names,
    firstSegment: first === undefined || first.claim !== null ? null : first.before,
    expand: build,
  }
}
