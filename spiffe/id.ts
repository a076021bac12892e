// SPIFFE IDs and trust domain names, exactly by the standard (spiffe/spiffe standards/SPIFFE-ID.md §2). One text is one
// ID: nothing is decoded, folded or repaired, so that comparing bytes is comparing identities.

export type SpiffeIdErrorCode =
  | 'empty'
  | 'too-long'
  | 'scheme'
  | 'trust-domain'
  | 'path-segment'
  | 'trailing-slash'
  | 'pattern'

/** A text that is no SPIFFE ID, trust domain name or pattern; the message does not repeat it. */
export class SpiffeIdError extends Error {
  readonly code: SpiffeIdErrorCode

  constructor(code: SpiffeIdErrorCode, message: string) {
    super(message)
    this.name = 'SpiffeIdError'
    this.code = code
  }
}

export interface SpiffeId {
  readonly trustDomain: string
  /** `/a/b`, or empty for a trust domain's own ID, which no workload may have. */
  readonly path: string
  /** The whole ID as text. */
  readonly uri: string
}

const SCHEME = 'spiffe://'
/** SPIFFE-ID.md §2.3: implementations accept up to 2048 bytes and should make none longer. */
const MAX_ID_BYTES = 2048
/** SPIFFE-ID.md §2.1. */
const MAX_TRUST_DOMAIN_BYTES = 255
const TRUST_DOMAIN = /^[a-z0-9._-]+$/
const SEGMENT = /^[A-Za-z0-9._-]+$/

/**
 * Reads an ID. Scheme and trust domain in capitals are refused, as go-spiffe does: the standard would let them be folded,
 * and then two texts in two certificates would be one identity. @throws SpiffeIdError
 */
export function parseSpiffeId(text: string): SpiffeId {
  if (text === '') throw new SpiffeIdError('empty', 'the SPIFFE ID is empty')
  // All allowed bytes are ASCII, so that characters are bytes in every text that passes.
  if (text.length > MAX_ID_BYTES) throw new SpiffeIdError('too-long', `longer than ${MAX_ID_BYTES} bytes`)
  if (!text.startsWith(SCHEME)) throw new SpiffeIdError('scheme', 'does not begin with spiffe://')
  const slash = text.indexOf('/', SCHEME.length)
  const trustDomain = parseTrustDomain(
    slash === -1 ? text.slice(SCHEME.length) : text.slice(SCHEME.length, slash),
  )
  const path = slash === -1 ? '' : text.slice(slash)
  checkPath(path)
  return Object.freeze({ trustDomain, path, uri: text })
}

/** Reads a trust domain name such as `example.org`, without scheme. @throws SpiffeIdError */
export function parseTrustDomain(text: string): string {
  if (text === '') throw new SpiffeIdError('trust-domain', 'the trust domain is empty')
  if (text.length > MAX_TRUST_DOMAIN_BYTES) {
    throw new SpiffeIdError('trust-domain', `the trust domain is longer than ${MAX_TRUST_DOMAIN_BYTES} bytes`)
  }
  if (!TRUST_DOMAIN.test(text)) {
    throw new SpiffeIdError(
      'trust-domain',
      'a trust domain holds a-z, 0-9, ".", "-" and "_" and nothing else',
    )
  }
  return text
}

function checkPath(path: string): void {
  if (path === '') return
  if (path.endsWith('/')) throw new SpiffeIdError('trailing-slash', 'the path ends with a slash')
  for (const segment of path.slice(1).split('/')) checkSegment(segment)
}

/** @throws SpiffeIdError */
export function checkSegment(segment: string): void {
  if (segment === '.' || segment === '..')
    throw new SpiffeIdError('path-segment', 'a path segment is "." or ".."')
  if (!SEGMENT.test(segment)) {
    throw new SpiffeIdError(
      'path-segment',
      'a path segment holds A-Z, a-z, 0-9, ".", "-" and "_" and is not empty',
    )
  }
}
