// Patterns over SPIFFE IDs, as configuration names workloads: an exact ID, `spiffe://td/a/*` for one more segment,
// `spiffe://td/a/**` for one or more. They match by segment, so `/a/*` never reaches `/ab` or `/a/b/c`.
import { checkSegment, parseSpiffeId, parseTrustDomain, SpiffeIdError, type SpiffeId } from './id.ts'

export interface SpiffeIdPattern {
  readonly text: string
  matches(id: SpiffeId): boolean
}

/** Reads a pattern; a wildcard is the whole last segment and nothing else. @throws SpiffeIdError */
export function parseSpiffeIdPattern(text: string): SpiffeIdPattern {
  if (!text.includes('*')) {
    const { uri } = parseSpiffeId(text)
    return Object.freeze({ text, matches: (id: SpiffeId) => id.uri === uri })
  }
  const match = /^spiffe:\/\/([^/*]*)((?:\/[^/*]+)*)\/(\*\*?)$/.exec(text)
  if (match === null) {
    throw new SpiffeIdError(
      'pattern',
      'a wildcard is the whole last segment: spiffe://td/a/* or spiffe://td/a/**',
    )
  }
  const [, authority = '', path = '', wildcard] = match
  const trustDomain = parseTrustDomain(authority)
  for (const segment of path.split('/').slice(1)) checkSegment(segment)
  const prefix = `spiffe://${trustDomain}${path}/`
  const oneSegment = wildcard === '*'
  return Object.freeze({
    text,
    // An ID has no empty segment and no trailing slash, so what is behind the prefix is at least one segment.
    matches: ({ uri }: SpiffeId) =>
      uri.startsWith(prefix) && !(oneSegment && uri.includes('/', prefix.length)),
  })
}
